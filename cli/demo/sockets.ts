// UDP sockets of other network namespaces in this process. Dozens of pods would otherwise need a
// process each just to answer; a socket keeps the namespace in which it was opened.

import { spawn } from 'node:child_process'
import type { Socket } from 'node:dgram'
import { join } from 'node:path'
import { inNetns } from '#emulator/fabric/command.ts'
import { nodeBinary } from '#emulator/fabric/node.ts'

/** Where to open a socket; `netns` is a name. */
export type SocketPlace = {
  readonly netns: string
  readonly address: string
  readonly port: number
}

const tool = join(import.meta.dirname, 'tools', 'lend.ts')

/** Starts of small programs at the same time: more would only compete for the processors. */
const openersMax = 4

/** Opens a socket for each place, in order. All or none: a failure closes the others. */
export const openSockets = async (
  places: readonly SocketPlace[],
  signal: AbortSignal,
): Promise<readonly Socket[]> => {
  const opened = new Map<SocketPlace, Socket>()
  const rest = [...places]
  const work = async (): Promise<void> => {
    for (let place = rest.shift(); place !== undefined; place = rest.shift()) {
      signal.throwIfAborted()
      opened.set(place, await openSocket(place))
    }
  }
  const workers = Array.from({ length: openersMax }, work)
  await Promise.allSettled(workers)
  try {
    await Promise.all(workers)
  } catch (error) {
    closeSockets([...opened.values()])
    throw error
  }
  return places.flatMap(place => opened.get(place) ?? [])
}

/** Closes them; an open socket would keep its namespace alive. */
export const closeSockets = (sockets: readonly Socket[]): void => {
  for (const socket of sockets) socket.close()
}

type Handover = { readonly error: string }

const openSocket = ({ netns, address, port }: SocketPlace): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const fail = (why: string): void =>
      reject(new Error(`cannot open a UDP socket on ${address} in namespace ${netns}: ${why}`))
    const argv = inNetns(netns, [nodeBinary(), tool, address, String(port)])
    const stdio = ['ignore', 'ignore', 'inherit', 'ipc'] as const
    const child = spawn(argv[0] ?? '', argv.slice(1), { stdio: [...stdio], detached: true })
    child.on('message', ({ error }: Handover, handle) => {
      if (handle === undefined) fail(error)
      else resolve(handle as Socket)
    })
    child.on('error', error => fail(error.message))
    // After a handover this rejection has no effect any more.
    child.on('close', code => fail(`its helper ended with ${code}`))
  })
