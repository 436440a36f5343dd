// Opens network namespaces by path. A path comes from the container runtime, so anything may be
// behind it; only a file that the kernel calls a network namespace is accepted.

import { closeSync, constants, fstatSync, openSync, readlinkSync, statfsSync } from 'node:fs'

/** An open namespace; close it, because an open fd keeps a pod's namespace alive. */
export type OpenNamespace = Disposable & {
  readonly kind: 'open'
  readonly path: string
  readonly fd: number
  readonly identity: NamespaceIdentity
  close(): void
}

/** Why a path is not a namespace: `missing` is usual on DEL, `invalid` is the caller's mistake. */
export type RefusedNamespace = {
  readonly kind: 'missing' | 'invalid'
  readonly path: string
  readonly message: string
}

/** Device and inode: equal when two paths mean the same namespace. */
export type NamespaceIdentity = string & { readonly [identityBrand]: true }

declare const identityBrand: unique symbol

/** Opens a namespace path such as /run/netns/NAME or /proc/PID/ns/net. */
export const openNamespace = (path: string): OpenNamespace | RefusedNamespace => {
  const fd = openOrExplain(path)
  if (typeof fd !== 'number') return fd
  if (!isNetworkNamespace(fd)) {
    closeSync(fd)
    const message = `${path} is not a network namespace; was it unmounted or never mounted?`
    return { kind: 'invalid', path, message }
  }
  const close = closeOnce(fd)
  return { kind: 'open', path, fd, identity: identityOf(fd), close, [Symbol.dispose]: close }
}

/** The namespace this process runs in, to refuse work on a path that means the node itself. */
export const ownNamespaceIdentity = (): NamespaceIdentity => {
  const fd = openSync('/proc/thread-self/ns/net', constants.O_RDONLY)
  try {
    return identityOf(fd)
  } finally {
    closeSync(fd)
  }
}

const openOrExplain = (path: string): number | RefusedNamespace => {
  try {
    // Without O_NONBLOCK a FIFO at this path would stop the process until somebody writes.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error'
    const isMissing = code === 'ENOENT' || code === 'ENOTDIR' || code === 'ESRCH'
    const reason = isMissing ? 'it does not exist' : code
    const message = `cannot open the network namespace ${path}: ${reason}`
    return { kind: isMissing ? 'missing' : 'invalid', path, message }
  }
}

// Namespaces are the only files of this file system. Opened below /proc the kernel names one by its
// type; opened where it is mounted, by its path, and then entering it tells (fs/nsfs.c).
const isNetworkNamespace = (fd: number): boolean => {
  const own = `/proc/self/fd/${fd}`
  if (statfsSync(own).type !== NSFS_MAGIC) return false
  const name = readlinkSync(own)
  return name.startsWith('/') || name.startsWith('net:[')
}

// include/uapi/linux/magic.h
const NSFS_MAGIC = 0x6e73_6673

const identityOf = (fd: number): NamespaceIdentity => {
  const { dev, ino } = fstatSync(fd, { bigint: true })
  return `${dev}:${ino}` as NamespaceIdentity
}

const closeOnce = (fd: number): (() => void) => {
  let isOpen = true
  return () => {
    if (isOpen) closeSync(fd)
    isOpen = false
  }
}
