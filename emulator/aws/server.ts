// The HTTP side of the EC2 face: one POST per call.
import { type Server, createServer } from 'node:http'
import type { Face } from '#emulator/wire/answer.ts'
import { keepAliveTimeout, listenerOf } from '#emulator/wire/server.ts'

/** An HTTP server, not yet listening. */
export const createEc2Server = (face: Face): Server =>
  createServer({ keepAliveTimeout }, listenerOf(face, ['POST']))
