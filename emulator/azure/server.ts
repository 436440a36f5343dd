// The HTTPS side: ARM and the authority share one address, as they do in private clouds; resets
// and silence are real ones.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Server, createServer } from 'node:https'
import { readBody } from '#emulator/body.ts'
import type { Authority } from './authority.ts'
import type { Certificate } from './certificate.ts'
import type { Answer, Face } from './face.ts'

// Node's 5 s would close idle connections in the moment when a client sends its next call.
const keepAliveMs = 60_000

/** An HTTPS server, not yet listening. */
export const createArmServer = (
  faces: { readonly arm: Face; readonly authority: Authority },
  { key, cert }: Pick<Certificate, 'key' | 'cert'>,
): Server =>
  createServer({ key, cert, keepAliveTimeout: keepAliveMs }, (request, response) => {
    void serve(faces, request, response)
  })

const serve = async (
  faces: { readonly arm: Face; readonly authority: Authority },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const body = await readBody(request)
  if (body === undefined) return void response.writeHead(413).end()
  const { method = 'GET', headers, url = '/' } = request
  const call = { method, url, headers, body }
  send(faces.authority(call) ?? (await faces.arm(call)), response)
}

const send = (answer: Answer, response: ServerResponse): void => {
  if (answer.kind === 'hang') return
  if (answer.kind === 'reset') {
    response.socket?.destroy()
    return
  }
  response.writeHead(answer.status, answer.headers)
  response.end(answer.body)
}
