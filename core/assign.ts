// Which addresses a new pod gets: all from one NIC, the fullest one and there from the fullest
// block, so that others drain and can be returned; then the address that has rested longest.

import { canServe } from './delegated.ts'
import { familyOf, type Cidr, type Family, type Ip } from './ip.ts'
import type { Millis } from './names.ts'
import { countNic, isCooling, isServing, isSettled, usableAddresses } from './pool.ts'
import type { AddRequest, Nic, State } from './state.ts'

export type Choice = {
  readonly nic: Nic
  /** One address per configured family, in the configured order. */
  readonly addresses: readonly { readonly ip: Ip; readonly block: Cidr }[]
}

/** What of a request decides where its addresses come from. */
export type Wanted = Pick<AddRequest, 'pool' | 'delegator'>

/** Undefined when no NIC of the pool has a warm address of every family. */
export const chooseAddresses = (state: State, wanted: Wanted, now: Millis): Choice | undefined => {
  for (const { nic } of servingNics(state, wanted, now)) {
    const isHeld = (ip: Ip): boolean => isHeldElsewhere(state, nic, { ip, now })
    const addresses = state.config.families.flatMap(
      family => chooseOn(nic, { family, now, isHeld }) ?? [],
    )
    // All or nothing: a pod with one of two families would never get the other.
    if (addresses.length === state.config.families.length) return { nic, addresses }
  }
  return undefined
}

type Serving = { readonly nic: Nic; readonly assigned: number }

const servingNics = (state: State, wanted: Wanted, now: Millis): readonly Serving[] => {
  const serving: Serving[] = []
  for (const nic of state.nics.values()) {
    if (nic.pool !== wanted.pool || !isServing(nic) || !canServe(nic, wanted)) continue
    let [assigned, isWarm] = [0, true]
    for (const family of state.config.families) {
      const counts = countNic(nic, family, now)
      assigned += counts.assigned
      isWarm &&= counts.warm > 0
    }
    if (isWarm) serving.push({ nic, assigned })
  }
  return serving.sort((a, b) => b.assigned - a.assigned || a.nic.slot - b.nic.slot)
}

type Candidate = {
  readonly ip: Ip
  readonly block: Cidr
  readonly taken: number
  /** End of its last rest; −1 when it was never used. */
  readonly restedSince: number
}

// Clouds lend first what was returned last: an address that somebody took from another NIC by hand
// may come back on this one while its old pod still lives.
/** True when another NIC's pod still has the address, or had it so lately that it rests. */
export const isHeldElsewhere = (
  state: State,
  nic: Nic,
  { ip, now }: { readonly ip: Ip; readonly now: Millis },
): boolean => {
  for (const other of state.nics.values()) {
    const use = other === nic ? undefined : other.uses.get(ip)
    if (use?.kind === 'assigned' || (use !== undefined && isCooling(use, now))) return true
  }
  return false
}

type Filter = {
  readonly family: Family
  readonly now: Millis
  readonly isHeld: (ip: Ip) => boolean
}

const chooseOn = (nic: Nic, { family, now, isHeld }: Filter): Candidate | undefined => {
  const taken = takenPerBlock(nic)
  let best: Candidate | undefined
  for (const block of nic.blocks.values()) {
    if (familyOf(block.cidr) !== family || !isSettled(block, now)) continue
    const used = taken.get(block.cidr) ?? 0
    for (const ip of usableAddresses(block)) {
      const use = nic.uses.get(ip)
      if (use?.kind === 'assigned' || (use?.kind === 'cooling' && isCooling(use, now))) continue
      const candidate = { ip, block: block.cidr, taken: used, restedSince: use?.until ?? -1 }
      const isBest = best === undefined || isBetter(candidate, best)
      if (isBest && !isHeld(ip)) best = candidate
    }
  }
  return best
}

const isBetter = (a: Candidate, b: Candidate): boolean => {
  if (a.taken !== b.taken) return a.taken > b.taken
  return a.restedSince < b.restedSince
}

const takenPerBlock = (nic: Nic): ReadonlyMap<Cidr, number> => {
  const taken = new Map<Cidr, number>()
  for (const use of nic.uses.values()) {
    if (use.kind === 'assigned') taken.set(use.block, (taken.get(use.block) ?? 0) + 1)
  }
  return taken
}
