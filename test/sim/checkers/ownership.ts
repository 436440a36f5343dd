// An address belongs to the NIC its wiring names, by the cloud's truth, when it is given and for as
// long as the pod lives. What a human takes away is excused, once it is reported.

import { contains } from '#core/ip.ts'
import type { SandboxKey } from '#core/names.ts'
import type { State } from '#core/state.ts'
import type { PodWiring } from '#core/wiring.ts'
import type { Checker, Fail, LivePod, World } from '../world.ts'

/** For how long an address a human took may be unknown to the daemon, in observations. */
const observationsToNotice = 4

export const ownership = (world: World, fail: Fail): Checker => {
  const { estate, kernel } = world
  /** A human took it so lately that the daemon cannot know. */
  let meddledAt = -Infinity
  const now = (): number => world.scheduler.clock.now()
  const mayBeUnaware = (): boolean =>
    now() - meddledAt < world.config().observeEveryMs * observationsToNotice + 600_000

  const answered = (key: SandboxKey, wiring: PodWiring): void => {
    const slot = kernel.slots.get(wiring.slot)
    if (slot === undefined) {
      const isNews = flushedSlots.has(wiring.slot) || missedAt.get(wiring.slot) === now()
      if (!mayBeUnaware() && !isNews) {
        fail(`${key} is wired to slot ${wiring.slot}, which the kernel does not have`)
      }
      return
    }
    for (const address of wiring.ips) {
      const owner = estate.ownerOf(address)
      if (owner?.mac === slot.mac && owner.attachment.kind === 'attached') continue
      if (mayBeUnaware()) continue
      const truth = owner === undefined ? 'nobody' : `${owner.id} (${owner.attachment.kind})`
      fail(`${key} gets ${address} on slot ${wiring.slot} (${slot.mac}); ${truth} has it`)
    }
  }
  /** Flushed by somebody since the last look at the kernel. */
  const flushedSlots = new Set<number>()
  /** When a look at the kernel first found the slot flushed and could not mend it. */
  const missedAt = new Map<number, number>()
  const robbed = (pods: readonly LivePod[], what: string): void => {
    for (const pod of pods) {
      if (pod.robbedAt === undefined) fail(`${what} while ${pod.key} lives on it`)
    }
  }
  return {
    name: 'ownership',
    on: {
      answered: ({ answer }) => {
        // An ADD that is asked again is answered again, whatever has happened to its pod.
        if (answer.kind !== 'added' || world.live.pods.has(answer.sandbox.key)) return
        answered(answer.sandbox.key, answer.wiring)
      },
      taken: ({ block, by }) => {
        if (by === 'human') meddledAt = now()
        else robbed(world.live.inBlock(block), `${block} is returned`)
      },
      detached: ({ nic, by }) => {
        if (by === 'human') meddledAt = now()
        else robbed(world.live.onNic(nic), `${nic} is detached`)
      },
      slotRemoved: ({ slot }) => flushedSlots.add(slot),
      reconciled: ({ desired }) => {
        for (const slot of flushedSlots) missedAt.set(slot, now())
        flushedSlots.clear()
        for (const nic of desired.nics) slotChanged(world, fail, nic)
      },
    },
    atRest: () => {
      const state = world.life()?.state()
      if (state === undefined) return
      for (const pod of world.live.pods.values()) {
        if (pod.isStray || !isRobbedNow(world, pod) || isReported(state, pod)) continue
        fail(
          `${pod.key} lost ${pod.ips.join()} to a human at ${pod.robbedAt}, and no problem says so`,
        )
      }
    },
  }
}

const slotChanged = (
  world: World,
  fail: Fail,
  nic: { readonly slot: number; readonly mac: string },
): void => {
  for (const pod of world.live.pods.values()) {
    const own = pod.nic === undefined ? undefined : world.estate.nics.get(pod.nic)
    if (pod.slot !== nic.slot || own === undefined || own.mac === nic.mac) continue
    fail(`slot ${nic.slot} becomes ${nic.mac} while ${pod.key} lives there on ${own.id}`)
  }
}

const isRobbedNow = (world: World, pod: LivePod): boolean =>
  pod.robbedAt !== undefined &&
  pod.ips.some(address => {
    const owner = world.estate.ownerOf(address)
    return owner?.id !== pod.nic || owner?.attachment.kind !== 'attached'
  })

const isReported = (state: State, pod: LivePod): boolean => {
  const nics = [...state.nics.values()]
  const isNicLost = nics.some(nic => nic.id === pod.nic && nic.phase.kind === 'lost')
  const isBlockLost = nics
    .flatMap(nic => [...nic.blocks.values()])
    .some(block => block.phase.kind === 'lost' && pod.ips.some(ip => contains(block.cidr, ip)))
  const isSaid = [...state.problems.values()].some(problem => problem.kind === 'lost')
  return isNicLost || isBlockLost || isSaid
}
