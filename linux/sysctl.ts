// Network sysctls, of the process's own namespace unless one is named. IPv4 settings of single
// links go through netlink (netlink/link.ts); here are those it does not know, such as
// ipv4/ip_forward.

import { readFileSync, writeFileSync } from 'node:fs'
import { writeSetting } from './native.ts'

/** Success, or one sentence that says why not. */
export type Written = { readonly ok: true } | { readonly ok: false; readonly message: string }

/**
 * The value of a sysctl named by its path below /proc/sys/net, such as `ipv4/conf/eth0/rp_filter`
 * (link names may hold dots, so they cannot separate); undefined when the kernel has none.
 */
export const readSysctl = (name: string): string | undefined => {
  const path = pathOf(name)
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new Error(`cannot read the sysctl net/${name}`, { cause })
  }
}

/** Sets a sysctl unless it has the value already; a read-only /proc/sys is then no obstacle. */
export const writeSysctl = (name: string, value: string | number): Written => {
  if (readSysctl(name) === String(value)) return { ok: true }
  try {
    writeFileSync(pathOf(name), String(value))
    return { ok: true }
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error'
    return {
      ok: false,
      message: `cannot set the sysctl net/${name} to ${value}: ${code}; ${ADVICE[code] ?? ''}`,
    }
  }
}

/** Sets a sysctl of another namespace. Throws ExchangeError. */
export const writeSysctlIn = (netnsFd: number, name: string, value: string | number): void =>
  writeSetting(netnsFd, pathOf(name), String(value))

const ADVICE: Readonly<Record<string, string>> = {
  EACCES: 'run as root',
  EINVAL: 'the kernel does not take this value',
  ENOENT: 'this kernel does not have it',
  EROFS: 'mount /proc/sys writable, or set it on the host',
}

const pathOf = (name: string): string => {
  const parts = name.split('/')
  if (parts.some(part => part === '' || part === '.' || part === '..')) {
    throw new TypeError(`"${name}" is not the name of a network sysctl`)
  }
  return `/proc/sys/net/${name}`
}
