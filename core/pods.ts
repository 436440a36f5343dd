// Serving the runtime: waiting DELs and ADDs, in order. An ADD takes a warm address or waits, up to
// its deadline, for a grow that is planned elsewhere; it never makes a remote call itself.

import { chooseAddresses, type Choice } from './assign.ts'
import type { Answer } from './action.ts'
import { delegatedIps, neverServed } from './delegated.ts'
import { delegatedWiring, firstIfindex, podWiring } from './desired.ts'
import { act, type Draft, wake } from './draft.ts'
import { explainWaiting, hostReason, unservable } from './reason.ts'
import type { AddRequest, PendingAdd, PendingDel, Sandbox } from './state.ts'

export const planPods = (draft: Draft): void => {
  for (const sandbox of draft.state.sandboxes.values()) {
    if (sandbox.phase.kind === 'gone') unwire(draft, sandbox)
  }
  for (const del of draft.state.dels.values()) {
    cancelWaiting(draft, del)
    const sandbox = draft.state.sandboxes.get(del.key)
    if (sandbox === undefined || !isMeant(del, sandbox)) {
      act(draft, { kind: 'reply', to: del.reply, answer: { kind: 'deleted' } })
    } else if (sandbox.phase.kind === 'wired') {
      unwire(draft, sandbox)
    }
  }
  for (const add of draft.state.adds.values()) planAdd(draft, add)
}

const isMeant = (del: PendingDel, sandbox: Sandbox): boolean =>
  sandbox.network === del.network && sandbox.createdAt <= del.askedAt

const unwire = (draft: Draft, sandbox: Sandbox): void => {
  const { key, delegator } = sandbox
  if (delegator === undefined) {
    act(draft, { kind: 'unwirePod', key, wiring: podWiring(sandbox) })
  } else act(draft, { kind: 'dismissPod', key, wiring: delegatedWiring(sandbox) })
}

// A DEL overtakes an ADD of the same attachment that still waits: the runtime has given it up.
const cancelWaiting = (draft: Draft, del: PendingDel): void => {
  for (const add of draft.state.adds.values()) {
    const { key, network } = add.request
    const isSame = key === del.key && network === del.network && add.arrivedAt <= del.askedAt
    if (!isSame || draft.state.sandboxes.has(key)) continue
    const message = `cannot add ${key}: a DEL of the same attachment arrived meanwhile`
    fail(draft, add, { code: 'Canceled', message, isTemporary: false })
  }
}

const planAdd = (draft: Draft, add: PendingAdd): void => {
  const { request } = add
  if (add.failure !== undefined) return fail(draft, add, hostReason(request, add.failure))
  const sandbox = draft.state.sandboxes.get(request.key)
  if (sandbox !== undefined) return answerOrRedo(draft, add, sandbox)
  const never = neverServed(draft.state, request)
  if (never !== undefined) return fail(draft, add, unservable(request, never))
  const choice = chooseAddresses(draft.state, request, draft.now)
  if (choice !== undefined) return wire(draft, request, choice)
  const isHopeless = !draft.state.config.pools.has(request.pool)
  if (isHopeless || add.deadline <= draft.now) {
    return fail(draft, add, explainWaiting(draft.state, request, draft.now))
  }
  wake(draft, add.deadline)
}

const answerOrRedo = (draft: Draft, add: PendingAdd, sandbox: Sandbox): void => {
  if (sandbox.phase.kind !== 'wired') return
  // A repeated ADD gets the same answer; one for another namespace or link starts anew.
  if (sandbox.netns !== add.request.netns) return unwire(draft, sandbox)
  if (sandbox.network !== add.request.network) return fail(draft, add, nameTaken(add, sandbox))
  if (!isSameLink(sandbox, add.request)) return unwire(draft, sandbox)
  act(draft, { kind: 'reply', to: add.reply, answer: answerOf(draft, sandbox) })
}

// To answer with the other network's address would leave nobody who ever gives it back.
const nameTaken = ({ request }: PendingAdd, { network }: Sandbox) =>
  hostReason(request, {
    code: 'EEXIST',
    message:
      `interface ${request.ifName} is there already, of network "${network}"; delete that ` +
      'attachment or use another interface name',
    isTemporary: false,
  })

const isSameLink = (a: Pick<Sandbox, 'delegator'>, b: Pick<Sandbox, 'delegator'>): boolean =>
  a.delegator?.kind === b.delegator?.kind && placeOf(a) === placeOf(b)

const placeOf = ({ delegator }: Pick<Sandbox, 'delegator'>): string | undefined =>
  delegator?.kind === 'shared' ? delegator.master : delegator?.bridge

const answerOf = (draft: Draft, sandbox: Sandbox): Answer =>
  sandbox.delegator === undefined
    ? { kind: 'added', sandbox, wiring: podWiring(sandbox) }
    : { kind: 'delegated', sandbox, ips: delegatedIps(draft.state, sandbox) }

const fail = (draft: Draft, add: PendingAdd, reason: ReturnType<typeof explainWaiting>): void => {
  const answer = { kind: 'addFailed', request: add.request, reason } as const
  act(draft, { kind: 'reply', to: add.reply, answer })
}

const wire = (draft: Draft, request: AddRequest, choice: Choice): void => {
  const { nic } = choice
  const sandbox: Sandbox = {
    ...request,
    nic: nic.id,
    slot: nic.slot,
    addresses: choice.addresses.map(({ ip, block }) => ({ ip, block })),
    mtu: draft.state.config.podMtu ?? nic.device?.mtu ?? mtuFallback,
    hostIfindex: firstIfindex + ((draft.state.serial + 1) % ifindexRange),
    createdAt: draft.now,
    phase: { kind: 'wiring' },
  }
  if (sandbox.delegator === undefined) {
    act(draft, { kind: 'wirePod', sandbox, wiring: podWiring(sandbox) })
  } else act(draft, { kind: 'admitPod', sandbox, wiring: delegatedWiring(sandbox) })
}

const ifindexRange = 0x2000_0000
const mtuFallback = 1_500
