// Pod links of ours that belong to no pod the daemon knows: their addresses rest while the links
// are there, and nothing else about them is touched.

import { withNic } from './change.ts'
import { type Cidr, contains, type Ip } from './ip.ts'
import { after, type Millis } from './names.ts'
import type { HostReport } from './ports.ts'
import { noteProblem } from './problems.ts'
import type { Nic, State } from './state.ts'

// A pod the ledger forgot (a corrupt file) still uses its address: it must not be given to another.
/** Keeps the addresses of pod links that belong to no pod we know from other pods. */
export const restStrays = (state: State, strays: HostReport['strays'], at: Millis): State => {
  let next = state
  for (const { link, ips } of strays) {
    for (const ip of ips) {
      const held = findAddress(next, ip)
      const use = held?.nic.uses.get(ip)
      if (held === undefined || use?.kind === 'assigned' || use?.link === link) continue
      const until = after(at, state.config.coolingMs)
      const { nic, block } = held
      const uses = new Map(nic.uses).set(ip, { kind: 'cooling', until, link, isStray: true, block })
      next = withNic(next, { ...nic, uses })
      const text =
        `${ip} is used by link ${link} of a pod this daemon does not know; the address rests ` +
        'until the link is gone, delete the pod to get it back'
      next = noteProblem(next, `stray ${ip}`, { text, kind: 'host', at })
    }
  }
  return next
}

type Held = { readonly nic: Nic; readonly block: Cidr }

const findAddress = (state: State, ip: Ip): Held | undefined => {
  for (const nic of state.nics.values()) {
    for (const block of nic.blocks.keys()) if (contains(block, ip)) return { nic, block }
  }
  return undefined
}
