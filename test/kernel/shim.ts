// Runs the built CNI executable as a container runtime does, and daemons that misbehave.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { buildShim } from '#tools/shim.mjs'

export type Run = {
  readonly command?: string
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string | Buffer
  /** Leaves stdin open, as a caller that never says anything. */
  readonly isStdinOpen?: boolean
  /** Runs the executable through this shell text, where "$0" is its path. */
  readonly shell?: string
  readonly args?: readonly string[]
  readonly executable?: string
}

export type Ran = {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

const variables = { CNI_CONTAINERID: 'c1', CNI_NETNS: '/run/netns/ew-none', CNI_IFNAME: 'eth0' }

/** Runs the executable to its end. Without a command no CNI variable is set but those in `env`. */
export const runShim = async (run: Run): Promise<Ran> => {
  const { command, env = {}, stdin = '', args = [], executable = buildShim() } = run
  const cni = command === undefined ? {} : { ...variables, CNI_COMMAND: command }
  const child = spawn(
    run.shell === undefined ? executable : 'sh',
    run.shell === undefined ? [...args] : ['-c', run.shell, executable],
    { env: { PATH: process.env['PATH'], HOME: '/', ...cni, ...env } },
  )
  // It need not read all of stdin.
  child.stdin.on('error', () => undefined)
  if (run.isStdinOpen !== true) child.stdin.end(stdin)
  const ended = new Promise<number | null>(resolve => child.once('close', resolve))
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  const exitCode = await ended
  child.stdin.destroy()
  return { exitCode, stdout, stderr }
}

/** A directory for one test, with the path of a socket in it that nobody listens on yet. */
export const makePlace = () => {
  const directory = mkdtempSync(join(tmpdir(), 'ew-shim-'))
  return {
    directory,
    socket: join(directory, 'cni.sock'),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  }
}

/** A configuration that points to that socket. */
export const configFor = (socket: string, more: object = {}): string =>
  JSON.stringify({ cniVersion: '1.0.0', name: 'net', type: 'eniway', socket, ...more })

/** A server on bytes, for daemons that break the rules; close it after the test. */
export const listenRaw = async (
  socket: string,
  onConnection: (peer: Socket) => void,
): Promise<Server> => {
  const server = createServer(peer => {
    peer.on('error', () => undefined)
    onConnection(peer)
  })
  await new Promise<void>(resolve => server.listen(socket, resolve))
  return server
}
