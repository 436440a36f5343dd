// The HTTP side of a face: one request per call, read whole; resets and silence are real ones.
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { TLSSocket } from 'node:tls'
import { readBody } from '#emulator/body.ts'
import type { Answer, Face } from './answer.ts'

/** For API servers: Node's 5 s would close idle connections just when a client sends again. */
export const keepAliveTimeout = 60_000

/** Serves a face; `methods` are those it answers to, left out: every one. */
export const listenerOf = (face: Face, methods?: readonly string[]): RequestListener =>
  function listen(request, response) {
    void serve({ face, methods }, request, response)
  }

const serve = async (
  { face, methods }: { readonly face: Face; readonly methods: readonly string[] | undefined },
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const body = await readBody(request)
  const { method = 'GET', headers, url = '/' } = request
  if (methods?.includes(method) === false) {
    return void response.writeHead(405, { allow: methods.join(', ') }).end()
  }
  if (body === undefined) return void response.writeHead(413).end()
  await send(await face({ method, url, headers, body }), response)
}

const send = async (answer: Answer, response: ServerResponse): Promise<void> => {
  if (answer.kind === 'hang') return
  if (answer.kind === 'reset') return reset(response)
  response.writeHead(answer.status, answer.headers)
  if (!(response.socket instanceof TLSSocket)) return void response.end(answer.body)
  await writePieces(response, Buffer.from(answer.body))
  response.end()
}

// Piece by piece, so that a connection never waits to drain when its next request comes: Node then
// pauses the parser, feeds it what TLS has decrypted all the same, and resets the connection
// (HPE_PAUSED). Every third write after a read of 160 kB met that (measured, Node 24).
const pieceBytes = 16 << 10

const writePieces = async (response: ServerResponse, bytes: Buffer): Promise<void> => {
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    await written(response, bytes.subarray(at, at + pieceBytes))
  }
}

// A connection that is gone takes no more; nobody waits for it.
const written = (response: ServerResponse, piece: Buffer): Promise<void> =>
  new Promise(resolve => void response.write(piece, () => resolve()))

// Only a plain socket can be reset (net.Socket.resetAndDestroy); TLS just ends in the middle.
const reset = ({ socket }: ServerResponse): void => {
  if (socket instanceof TLSSocket) socket.destroy()
  else socket?.resetAndDestroy()
}
