// The HTTP side of a metadata service: who asks is told by the address a question comes from, and
// who is nobody, or too far off, hears nothing.
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import type { Instance } from '#emulator/model/types.ts'
import { type World, occasionOf } from '#emulator/model/world.ts'
import type { Asker } from '#emulator/platform.ts'

/** What every metadata service needs. */
export interface MetadataParts {
  readonly world: World
  /** The instance behind a remote address; undefined: nobody's, the connection is dropped. */
  readonly ask: (remoteAddress: string) => Asker | undefined
}

/** One question, and who asks it over how many network hops. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly instance: Instance
  readonly hops: number
}

/** One cloud's way of answering. */
export interface MetadataManners {
  /** False: the caller hears nothing. */
  readonly isHeard: (instance: Instance, hops: number) => boolean
  /** Answers with the status of a `metadataFail` fault. */
  readonly fail: (response: ServerResponse, status: number) => void
  readonly answer: (exchange: Exchange) => void
}

/** An HTTP server, not yet listening. */
export const metadataServer = ({ world, ask }: MetadataParts, manners: MetadataManners): Server =>
  createServer((request, response) => {
    const asker = ask(request.socket.remoteAddress ?? '')
    const instance = world.instances.get(asker?.instanceId ?? '')
    const isKnown = asker !== undefined && instance !== undefined
    if (!isKnown || !manners.isHeard(instance, asker.hops)) {
      request.socket.destroy()
      return
    }
    request.resume()
    const [failed] = world.faults.strike(['metadataFail'], occasionOf(world, instance.id))
    if (failed !== undefined) return manners.fail(response, failed.status)
    manners.answer({ request, response, instance, hops: asker.hops })
  })
