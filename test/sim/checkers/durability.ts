// Nothing is done before it is saved, and a reply implies its record: asked of the ledger as it is
// at that moment, through a restart's eyes.

import type { Ip } from '#core/ip.ts'
import type { SandboxKey } from '#core/names.ts'
import type { Checker, Fail, World } from '../world.ts'
import { restoredState } from '../world.ts'

/** Every so many answers the whole ledger is restored, not only searched for the name. */
const restoreEvery = 8

export const durability = (world: World, fail: Fail): Checker => {
  let answers = 0
  const added = (key: SandboxKey, ips: readonly Ip[]): void => {
    if (world.ledger.mentions(key) && ++answers % restoreEvery !== 0) return
    const saved = restoredState(world)
      .sandboxes.get(key)
      ?.addresses.map(each => each.ip)
    if (saved?.join() === ips.join()) return
    fail(`${key} is answered 'added' with ${ips.join()}; the ledger says ${saved?.join()}`)
  }
  const deleted = (key: SandboxKey): void => {
    if (!world.ledger.mentions(key)) return
    for (const nic of restoredState(world).nics.values()) {
      for (const [address, use] of nic.uses) {
        if (use.kind !== 'assigned' || use.sandbox !== key) continue
        fail(`${key} is answered 'deleted'; the ledger still gives ${address} to it`)
      }
    }
  }
  return {
    name: 'durability',
    on: {
      answered: ({ answer, call }) => {
        if (answer.kind === 'added') added(answer.sandbox.key, answer.wiring.ips)
        if (answer.kind === 'deleted' && call.kind === 'del') deleted(call.key)
      },
      wiring: ({ pod }) => {
        if (world.ledger.mentions(pod.sandbox)) return
        if (restoredState(world).sandboxes.has(pod.sandbox)) return
        fail(`${pod.sandbox} is wired before it is saved`)
      },
      called: ({ call }) => {
        if (call.kind !== 'createNic' || world.ledger.mentions(call.request.token)) return
        fail(`a NIC is created with token ${call.request.token}, which is not saved`)
      },
      restored: ({ problems }) => {
        if (problems.length > 0) fail(`a sound ledger is restored with: ${problems.join('; ')}`)
      },
      fatal: ({ error }) => fail(`the daemon ends: ${stackOf(error)}`),
    },
  }
}

const stackOf = (error: unknown): string =>
  error instanceof Error
    ? (error.stack ?? error.message).split('\n').slice(0, 6).join(' ')
    : String(error)
