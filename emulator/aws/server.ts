// The HTTP side of the EC2 face: one POST per call; resets and silence are real ones.
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import type { Answer, Face } from './face.ts'

/** Larger bodies are refused; a call with 1,000 addresses has about 30 kB. */
const bodyMaxBytes = 1 << 20

// Node's 5 s would close idle connections in the moment when a client sends its next call.
const keepAliveMs = 60_000

/** An HTTP server, not yet listening. */
export const createEc2Server = (face: Face): Server =>
  createServer({ keepAliveTimeout: keepAliveMs }, (request, response) => {
    void serve(face, request, response)
  })

const serve = async (
  face: Face,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const body = await readBody(request)
  if (request.method !== 'POST') return void response.writeHead(405, { allow: 'POST' }).end()
  if (body === undefined) return void response.writeHead(413).end()
  const { method, headers, url = '/' } = request
  send(await face({ method, url, headers, body }), response)
}

const send = (answer: Answer, response: ServerResponse): void => {
  if (answer.kind === 'hang') return
  if (answer.kind === 'reset') {
    response.socket?.resetAndDestroy()
    return
  }
  response.writeHead(answer.status, {
    'content-type': answer.contentType,
    'x-amzn-requestid': answer.requestId,
    server: 'AmazonEC2',
  })
  response.end(answer.body)
}

/** The request's body as text; undefined when it is too large or broken off. */
export const readBody = async (request: IncomingMessage): Promise<string | undefined> => {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > bodyMaxBytes) return undefined
      chunks.push(chunk)
    }
  } catch {
    return undefined
  }
  return Buffer.concat(chunks).toString()
}
