// Our side of the comparison: the built executable and a running daemon on an emulated node.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BenchNode } from './nodes.ts'
import type { Session } from './shell.ts'
import type { Side } from './side.ts'

export const ourHttp = { host: '127.0.0.1', port: 61_680 } as const

// Asking starts a process, which must not keep the daemon from its work.
const toPrepare = { everyMs: 500, timeoutMs: 300_000 }
const toSettle = { everyMs: 50, timeoutMs: 30_000 }

/** Describes the node to the comparison; the node must already have installed its conflist. */
export const ourSide = async (session: Session, node: BenchNode): Promise<Side> => ({
  name: 'ours',
  netns: node.netns,
  program: join(node.cniBinDir, 'eniway'),
  cniPath: node.cniBinDir,
  config: await pluginConfig(join(node.cniConfDir, '10-eniway.conflist')),
  prepare: pods => session.until(`${pods} warm addresses`, () => hasWarm(node, pods), toPrepare),
  settle: podsLeft =>
    session.until(
      `all but ${podsLeft} pod links gone`,
      async () => (await countPodLinks(session, node)) === podsLeft,
      toSettle,
    ),
  residents: () => [node.daemonPid()],
})

// What libcni makes of a list for its only plugin (CNI 1.1.0, "Deriving execution configuration").
const pluginConfig = async (file: string): Promise<Record<string, unknown>> => {
  const list = JSON.parse(await readFile(file, 'utf8')) as {
    readonly name: string
    readonly plugins: readonly Record<string, unknown>[]
  }
  return { ...list.plugins[0], cniVersion: '1.0.0', name: list.name }
}

const hasWarm = async (node: BenchNode, pods: number): Promise<boolean> => {
  const { pools } = await node.view()
  return pools.reduce((sum, pool) => sum + pool.warm, 0) >= pods
}

const countPodLinks = async (session: Session, node: BenchNode): Promise<number> => {
  const args = ['-oneline', 'link', 'show']
  const links = await session.run({ program: 'ip', args, netns: node.netns })
  return links.match(/: ewy[0-9a-f]{12}[@:]/g)?.length ?? 0
}
