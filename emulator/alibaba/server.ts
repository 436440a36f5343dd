// The HTTP side of the RPC face: one request per call.
import { type Server, createServer } from 'node:http'
import type { Face } from '#emulator/wire/answer.ts'
import { keepAliveTimeout, listenerOf } from '#emulator/wire/server.ts'

/** An HTTP server, not yet listening. */
export const createApiServer = (face: Face): Server =>
  createServer({ keepAliveTimeout }, listenerOf(face, ['GET', 'POST']))
