// The HTTPS side: ARM and the authority share one address, as they do in private clouds.
import { type Server, createServer } from 'node:https'
import type { Face } from '#emulator/wire/answer.ts'
import { keepAliveTimeout, listenerOf } from '#emulator/wire/server.ts'
import type { Authority } from './authority.ts'
import type { Certificate } from './certificate.ts'

/** An HTTPS server, not yet listening. */
export const createArmServer = (
  faces: { readonly arm: Face; readonly authority: Authority },
  { key, cert }: Pick<Certificate, 'key' | 'cert'>,
): Server =>
  createServer(
    { key, cert, keepAliveTimeout },
    listenerOf(async call => faces.authority(call) ?? (await faces.arm(call))),
  )
