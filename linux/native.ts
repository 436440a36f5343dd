// Loads the Node-API addon (linux/native/addon.c) and gives its functions types and errors.
// Nothing else in the project touches the addon.

import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { endianness } from 'node:os'
import { join } from 'node:path'
import { errnoName, errnoText } from './errno.ts'

/** Netlink families the addon speaks: NETLINK_ROUTE and NETLINK_NETFILTER. */
export type Protocol = 0 | 12

/** The namespace fd that stands for the process's own network namespace. */
export const OWN_NAMESPACE = -1

/** The whole exchange failed, so nothing is known about single requests; `code` names the errno. */
export class ExchangeError extends Error {
  readonly errno: number
  readonly code: string

  constructor(errno: number, doing: string) {
    super(`${doing}: ${errnoName(errno)} (${errnoText(errno)})${advice(errnoName(errno))}`)
    this.name = 'ExchangeError'
    this.errno = errno
    this.code = errnoName(errno)
  }
}

export type Credentials = { readonly pid: number; readonly uid: number; readonly gid: number }

/**
 * Sends whole netlink messages with consecutive sequence numbers into a namespace and returns every
 * byte of their answers. Blocks; throws ExchangeError when the exchange itself fails.
 */
export const transact = (netnsFd: number, bytes: Uint8Array, protocol: Protocol = 0): Buffer => {
  const answers = addon().transact(netnsFd, bytes, protocol)
  if (typeof answers !== 'number') return answers
  const where = netnsFd < 0 ? 'the own network namespace' : `the namespace of fd ${netnsFd}`
  throw new ExchangeError(-answers, `cannot exchange netlink messages in ${where}`)
}

/** Writes a file below /proc/sys/net as a namespace sees it. Throws ExchangeError. */
export const writeSetting = (netnsFd: number, path: string, text: string): void => {
  const errno = -addon().writeSetting(netnsFd, path, text)
  if (errno !== 0) throw new ExchangeError(errno, `cannot write ${text} to ${path}`)
}

/**
 * Deletes a link of the process's own namespace on a background thread and resolves with its errno:
 * 0 when gone, 19 (ENODEV) when there was none, 105 (ENOBUFS) when 65,536 already wait.
 */
export const deleteLinkInBackground = (ifindex: number): Promise<number> =>
  new Promise(resolve => {
    addon().deleteLink(ifindex, resolve)
  })

/** Who connected to the unix socket with this fd (SO_PEERCRED). Throws ExchangeError. */
export const peerCredentials = (fd: number): Credentials => {
  const peer = addon().peerCredentials(fd)
  if (typeof peer !== 'number') return peer
  throw new ExchangeError(peer, `cannot read the peer credentials of fd ${fd}`)
}

const advice = (code: string): string =>
  code === 'EPERM' ? '; run as root or with CAP_NET_ADMIN and CAP_SYS_ADMIN' : ''

type Addon = {
  transact(netnsFd: number, bytes: Uint8Array, protocol: Protocol): Buffer | number
  writeSetting(netnsFd: number, path: string, text: string): number
  deleteLink(ifindex: number, done: (errno: number) => void): void
  peerCredentials(fd: number): Credentials | number
}

let loaded: Addon | undefined

const addon = (): Addon => (loaded ??= load())

const load = (): Addon => {
  // The codecs write host byte order, which is little-endian on every machine Kubernetes runs on
  // but s390x; better to refuse there than to talk nonsense to the kernel.
  if (endianness() !== 'LE') throw new Error('eniway runs on little-endian machines only')
  const places = candidates()
  const file = places.find(place => existsSync(place))
  if (file !== undefined) return createRequire(file)(file) as Addon
  throw new Error(
    `the native addon is missing: looked for ${places.join(', ')}; run: node tools/native.mjs`,
  )
}

// From the source this file is linux/native.ts; in a bundle it is dist/NAME.cjs or dist/bin/NAME.
const candidates = (): readonly string[] => {
  const here = typeof __dirname === 'string' ? __dirname : import.meta.dirname
  const folders = ['native', '../native', '../dist/native']
  return folders.map(folder => join(here, folder, 'eniway.node'))
}
