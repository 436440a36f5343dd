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
  send(await face({ method, url, headers, body }), response)
}

const send = (answer: Answer, response: ServerResponse): void => {
  if (answer.kind === 'hang') return
  if (answer.kind === 'reset') return reset(response)
  response.writeHead(answer.status, answer.headers)
  response.end(answer.body)
}

// Only a plain socket can be reset (net.Socket.resetAndDestroy); TLS just ends in the middle.
const reset = ({ socket }: ServerResponse): void => {
  if (socket instanceof TLSSocket) socket.destroy()
  else socket?.resetAndDestroy()
}
