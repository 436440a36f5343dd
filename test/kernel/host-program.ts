// Drives ipamd/host.ts inside the namespace it is started in, because the Host works on its own
// process's namespace: one JSON command per line on stdin, one JSON answer per line on stdout.

import { createInterface } from 'node:readline'
import type { HostReport } from '#core/ports.ts'
import type { HostWiring, PodWiring } from '#core/wiring.ts'
import { createHost } from '#ipamd/host.ts'

/** What the program is asked. `gone` asks which links the background has deleted so far. */
export type HostCommand =
  | { readonly kind: 'wire' | 'unwire'; readonly pods: readonly PodWiring[] }
  | { readonly kind: 'reconcile'; readonly desired: HostWiring }
  | { readonly kind: 'gone' }

/** A HostReport as JSON. */
export type PlainReport = Omit<HostReport, 'podLinks' | 'goneNamespaces'> & {
  readonly podLinks: readonly number[]
  readonly goneNamespaces: readonly string[]
}

const gone: number[] = []
const host = createHost({ onLinkGone: ifindex => gone.push(ifindex) })

const answer = (command: HostCommand): unknown => {
  switch (command.kind) {
    case 'wire':
      return command.pods.map(pod => host.wirePod(pod))
    case 'unwire':
      return command.pods.map(pod => host.unwirePod(pod))
    case 'gone':
      return gone
    case 'reconcile': {
      const report = host.reconcile(command.desired)
      const { podLinks, goneNamespaces } = report
      return { ...report, podLinks: [...podLinks], goneNamespaces: [...goneNamespaces] }
    }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(answer(JSON.parse(line) as HostCommand))}\n`)
}
process.exit(0)
