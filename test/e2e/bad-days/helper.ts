// Small programs of ours that run in a network namespace beside a test, and end with it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { inNetns } from '#emulator/fabric/command.ts'
import { nodeBinary, startEcho } from '#emulator/fabric/node.ts'

export type Helper = {
  /** Ends it and returns the last line it printed. */
  end(): Promise<string>
}

/** Starts `tools/NAME.ts` and waits until it says that it is ready. */
export const startHelper = async (
  netns: string,
  name: 'pinger' | 'relay',
  args: readonly string[],
): Promise<Helper> => {
  const program = [nodeBinary(), join(import.meta.dirname, 'tools', `${name}.ts`), ...args]
  const [command = '', ...argv] = inNetns(netns, program)
  const child = spawn(command, argv, { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })
  let last = ''
  lines.on('line', line => (last = line))
  await Promise.race([
    once(lines, 'line'),
    exited.then(([code]) => {
      throw new Error(`${name} in ${netns} ended at once with code ${code}`)
    }),
  ])
  return {
    end: async () => {
      child.stdin.end()
      await exited
      return last
    },
  }
}

/** What became of a steady stream of datagrams. */
export type Traffic = { readonly sent: number; readonly answered: number }

const echoPort = 7007
const intervalMs = 20

/** Datagrams from one pod to another and back, until the returned function ends them. */
export const startTraffic = async (
  from: string,
  to: { readonly netns: string; readonly address: string },
  port = echoPort,
): Promise<() => Promise<Traffic>> => {
  const name = (path: string): string => path.split('/').at(-1) ?? ''
  const echo = await startEcho({ netns: name(to.netns), port, addresses: [to.address] })
  const args = [to.address, String(port), String(intervalMs)]
  const pinger = await startHelper(name(from), 'pinger', args)
  return async () => {
    const traffic = JSON.parse(await pinger.end()) as Traffic
    await echo.close()
    return traffic
  }
}
