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
    notice: notice => {
      switch (notice.kind) {
        case 'answered':
          if (notice.answer.kind === 'added') {
            added(notice.answer.sandbox.key, notice.answer.wiring.ips)
          }
          if (notice.answer.kind === 'deleted' && notice.call.kind === 'del') {
            deleted(notice.call.key)
          }
          return undefined
        case 'wiring':
          if (world.ledger.mentions(notice.pod.sandbox)) return undefined
          if (restoredState(world).sandboxes.has(notice.pod.sandbox)) return undefined
          return fail(`${notice.pod.sandbox} is wired before it is saved`)
        case 'called': {
          if (notice.call.kind !== 'createNic') return undefined
          const { token } = notice.call.request
          if (world.ledger.mentions(token)) return undefined
          return fail(`a NIC is created with token ${token}, which is not saved`)
        }
        case 'restored':
          if (notice.problems.length === 0) return undefined
          return fail(`a sound ledger is restored with problems: ${notice.problems.join('; ')}`)
        case 'fatal':
          return fail(`the daemon ends: ${stackOf(notice.error)}`)
        default:
          return undefined
      }
    },
    atRest: () => undefined,
  }
}

const stackOf = (error: unknown): string =>
  error instanceof Error
    ? (error.stack ?? error.message).split('\n').slice(0, 6).join(' ')
    : String(error)
