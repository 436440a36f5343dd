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
  await send(faces.authority(call) ?? (await faces.arm(call)), response)
}

const send = async (answer: Answer, response: ServerResponse): Promise<void> => {
  if (answer.kind === 'hang') return
  if (answer.kind === 'reset') {
    response.socket?.destroy()
    return
  }
  response.writeHead(answer.status, answer.headers)
  const bytes = Buffer.from(answer.body)
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    await written(response, bytes.subarray(at, at + pieceBytes))
  }
  response.end()
}

// Piece by piece, so that a connection never waits to drain when its next request comes: Node then
// pauses the parser, feeds it what TLS has decrypted all the same, and resets the connection
// (HPE_PAUSED). Every third write after a read of 160 kB met that (measured, Node 24).
const pieceBytes = 16 << 10

// A connection that is gone takes no more; nobody waits for it.
const written = (response: ServerResponse, piece: Buffer): Promise<void> =>
  new Promise(resolve => void response.write(piece, () => resolve()))
