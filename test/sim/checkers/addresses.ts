// One holder per address, judged from answers and the kernel: nothing is given twice, reused before
// it has rested and its old link is gone, or given before packets can flow to it.

import { addressesOf, type Cidr, type Ip } from '#core/ip.ts'
import { after, type Millis, type SandboxKey } from '#core/names.ts'
import type { PodWiring } from '#core/wiring.ts'
import { blockOf } from '../space.ts'
import type { Checker, Fail, Hearing, World } from '../world.ts'

export const oneHolder = (world: World, fail: Fail): Checker => {
  const wiring = (pod: PodWiring): void => {
    for (const address of pod.ips) {
      const holder = world.live.holderOf(address)
      if (holder !== undefined && holder.key !== pod.sandbox) {
        fail(`${address} is wired to ${pod.sandbox} while ${holder.key} lives with it`)
      }
      const route = world.kernel.routes.get(address)
      if (route === undefined || route.sandbox === pod.sandbox) continue
      fail(`${address} is wired to ${pod.sandbox} while the kernel sends it to ${route.sandbox}`)
    }
  }
  const answered = (key: SandboxKey, ips: readonly Ip[]): void => {
    if (ips.length === 0) fail(`${key} is answered 'added' with no address`)
    if (world.live.pods.has(key) && world.live.pods.get(key)?.ips.join() !== ips.join()) {
      fail(`${key} is answered twice with different addresses`)
    }
    for (const address of ips) {
      const holder = world.live.holderOf(address)
      if (holder === undefined || holder.key === key) continue
      fail(`${address} is given to ${key} while ${holder.key} lives with it`)
    }
  }
  return {
    name: 'oneHolder',
    on: {
      wiring: ({ pod }) => wiring(pod),
      answered: ({ answer }) => {
        if (answer.kind === 'added') answered(answer.sandbox.key, answer.wiring.ips)
      },
    },
  }
}

export const cooling = (world: World, fail: Fail): Checker => {
  const released = new Map<Ip, { readonly at: Millis; readonly key: SandboxKey }>()
  const now = (): Millis => world.scheduler.clock.now()
  const isCooling = (at: Millis): boolean => now() < after(at, world.config().coolingMs)

  const wiring = (pod: PodWiring): void => {
    for (const address of pod.ips) {
      const last = released.get(address)
      if (last !== undefined && last.key !== pod.sandbox && isCooling(last.at)) {
        fail(`${address} is given to ${pod.sandbox} ${now() - last.at} ms after ${last.key} left`)
      }
      for (const link of world.kernel.links.values()) {
        if (link.sandbox === pod.sandbox || !link.ips.includes(address)) continue
        fail(`${address} is given to ${pod.sandbox} while the link of ${link.sandbox} is there`)
      }
    }
  }
  const returned = (blocks: readonly Cidr[]): void => {
    for (const [address, last] of released) {
      const block = isCooling(last.at) ? blockOf(blocks, address) : undefined
      if (block !== undefined) fail(`${block} is returned while ${address} cools`)
    }
    for (const block of blocks) {
      const pod = world.live.inBlock(block)[0]
      if (pod !== undefined && pod.robbedAt === undefined) {
        fail(`${block} is returned while ${pod.key} lives in it`)
      }
      for (const link of world.kernel.links.values()) {
        if (!link.ips.some(address => blockOf([block], address) !== undefined)) continue
        // What a human took from a pod may have been lent again elsewhere, where nobody uses it.
        if (world.live.pods.get(link.sandbox)?.robbedAt !== undefined) continue
        fail(`${block} is returned while the link of ${link.sandbox} is there`)
      }
    }
  }
  return {
    name: 'cooling',
    on: {
      wiring: ({ pod }) => wiring(pod),
      unwired: ({ pod, outcome }) => {
        if (outcome.kind !== 'ok') return
        for (const address of pod.ips) {
          if (released.get(address)?.key === pod.sandbox) continue
          released.set(address, { at: now(), key: pod.sandbox })
        }
      },
      called: ({ call }) => {
        // Asking again for what is no longer there does nothing.
        if (call.kind !== 'returnBlocks') return
        const held = world.estate.nics.get(call.nic)?.blocks
        returned(call.blocks.filter(block => held?.has(block)))
      },
      taken: ({ block }) => {
        // What the cloud has back may be lent again as a fresh address.
        for (const address of released.keys()) {
          if (blockOf([block], address) !== undefined) released.delete(address)
        }
      },
      rebooted: () => released.clear(),
      ledgerLost: () => released.clear(),
    },
  }
}

export const settling = (world: World, fail: Fail): Checker => {
  /** Taken by a human: when the cloud lends it again, the daemon may not know that it was gone. */
  const robbed = new Set<Ip>()
  const on: Hearing = {
    taken: ({ block, by }) => {
      if (by === 'human') for (const address of addressesOf(block)) robbed.add(address)
    },
    wired: ({ pod, outcome }) => {
      if (outcome.kind !== 'ok') return
      for (const address of pod.ips) {
        const nic = world.estate.ownerOf(address)
        const block = nic === undefined ? undefined : blockOf(nic.blocks.keys(), address)
        const lentAt = block === undefined ? undefined : nic?.blocks.get(block)
        const isElsewhere = nic?.mac !== world.kernel.slots.get(pod.slot)?.mac
        if (lentAt === undefined || isElsewhere || robbed.has(address)) continue
        const ageMs = world.scheduler.clock.now() - lentAt
        if (ageMs >= world.config().settleMs) continue
        fail(`${address} is given to ${pod.sandbox} ${ageMs} ms after the cloud lent it`)
      }
    },
  }
  return { name: 'settling', on }
}
