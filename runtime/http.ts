// A small node:http server on a unix socket or on loopback, that ends cleanly: it refuses new
// requests, lets those under way finish, and cuts what does not finish in time.

import { chmodSync, lstatSync, rmSync } from 'node:fs'
import { type RequestListener, type Server, createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'

export type Address =
  | { readonly kind: 'unix'; readonly path: string }
  /** Port 0 lets the kernel choose. */
  | { readonly kind: 'loopback'; readonly port: number }

export interface HttpServer {
  /** The port on loopback; 0 on a unix socket. */
  readonly port: number
  /** Resolves when every request has ended or was cut after `drainMs`. */
  close(drainMs: number): Promise<void>
}

/** A unix socket left by a dead process is replaced, a living one is an error; root only. */
export const serve = async (
  address: Address,
  listener: RequestListener,
  onConnection: (socket: Socket) => void = () => undefined,
): Promise<HttpServer> => {
  // Node refuses a request without one in no words, and a unix socket has no host.
  const server = createServer({ requireHostHeader: false }, listener)
  server.on('connection', onConnection)
  server.on('clientError', refuseUnreadable)
  if (address.kind === 'unix') {
    await clearDeadSocket(address.path)
    await listen(server, { path: address.path })
    chmodSync(address.path, 0o600)
  } else {
    await listen(server, { host: '127.0.0.1', port: address.port })
  }
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0
  return { port, close: drainMs => close(server, drainMs) }
}

const statuses: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

// Whoever sends what is no HTTP is told so in one sentence, and cut off.
const refuseUnreadable = (error: NodeJS.ErrnoException, socket: Duplex): void => {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy()
  const text = `the request cannot be read as HTTP/1.1: ${error.message}\n`
  const lines = [
    `HTTP/1.1 ${statuses[error.code ?? ''] ?? '400 Bad Request'}`,
    'connection: close',
    'content-type: text/plain; charset=utf-8',
    `content-length: ${Buffer.byteLength(text)}`,
  ]
  socket.end(`${lines.join('\r\n')}\r\n\r\n${text}`, () => socket.destroy())
}

const listen = (server: Server, where: { path: string } | { host: string; port: number }) =>
  new Promise<void>((resolve, reject) => {
    const name = 'path' in where ? where.path : `${where.host}:${where.port}`
    server.once('error', cause =>
      reject(
        new Error(
          `cannot listen on ${name}: ${cause.message}; choose another in the configuration`,
          {
            cause,
          },
        ),
      ),
    )
    server.listen(where, resolve)
  })

const close = (server: Server, drainMs: number): Promise<void> =>
  new Promise(resolve => {
    const cut = setTimeout(() => server.closeAllConnections(), drainMs)
    server.close(() => {
      clearTimeout(cut)
      resolve()
    })
    server.closeIdleConnections()
  })

// A bound path outlives its process; only a connection tells whether somebody still listens.
const clearDeadSocket = async (path: string): Promise<void> => {
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found?.isSocket() !== true || (await isLiving(path))) return
  rmSync(path, { force: true })
}

const isLiving = (path: string): Promise<boolean> =>
  new Promise(resolve => {
    const socket = connect(path)
    const answer = (living: boolean) => (): void => {
      socket.destroy()
      resolve(living)
    }
    socket.once('connect', answer(true))
    socket.once('error', answer(false))
  })
