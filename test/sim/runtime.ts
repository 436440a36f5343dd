// The container runtime of the simulated node: asks ADD and DEL the way containerd and the kubelet
// do, with time-outs, repetitions, forgotten DELs and connections that break when the daemon dies.

import type { Answer } from '#core/action.ts'
import type { Ip } from '#core/ip.ts'
import { after, defaultPool, type Millis, poolName, type ReplyId, replyId } from '#core/names.ts'
import { type SandboxKey, sandboxKey } from '#core/names.ts'
import type { Chance } from './chance.ts'
import type { Scheduler } from './clock.ts'
import type { Life } from './daemon.ts'
import type { Faults } from './faults.ts'
import type { Kernel } from './kernel.ts'
import type { AddCall, DelCall, Notify, PodCall } from './notices.ts'

export type Pod = {
  readonly key: SandboxKey
  readonly netns: string
  readonly containerId: string
  readonly lifetimeMs: number
  /** `live` from a heard 'added' until DEL is asked or the namespace is gone. */
  phase: 'adding' | 'live' | 'ended'
  ips: readonly Ip[]
  isDeleted: boolean
}

export type SimRuntime = {
  /** Starts a pod; it goes through its whole life by itself. */
  start(lifetimeMs: number): Pod
  /** DEL for a sandbox nobody ever added. */
  deleteUnknown(): void
  /** The daemon answered. */
  answered(to: ReplyId, answer: Answer): void
  lifeStarted(life: Life): void
  lifeEnded(): void
  live(): readonly Pod[]
  ongoing(): readonly PodCall[]
  /** Pods end by themselves only while this is on. */
  setChurn(isOn: boolean): void
  reboot(): void
}

export type RuntimeParts = {
  readonly scheduler: Scheduler
  readonly chance: Chance
  readonly faults: Faults
  readonly kernel: Kernel
  readonly notify: Notify
  /** Chance that a pod's DEL is never asked although its namespace goes. */
  readonly lostDelChance: number
}

type Waiting = { readonly call: PodCall; readonly pod: Pod | undefined; isHeard: boolean }

const network = 'eniway'

export const createSimRuntime = (parts: RuntimeParts): SimRuntime => {
  const { scheduler, chance, kernel, notify, faults } = parts
  const pods = new Map<SandboxKey, Pod>()
  let waiting = new Map<ReplyId, Waiting>()
  /** DELs that the executable accepted while the daemon was down. */
  let keptDels: { readonly key: SandboxKey; readonly at: Millis }[] = []
  let life: Life | undefined
  let replies = 0
  let isChurning = true

  const now = () => scheduler.clock.now()

  const end = (pod: Pod): void => {
    if (pod.phase === 'ended') return
    pod.phase = 'ended'
    notify({ kind: 'podEnded', key: pod.key })
  }
  const dropNamespace = (pod: Pod): void => {
    end(pod)
    kernel.removeNamespace(pod.netns)
    if (pod.isDeleted) pods.delete(pod.key)
  }
  const ask = (call: PodCall, pod: Pod | undefined): ReplyId | undefined => {
    if (life?.isAlive() !== true) return undefined
    const reply = replyId(++replies)
    waiting.set(reply, { call, pod, isHeard: true })
    notify({ kind: 'requested', call })
    const at = now()
    if (call.kind === 'add') {
      const { request, deadline } = call
      life.post({ kind: 'addRequested', reply, request, deadline, at })
    } else
      life.post({
        kind: 'delRequested',
        reply,
        key: call.key,
        network,
        queuedAt: call.queuedAt,
        at,
      })
    return reply
  }
  const delCall = (key: SandboxKey): DelCall => ({
    kind: 'del',
    key,
    arrivedAt: now(),
    queuedAt: undefined,
  })

  const askDel = (pod: Pod): void => {
    end(pod)
    if (pod.isDeleted) return
    if (ask(delCall(pod.key), pod) !== undefined) return
    keptDels.push({ key: pod.key, at: now() })
    pod.isDeleted = true
    scheduler.in(200, () => dropNamespace(pod))
  }

  const stop = (pod: Pod): void => {
    if (pod.phase === 'ended') return
    if (chance.happens(parts.lostDelChance)) {
      faults.count('lostDel')
      pod.isDeleted = true
      return dropNamespace(pod)
    }
    if (chance.happens(0.1)) dropNamespace(pod)
    askDel(pod)
    for (let more = chance.happens(0.2) ? chance.between(1, 2) : 0; more > 0; more--) {
      scheduler.in(chance.between(0, 3_000), () => void ask(delCall(pod.key), undefined))
    }
  }

  const askAdd = (pod: Pod): void => {
    const at = now()
    const call: AddCall = {
      kind: 'add',
      request: {
        key: pod.key,
        network,
        containerId: pod.containerId,
        ifName: 'eth0',
        netns: pod.netns,
        pod: { namespace: 'sim', name: pod.containerId, uid: pod.containerId },
        pool: chance.happens(0.01) ? poolName('unheard-of') : defaultPool,
        delegator: undefined,
      },
      arrivedAt: at,
      deadline: after(at, chance.scaled(2_000, 90_000)),
    }
    const reply = ask(call, pod)
    if (reply === undefined) return stop(pod)
    if (chance.happens(0.05)) abortLater(reply, call)
    if (chance.happens(0.03)) {
      scheduler.in(chance.between(0, 3_000), () => {
        if (pod.phase !== 'ended') ask({ ...call, arrivedAt: now() }, pod)
      })
    }
  }
  const abortLater = (reply: ReplyId, call: AddCall): void => {
    const owner = life
    scheduler.in(chance.between(0, call.deadline - call.arrivedAt), () => {
      const entry = waiting.get(reply)
      if (entry?.call !== call || owner?.isAlive() !== true) return
      entry.isHeard = false
      notify({ kind: 'aborted', call })
      owner.post({ kind: 'addAborted', reply, at: now() })
      if (entry.pod !== undefined) stop(entry.pod)
    })
  }

  const added = (pod: Pod, ips: readonly Ip[]): void => {
    if (pod.phase !== 'adding') return
    pod.phase = 'live'
    pod.ips = ips
    const endLater = (): void => {
      scheduler.in(pod.lifetimeMs, () => {
        if (isChurning) stop(pod)
      })
    }
    endLater()
  }

  return {
    start: lifetimeMs => {
      const containerId = chance.hex(12)
      const netns = `/var/run/netns/${containerId}`
      const key = sandboxKey(containerId, 'eth0')
      const pod: Pod = {
        key,
        netns,
        containerId,
        lifetimeMs,
        phase: 'adding',
        ips: [],
        isDeleted: false,
      }
      pods.set(key, pod)
      kernel.addNamespace(netns)
      askAdd(pod)
      return pod
    },
    deleteUnknown: () => void ask(delCall(sandboxKey(chance.hex(12), 'eth0')), undefined),
    answered: (to, answer) => {
      const entry = waiting.get(to)
      if (entry === undefined) throw new Error(`reply ${to} was never asked for, or twice answered`)
      waiting.delete(to)
      const { call, pod, isHeard } = entry
      notify({ kind: 'answered', call, answer, isHeard })
      if (!isHeard || pod === undefined) return
      switch (answer.kind) {
        case 'added':
          return added(pod, answer.wiring.ips)
        case 'delegated':
          throw new Error(`${pod.key} asked for an interface and got addresses alone`)
        case 'addFailed':
          return void (pod.phase === 'adding' && scheduler.in(100, () => stop(pod)))
        case 'deleted':
          pod.isDeleted = true
          return void scheduler.in(chance.between(0, 500), () => dropNamespace(pod))
      }
    },
    lifeStarted: started => {
      life = started
      replies = 0
      const kept = keptDels
      keptDels = []
      for (const { key, at } of kept) ask({ ...delCall(key), queuedAt: at }, undefined)
    },
    lifeEnded: () => {
      const broken = waiting
      waiting = new Map()
      life = undefined
      for (const { call, pod, isHeard } of broken.values()) {
        if (pod === undefined || !isHeard) continue
        const again = call.kind === 'add' ? () => stop(pod) : () => askDel(pod)
        scheduler.in(chance.between(100, 60_000), again)
      }
    },
    live: () => [...pods.values()].filter(pod => pod.phase === 'live'),
    ongoing: () => [...waiting.values()].filter(entry => entry.isHeard).map(entry => entry.call),
    setChurn: isOn => {
      isChurning = isOn
    },
    reboot: () => {
      keptDels = []
      for (const pod of pods.values()) {
        pod.isDeleted = true
        end(pod)
      }
      pods.clear()
    },
  }
}
