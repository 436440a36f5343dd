// NICs and blocks that somebody took away under running pods: what is said of them, to whoever asks
// about the node or about one pod. From the state alone, so that a restart forgets none of it.

import type { Cidr } from './ip.ts'
import type { Nic, Sandbox, State } from './state.ts'

/** The sentence for a NIC that pods use and the cloud no longer shows here. */
export const lostNicText = (nic: Nic): string =>
  `${nic.id} is no longer attached to this instance although pods use it; somebody detached ` +
  `it, delete these pods: ${holders(nic, undefined)}`

/** The sentence for a block that pods use and the cloud no longer shows on its NIC. */
export const lostBlockText = (nic: Nic, cidr: Cidr): string =>
  `${cidr} is no longer on ${nic.id} although pods use it; somebody returned it, ` +
  `delete these pods: ${holders(nic, cidr)}`

/** The first NIC or block that was lost while pods use it, as a sentence. */
export const whatIsLost = (state: State): string | undefined => {
  for (const nic of state.nics.values()) {
    if (nic.phase.kind === 'lost' && isUsed(nic, undefined)) return lostNicText(nic)
    for (const { cidr, phase } of nic.blocks.values()) {
      if (phase.kind === 'lost' && isUsed(nic, cidr)) return lostBlockText(nic, cidr)
    }
  }
  return undefined
}

/**
 * Why packets of a pod can go nowhere, whatever its wiring looks like; undefined while they can.
 */
export const lossOf = (state: State, sandbox: Sandbox): string | undefined => {
  const nic = state.nics.get(sandbox.nic)
  if (nic === undefined) return `${sandbox.nic}, whose addresses it has, is not known any more`
  if (nic.phase.kind === 'lost') return lostNicText(nic)
  const isAway = nic.phase.kind === 'attaching' && nic.device === undefined
  if (isAway && state.host.reconciledAt !== undefined) {
    return `the device of ${nic.id} is missing on the node; its addresses lead nowhere`
  }
  for (const { block } of sandbox.addresses) {
    if (nic.blocks.get(block)?.phase.kind === 'lost') return lostBlockText(nic, block)
  }
  return undefined
}

const isUsed = (nic: Nic, cidr: Cidr | undefined): boolean =>
  [...nic.uses.values()].some(
    use => use.kind === 'assigned' && (cidr === undefined || use.block === cidr),
  )

const holders = (nic: Nic, cidr: Cidr | undefined): string => {
  const held = [...nic.uses.values()].flatMap(use =>
    use.kind === 'assigned' && (cidr ?? use.block) === use.block ? [use.sandbox] : [],
  )
  return [...new Set(held)].sort().join(', ')
}
