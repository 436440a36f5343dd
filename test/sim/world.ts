// Everything a checker may look at: the outside truth of the simulated day, and the two things the
// daemon shows the outside, its ledger and its status.

import type { Cidr, Ip } from '#core/ip.ts'
import { contains } from '#core/ip.ts'
import type { Millis, NicId, SandboxKey } from '#core/names.ts'
import type { CoreConfig, State } from '#core/state.ts'
import type { Scheduler } from './clock.ts'
import type { Core, Life } from './daemon.ts'
import type { Estate } from './estate.ts'
import type { Kernel } from './kernel.ts'
import type { SimLedger } from './ledger.ts'
import type { Notice } from './notices.ts'
import type { SimRuntime } from './runtime.ts'

export type World = {
  readonly scheduler: Scheduler
  readonly estate: Estate
  readonly kernel: Kernel
  readonly ledger: SimLedger
  readonly runtime: SimRuntime
  readonly core: Core
  config(): CoreConfig
  life(): Life | undefined
  /** How stale a description can be, at most. */
  readonly staleMaxMs: number
  readonly live: LivePods
}

/** One judge: hears every notice, and is asked when the day has come to rest. */
export type Checker = {
  readonly name: string
  readonly on: Hearing
  readonly atRest?: () => void
}

/** What to do with which notice; the others are not heard. */
export type Hearing = {
  readonly [Kind in Notice['kind']]?: (notice: Extract<Notice, { readonly kind: Kind }>) => void
}

/** Lets a checker hear a notice. */
export const tell = (on: Hearing, notice: Notice): void => {
  const hear = on[notice.kind] as ((notice: Notice) => void) | undefined
  hear?.(notice)
}

export type Fail = (message: string) => void

export type MakeChecker = (world: World, fail: Fail) => Checker

/** A pod that was answered 'added' and has not been ended by the runtime. */
export type LivePod = {
  readonly key: SandboxKey
  readonly ips: readonly Ip[]
  readonly slot: number
  /** The NIC that its slot led to when the answer was given. */
  readonly nic: NicId | undefined
  readonly since: Millis
  /** A human took its address or NIC away then. */
  robbedAt: Millis | undefined
  /** The daemon has lost its memory of it; it can protect it but not mend it. */
  isStray: boolean
}

export type LivePods = {
  readonly pods: ReadonlyMap<SandboxKey, LivePod>
  holderOf(address: Ip): LivePod | undefined
  inBlock(block: Cidr): readonly LivePod[]
  onNic(nic: NicId): readonly LivePod[]
  readonly on: Hearing
}

/** Live pods from the outside: answers and the runtime's deeds, nothing of the daemon's state. */
export const createLivePods = (
  { estate, kernel }: Pick<World, 'estate' | 'kernel'>,
  now: () => Millis,
): LivePods => {
  const pods = new Map<SandboxKey, LivePod>()
  const byIp = new Map<Ip, SandboxKey>()
  const drop = (key: SandboxKey): void => {
    for (const address of pods.get(key)?.ips ?? []) {
      if (byIp.get(address) === key) byIp.delete(address)
    }
    pods.delete(key)
  }
  const rob = (robbed: readonly LivePod[]): void => {
    for (const pod of robbed) pod.robbedAt ??= now()
  }
  const inBlock = (block: Cidr): LivePod[] =>
    [...pods.values()].filter(pod => pod.ips.some(address => contains(block, address)))
  const onNic = (nic: NicId): LivePod[] => [...pods.values()].filter(pod => pod.nic === nic)
  return {
    pods,
    inBlock,
    onNic,
    holderOf: address => pods.get(byIp.get(address) ?? ('' as SandboxKey)),
    on: {
      answered: ({ answer, isHeard }) => {
        if (answer.kind !== 'added' || !isHeard || pods.has(answer.sandbox.key)) return
        const { ips, slot } = answer.wiring
        const { key } = answer.sandbox
        const owner = ips[0] === undefined ? undefined : estate.ownerOf(ips[0])
        const hardware = kernel.slots.get(slot)?.mac ?? owner?.mac
        const nic = [...estate.nics.values()].find(each => each.mac === hardware)
        const isOwner = nic !== undefined && ips.every(address => estate.ownerOf(address) === nic)
        // Taken by a human before the daemon could see it.
        const robbedAt = isOwner && nic?.attachment.kind === 'attached' ? undefined : now()
        pods.set(key, { key, ips, slot, nic: nic?.id, since: now(), robbedAt, isStray: false })
        for (const address of ips) byIp.set(address, key)
      },
      podEnded: ({ key }) => drop(key),
      taken: ({ block, by }) => {
        if (by === 'human') rob(inBlock(block))
      },
      detached: ({ nic, by }) => {
        if (by === 'human') rob(onNic(nic))
      },
      ledgerLost: () => {
        for (const pod of pods.values()) pod.isStray = true
      },
      rebooted: () => {
        pods.clear()
        byIp.clear()
      },
    },
  }
}

/** What the daemon would know if it were restarted now. */
export const restoredState = (world: World): State =>
  world.core.restore({
    config: world.config(),
    epoch: 'judge',
    entries: world.ledger.entries(),
    at: world.scheduler.clock.now(),
  }).state
