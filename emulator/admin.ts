// The admin face: small JSON over HTTP on a unix socket, so that a demonstration or a test in
// another process can ask what happened and steer what goes wrong. Not part of any cloud's API.
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import { readBody } from './body.ts'
import type { Emulator } from './emulator.ts'
import { Refusal } from './model/refusal.ts'
import { readFault, readInstance, readMaintenance } from './requests.ts'

/** What the routes use of an emulator. */
type Steered = Omit<Emulator, 'close' | 'settled'>

type Route = (emulator: Steered, input: { readonly id: string; readonly body: unknown }) => unknown

const routes: Readonly<Record<string, Route>> = {
  'GET /calls': emulator => emulator.results(),
  'GET /state': emulator => emulator.state(),
  'GET /endpoints': ({ platform, endpoint, region }) => ({ platform, api: endpoint, region }),
  'GET /faults': emulator => emulator.faults.list(),
  'POST /faults': (emulator, { body }) => ({ id: emulator.addFault(readFault(body)) }),
  'DELETE /faults': emulator => emulator.faults.clear(),
  'DELETE /faults/ID': (emulator, { id }) => ({ removed: emulator.faults.remove(id) }),
  'POST /instances': (emulator, { body }) => emulator.runInstance(readInstance(body)),
  'POST /maintenance': (emulator, { body }) => {
    const { instance, ms } = readMaintenance(body)
    return emulator.maintain(instance, ms)
  },
  'DELETE /instances/ID': (emulator, { id }) => emulator.terminateInstance(id),
}

/** An HTTP server, not yet listening: listen on a path that only root may use. */
export const createAdminServer = (emulator: Steered): Server =>
  createServer((request, response) => {
    void serve(emulator, request, response)
  })

const serve = async (
  emulator: Steered,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> => {
  const text = await readBody(request)
  const [, what = '', id] = (request.url ?? '/').split('/', 3)
  const name = `${request.method} /${what}${id === undefined ? '' : '/ID'}`
  const route = Object.hasOwn(routes, name) ? routes[name] : undefined
  if (route === undefined) {
    const known = Object.keys(routes).join(', ')
    return reply(response, 404, { error: `no route ${name}; known are: ${known}` })
  }
  try {
    const body = text === undefined || text === '' ? undefined : (JSON.parse(text) as unknown)
    return reply(response, 200, route(emulator, { id: decodeURIComponent(id ?? ''), body }) ?? {})
  } catch (error) {
    const isTheirs =
      error instanceof TypeError ||
      error instanceof SyntaxError ||
      error instanceof URIError ||
      error instanceof Refusal
    if (!isTheirs) throw error
    return reply(response, 400, { error: `cannot do ${name}: ${error.message}` })
  }
}

const reply = (response: ServerResponse, status: number, value: unknown): void => {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(value))
}
