// The CNI verbs' port on top of the loop: requests become events and wait for their answers.

import type { AddOutcome, AddRequest, Attachment, Attachments } from '#cni/plugin/ports.ts'
import { codes, failed } from '#cni/spec/failure.ts'
import type { Answer } from '#core/action.ts'
import type { DelegatedIp } from '#core/delegated.ts'
import type { Event } from '#core/event.ts'
import { bitsOf, everywhere, familyOf } from '#core/ip.ts'
import {
  after,
  defaultPool,
  millis,
  poolName,
  type ReplyId,
  replyId,
  sandboxKey,
} from '#core/names.ts'
import type { Clock } from '#core/ports.ts'
import type { Sandbox, State } from '#core/state.ts'
import { verdict } from '#core/verdict.ts'
import type { PodWiring } from '#core/wiring.ts'
import { checkPod } from './check.ts'
import { podGateways } from './wire.ts'

export type AttachmentsParts = {
  readonly clock: Clock
  readonly state: () => State
  readonly post: (event: Event) => void
}

export type AnsweringAttachments = Attachments & {
  /** Hands the core's answer to whoever waits for it. */
  answer(to: ReplyId, answer: Answer): void
}

/** The executable gives up at its time-out; the answer has to be on its way before. */
const answerMarginMs = 500

export const createAttachments = ({
  clock,
  state,
  post,
}: AttachmentsParts): AnsweringAttachments => {
  const waiting = new Map<ReplyId, (answer: Answer) => void>()
  let lastReply = 0

  const ask = (event: (reply: ReplyId) => Event, signal?: AbortSignal): Promise<Answer> =>
    new Promise(resolve => {
      const reply = replyId(++lastReply)
      waiting.set(reply, resolve)
      signal?.addEventListener('abort', () => {
        if (waiting.delete(reply)) post({ kind: 'addAborted', reply, at: clock.now() })
      })
      post(event(reply))
    })

  const add = async (request: AddRequest, signal: AbortSignal): Promise<AddOutcome> => {
    const at = clock.now()
    const deadline = after(at, Math.max(0, request.timeoutMs - answerMarginMs))
    const answer = await ask(
      reply => ({ kind: 'addRequested', reply, request: toCore(request), deadline, at }),
      signal,
    )
    if (answer.kind === 'added') {
      return { kind: 'added', attachment: toAttachment(answer.sandbox, answer.wiring) }
    }
    if (answer.kind === 'delegated') return { kind: 'added', attachment: addressesOnly(answer.ips) }
    if (answer.kind === 'addFailed') return addFailure(answer.reason)
    throw new Error(`an ADD was answered with ${answer.kind}`)
  }

  const remove = (
    key: { readonly containerId: string; readonly ifName: string; readonly network: string },
    queuedAtMs: number | undefined,
  ): Promise<Answer> =>
    ask(reply => ({
      kind: 'delRequested',
      reply,
      key: sandboxKey(key.containerId, key.ifName),
      network: key.network,
      queuedAt: queuedAtMs === undefined ? undefined : millis(Math.floor(queuedAtMs)),
      at: clock.now(),
    }))

  return {
    add,
    del: async request => {
      await remove(request, request.queuedAtMs)
      return { kind: 'deleted' }
    },
    check: async request => checkPod(state(), request),
    gc: async request => {
      const arrivedAt = clock.now()
      const valid = new Set(
        request.valid.map(({ containerId, ifName }) => sandboxKey(containerId, ifName)),
      )
      const stale = [...state().sandboxes.values()].filter(
        ({ network, key, createdAt }) =>
          network === request.network && !valid.has(key) && createdAt < arrivedAt,
      )
      await Promise.all(stale.map(sandbox => remove(sandbox, arrivedAt)))
      return { kind: 'collected' }
    },
    status: request => {
      const pool = request.pool === undefined ? defaultPool : poolName(request.pool)
      const current = verdict(state(), pool, clock.now())
      if (current.kind === 'ready') return { kind: 'ready' }
      const { connectivity, message, details } = current
      return { kind: 'unready', connectivity, message, details }
    },
    answer: (to, answer) => {
      waiting.get(to)?.(answer)
      waiting.delete(to)
    },
  }
}

const addFailure = (reason: (Answer & { kind: 'addFailed' })['reason']): AddOutcome =>
  failed(reason.isTemporary ? codes.tryAgainLater : codes.internal, reason.message, reason.code)

const toCore = (request: AddRequest) => ({
  key: sandboxKey(request.containerId, request.ifName),
  network: request.network,
  containerId: request.containerId,
  ifName: request.ifName,
  netns: request.netns,
  pod: request.pod,
  pool: request.pool === undefined ? defaultPool : poolName(request.pool),
  delegator: request.delegator,
})

const podInterface = 1

// The plugin that asked knows the interface, we do not.
const addressesOnly = (ips: readonly DelegatedIp[]): Attachment => ({
  interfaces: [],
  ips: ips.map(({ ip, length, gateway }) => ({ address: ip, prefixLength: length, gateway })),
  routes: ips.flatMap(({ routes, gateway }) =>
    routes.map(destination => ({ destination, gateway })),
  ),
})

/** Both ends of the link, the pod's addresses, and its default routes. */
export const toAttachment = (sandbox: Sandbox, wiring: PodWiring): Attachment => {
  const { mtu } = wiring
  // Runtimes take the first one for the pod's address: IPv4 where there is one.
  const ips = wiring.ips.toSorted((a, b) => familyOf(a) - familyOf(b))
  return {
    interfaces: [
      { name: wiring.hostName, mac: wiring.hostMac, mtu },
      { name: wiring.ifName, mac: wiring.podMac, mtu, sandbox: sandbox.netns },
    ],
    ips: ips.map(ip => ({
      address: ip,
      prefixLength: bitsOf(familyOf(ip)),
      gateway: podGateways[familyOf(ip)],
      interface: podInterface,
    })),
    routes: ips.map(ip => ({
      destination: everywhere(familyOf(ip)),
      gateway: podGateways[familyOf(ip)],
    })),
  }
}
