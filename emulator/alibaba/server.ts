// The HTTP side of the RPC face: one request per call; resets and silence are real ones.
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import { readBody } from '#emulator/body.ts'
import type { Answer, Face } from './face.ts'

// Node's 5 s would close idle connections in the moment when a client sends its next call.
const keepAliveMs = 60_000

/** An HTTP server, not yet listening. */
export const createApiServer = (face: Face): Server =>
  createServer({ keepAliveTimeout: keepAliveMs }, (request, response) => {
    void serve(face, request, response)
  })

const serve = async (
  face: Face,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const body = await readBody(request)
  const { method = 'GET', headers, url = '/' } = request
  if (method !== 'POST' && method !== 'GET') {
    return void response.writeHead(405, { allow: 'GET, POST' }).end()
  }
  if (body === undefined) return void response.writeHead(413).end()
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
    'x-acs-request-id': answer.requestId,
  })
  response.end(answer.body)
}
