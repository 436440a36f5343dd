// Everybody else in this cloud and on this machine: tenants of the same subnets, humans with a
// console, and programs that tidy up what is not theirs.

import type { Chance } from './chance.ts'
import type { Attacher } from './attach.ts'
import type { Scheduler } from './clock.ts'
import { type Estate, type EstateNic, onlyGroup } from './estate.ts'
import type { Faults } from './faults.ts'
import type { Kernel } from './kernel.ts'
import type { Trace } from './trace.ts'
import type { Scenario } from './scenario.ts'

export type NatureParts = {
  readonly estate: Estate
  readonly attacher: Attacher
  readonly kernel: Kernel
  readonly scheduler: Scheduler
  readonly chance: Chance
  readonly faults: Faults
  readonly trace: Trace
  readonly scenario: Scenario
}

export type Nature = {
  /** From now on everybody behaves, and the subnets have room again. */
  calm(): void
}

const tenantsEveryMs = 5_000

export const startNature = (parts: NatureParts): Nature => {
  const { scheduler, chance, scenario } = parts
  let isCalm = false
  const every = (ms: () => number, run: () => void): void => {
    const span = ms()
    if (!Number.isFinite(span)) return
    scheduler.in(span, () => {
      if (isCalm) return
      run()
      every(ms, run)
    })
  }
  every(
    () => tenantsEveryMs,
    () => tenants(parts),
  )
  every(
    () => chance.interval(scenario.humanMs),
    () => human(parts),
  )
  every(
    () => chance.interval(scenario.meddlingMs),
    () => meddle(parts),
  )
  return {
    calm: () => {
      isCalm = true
      for (const space of parts.estate.spaces.values()) {
        space.defragment()
        space.tenantsFree(Math.ceil(space.tenants() * 0.8))
      }
    },
  }
}

const tenants = ({ estate, chance, faults }: NatureParts): void => {
  const [isExhausted, isFragmented] = [faults.isOn('exhausted'), faults.isOn('fragmented')]
  if (isExhausted) faults.count('exhausted')
  if (isFragmented) faults.count('fragmented')
  for (const [i, space] of [...estate.spaces.values()].entries()) {
    // The last subnet of several stays open half of the time, so that falling back can succeed.
    const isSpared = i > 0 && chance.happens(0.5)
    if (isExhausted && !isSpared) space.tenantsTake(space.available())
    if (isFragmented && !isSpared) space.fragment()
    if (isExhausted || isFragmented) continue
    const isCrowded = space.available() < 20
    if (isCrowded || chance.happens(0.5)) space.tenantsFree(chance.between(0, 12))
    else space.tenantsTake(Math.min(space.available() >> 2, chance.between(0, 10)))
  }
}

const human = (parts: NatureParts): void => {
  const { estate, attacher, chance, faults, trace } = parts
  const ours = estate.attached().filter(nic => nic.isManaged)
  const choice = chance.fraction()
  const secondary = ours.filter(nic => !nic.isPrimary && nic.attachment.kind === 'attached')
  if (choice < 0.35 && secondary.length > 0) {
    const nic = chance.pick(secondary)
    faults.count('humanDetach')
    trace.note(`a human detaches ${nic.id}`)
    const isDeleting = chance.happens(0.3)
    return void attacher
      .detach(nic.id, { by: 'human', askedAt: parts.scheduler.clock.now() })
      .then(() => {
        if (!isDeleting || nic.attachment.kind !== 'none' || !estate.nics.has(nic.id)) return
        faults.count('humanDelete')
        trace.note(`a human deletes ${nic.id}`)
        estate.remove(nic, 'human')
      })
  }
  const lending = ours.filter(nic => nic.blocks.size > 0)
  if (choice < 0.8 && lending.length > 0) {
    const nic = chance.pick(lending)
    const block = chance.pick([...nic.blocks.keys()])
    if (nic.fixedBlocks.includes(block)) return
    faults.count('humanReturn')
    trace.note(`a human takes ${block} from ${nic.id}`)
    return estate.takeBack(nic, block, 'human')
  }
  attachForeign(parts)
}

/** Somebody else's NIC on this instance, at the lowest free index. */
export const attachForeign = (parts: NatureParts): void => {
  const { estate, attacher, faults, trace } = parts
  if (!(estate.attached().length < estate.limits.nicsMax)) return
  const nic = newNic(parts, { isManaged: false })
  if (nic === undefined) return
  faults.count('foreignAttach')
  trace.note(`a human attaches ${nic.id}`)
  attacher.attachAtOnce(nic, freeIndex(estate))
}

const newNic = (
  { estate }: NatureParts,
  options: { readonly isManaged: boolean },
): EstateNic | undefined => {
  const subnet = [...estate.spaces.keys()][0]
  if (subnet === undefined) return undefined
  return estate.create({
    ...options,
    subnet,
    securityGroups: [onlyGroup],
    isPrimary: false,
    token: undefined,
    hiddenForMs: 0,
  })
}

const freeIndex = (estate: Estate): number => {
  const used = estate
    .attached()
    .map(nic => (nic.attachment.kind === 'none' ? -1 : nic.attachment.deviceIndex))
  let index = 0
  while (used.includes(index)) index++
  return index
}

/** Programs that restart networking and forget that others use it too. */
const meddle = ({ kernel, chance, faults, trace }: NatureParts): void => {
  faults.count('kernelMeddling')
  const choice = chance.fraction()
  const routes = [...kernel.routes.keys()]
  const elements = [...kernel.elements.keys()]
  const slots = [...kernel.slots.keys()]
  trace.note('somebody meddles with the kernel')
  if (choice < 0.4 && routes.length > 0) kernel.removeRoute(chance.pick(routes), 'human')
  else if (choice < 0.8 && elements.length > 0) kernel.removeElement(chance.pick(elements), 'human')
  else if (slots.length > 0) kernel.removeSlot(chance.pick(slots), 'human')
}
