// The daemon's two doors: the unix socket for the CNI executable, root only, and loopback HTTP for
// metrics, health and state.

import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { dirname } from 'node:path'
import { cniRequestHandler, type HandlerOptions } from '#cni/plugin/http.ts'
import type { Attachments } from '#cni/plugin/ports.ts'
import type { Millis } from '#core/names.ts'
import type { State } from '#core/state.ts'
import { ExchangeError } from '#linux/kernel.ts'
import { peerCredentials } from '#linux/native.ts'
import { makeDirectory } from '#runtime/directory.ts'
import { type HttpServer, serve } from '#runtime/http.ts'
import type { Metrics } from '#runtime/metrics.ts'
import type { Gathering } from './gathering.ts'
import { isReady, nodeView, whyView } from './views.ts'

/** Opens the CNI socket; callers that are not root (or this user) are cut off. */
export const serveCni = (
  path: string,
  attachments: Attachments,
  { gathering, ...options }: HandlerOptions & { readonly gathering: Gathering },
): Promise<HttpServer> => {
  makeDirectory(dirname(path), 0o700)
  const handler = cniRequestHandler(attachments, options)
  const listener: RequestListener = (request, response) => {
    gathering.arrived(request.socket)
    if (isTrusted(request.socket)) return handler(request, response)
    request.socket.destroy()
  }
  return serve({ kind: 'unix', path }, listener, gathering.arriving)
}

const trusted = new WeakSet<Socket>()

// The mode of the socket file already keeps others out; this also holds when somebody changed it.
const isTrusted = (socket: Socket): boolean => {
  if (trusted.has(socket)) return true
  const { fd } =
    (socket as unknown as { readonly _handle?: { readonly fd?: number } })._handle ?? {}
  if (fd === undefined || fd < 0) return false
  try {
    const { uid } = peerCredentials(fd)
    if (uid !== 0 && uid !== process.getuid?.()) return false
  } catch (error) {
    if (!(error instanceof ExchangeError)) throw error
    return false
  }
  trusted.add(socket)
  return true
}

export type StateParts = {
  readonly state: () => State
  readonly now: () => Millis
  readonly metrics: Metrics
}

/** Opens `/metrics`, `/healthz`, `/readyz`, `/v1/node` and `/v1/why` on 127.0.0.1. */
export const serveState = (port: number, parts: StateParts): Promise<HttpServer> =>
  serve({ kind: 'loopback', port }, stateHandler(parts))

/** A listener for the state paths; also usable behind another server. */
export const stateHandler =
  (parts: StateParts): RequestListener =>
  (request, response) => {
    route(request, response, parts).catch(() => response.destroy())
  }

const route = async (
  request: IncomingMessage,
  response: ServerResponse,
  { state, now, metrics }: StateParts,
): Promise<void> => {
  const url = URL.parse(request.url ?? '/', 'http://localhost')
  if (url === null) return send(response, 400, { error: `${request.url} is no path` })
  if (request.method !== 'GET') return send(response, 405, { error: 'only GET is answered here' })
  switch (url.pathname) {
    case '/metrics':
      response.writeHead(200, { 'content-type': metrics.contentType })
      return void response.end(await metrics.text())
    case '/healthz':
      return send(response, 200, { status: 'alive' })
    case '/readyz': {
      const ready = isReady(state(), now())
      return send(response, ready ? 200 : 503, { status: ready ? 'ready' : 'not ready' })
    }
    case '/v1/node':
      return send(response, 200, nodeView(state(), now()))
    case '/v1/why': {
      const pod = url.searchParams.get('pod') ?? ''
      const view = whyView(state(), pod, now())
      const error = `this node knows no pod "${pod}"; name one of its pods as NAMESPACE/NAME`
      return view === undefined ? send(response, 404, { error }) : send(response, 200, view)
    }
    default:
      return send(response, 404, {
        error: `there is no ${url.pathname} here`,
        paths: ['/metrics', '/healthz', '/readyz', '/v1/node', '/v1/why?pod=NAMESPACE/NAME'],
      })
  }
}

const send = (response: ServerResponse, status: number, value: unknown): void => {
  const text = `${JSON.stringify(value)}\n`
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  })
  response.end(text)
}
