// The only way state changes: one event, one new state. No decisions are taken here; what an event
// means for pods is below, what it means for the cloud's things is in outcomes.ts and observe.ts.

import type { Action } from './action.ts'
import { callClassOf, spend } from './budget.ts'
import type { Event } from './event.ts'
import { wantObservation, without, withNic } from './change.ts'
import { bothFamilies, type Family, type Ip } from './ip.ts'
import { after, type Millis, type PoolName, type SandboxKey } from './names.ts'
import { nicAction, noteMissingDevice } from './nics.ts'
import { firstIfindex } from './desired.ts'
import { applyResult, restartSurplus } from './outcomes.ts'
import { isStuck, surplusOf } from './places.ts'
import type { HostReport } from './ports.ts'
import { clearProblem, noteProblem } from './problems.ts'
import { restStrays } from './strays.ts'
import type { Nic, Sandbox, State, Surplus, Use } from './state.ts'

export const apply = (state: State, event: Event): State => {
  if (event.kind !== 'started') return noteSurpluses(applyEvent(state, event), event.at)
  const known = begun.get(event.action)
  if (known?.before === state && known.at === event.at) return known.after
  const after = noteSurpluses(applyEvent(state, event), event.at)
  begun.set(event.action, { before: state, at: event.at, after })
  return after
}

// A pure cache: plan applies what it decides to its draft, and the loop then applies the same
// actions to the same state.
const begun = new WeakMap<
  Action,
  { readonly before: State; readonly at: Millis; readonly after: State }
>()

const applyEvent = (state: State, event: Event): State => {
  switch (event.kind) {
    case 'started':
      return applyStarted(state, event.action, event.at)
    case 'finished':
      return applyResult(state, event)
    case 'addRequested': {
      const add = {
        reply: event.reply,
        request: event.request,
        arrivedAt: event.at,
        deadline: event.deadline,
        failure: undefined,
      }
      return { ...state, adds: new Map(state.adds).set(event.reply, add) }
    }
    case 'addAborted':
      return { ...state, adds: without(state.adds, event.reply) }
    case 'delRequested': {
      const del = {
        reply: event.reply,
        key: event.key,
        network: event.network,
        arrivedAt: event.at,
        askedAt: event.queuedAt ?? event.at,
      }
      return { ...state, dels: new Map(state.dels).set(event.reply, del) }
    }
    case 'podWired':
      return applyPodWired(state, event)
    case 'podUnwired':
      return applyPodUnwired(state, event)
    case 'linkDeleted':
      return releaseLinks(state, link => link === event.ifindex)
    case 'hostReconciled':
      return applyHostReport(state, event.report, event.at)
    case 'configured':
      return { ...state, config: event.config }
  }
}

const applyStarted = (state: State, action: Action, at: Millis): State => {
  switch (action.kind) {
    case 'reply':
      return {
        ...state,
        adds: without(state.adds, action.to),
        dels: without(state.dels, action.to),
      }
    case 'wirePod':
    case 'admitPod':
      return assign(state, action.sandbox)
    case 'unwirePod':
    case 'dismissPod':
      return startUnwiring(state, action.key, at)
    case 'reconcileHost':
      return { ...state, host: { ...state.host, reconciledAt: at } }
    case 'describeNode':
    case 'observeCloud':
    case 'createNic':
    case 'attachNic':
    case 'detachNic':
    case 'deleteNic':
    case 'lendBlocks':
    case 'returnBlocks': {
      const call = { class: callClassOf(action.kind), now: at }
      const begun: State = {
        ...state,
        serial: state.serial + 1,
        budget: spend(state.budget, state.config.rates, call),
        operations: new Map(state.operations).set(action.id, { action, startedAt: at }),
      }
      const acted = nicAction(begun, action, at)
      const isReturn = action.kind === 'returnBlocks' || action.kind === 'detachNic'
      return isReturn ? restartSurplus(acted, action.nic, at) : acted
    }
  }
}

const assign = (state: State, sandbox: Sandbox): State => {
  const nic = state.nics.get(sandbox.nic)
  if (nic === undefined) return state
  const uses = new Map(nic.uses)
  for (const { ip, block } of sandbox.addresses) {
    uses.set(ip, { kind: 'assigned', sandbox: sandbox.key, block })
  }
  return {
    ...withNic(state, { ...nic, uses }),
    serial: state.serial + 1,
    sandboxes: new Map(state.sandboxes).set(sandbox.key, sandbox),
  }
}

// From here on the address cools, whether or not the unwiring then succeeds: what is left of the
// pod's wiring is found and removed by the reconciler, and its link must be gone first.
const startUnwiring = (state: State, key: SandboxKey, at: Millis): State => {
  const sandbox = state.sandboxes.get(key)
  if (sandbox === undefined) return state
  const phase = { kind: 'unwiring' } as const
  return {
    ...cool(state, sandbox, { at, isStray: false }),
    sandboxes: new Map(state.sandboxes).set(key, { ...sandbox, phase }),
  }
}

const cool = (
  state: State,
  sandbox: Sandbox,
  { at, isStray }: { readonly at: Millis; readonly isStray: boolean },
): State => {
  const nic = state.nics.get(sandbox.nic)
  if (nic === undefined) return state
  const uses = new Map(nic.uses)
  const until = after(at, state.config.coolingMs)
  // Of a pod that another plugin connects there is no link of ours to wait for.
  const link = sandbox.delegator === undefined ? sandbox.hostIfindex : undefined
  for (const { ip, block } of sandbox.addresses) {
    uses.set(ip, { kind: 'cooling', until, link, isStray: isStray && link !== undefined, block })
  }
  return withNic(state, { ...nic, uses })
}

const applyPodWired = (state: State, event: Event & { readonly kind: 'podWired' }): State => {
  const sandbox = state.sandboxes.get(event.key)
  if (sandbox === undefined) return state
  if (event.outcome.kind === 'ok') {
    const phase = { kind: 'wired' } as const
    const sandboxes = new Map(state.sandboxes).set(event.key, { ...sandbox, phase })
    return { ...state, sandboxes }
  }
  const { failure } = event.outcome
  const adds = new Map(state.adds)
  for (const add of adds.values()) {
    if (add.request.key === event.key) adds.set(add.reply, { ...add, failure })
  }
  // The host undid its own half-done work, but only a look at the kernel proves the link gone;
  // should one of that number be there all the same, it is somebody else's.
  const cooled = cool(state, sandbox, { at: event.at, isStray: true })
  const undone = { ...cooled, adds, sandboxes: without(state.sandboxes, event.key) }
  return wantReconcile(undone, event.at)
}

const applyPodUnwired = (state: State, event: Event & { readonly kind: 'podUnwired' }): State => {
  const removed = { ...state, sandboxes: without(state.sandboxes, event.key) }
  if (event.outcome.kind === 'ok') return removed
  const text = `cannot unwire ${event.key}: ${event.outcome.failure.message}; it is tried again`
  const noted = noteProblem(removed, `unwire ${event.key}`, { text, kind: 'host', at: event.at })
  return wantReconcile(noted, event.at)
}

const wantReconcile = (state: State, at: Millis): State => ({
  ...state,
  host: { ...state.host, wantedAt: after(at, 1) },
})

const applyHostReport = (state: State, report: HostReport, at: Millis): State => {
  const { wiredSlots, devices, failures, strays } = report
  const host = { ...state.host, wiredSlots, devices, failures, strays }
  let next: State = { ...state, host, serial: Math.max(state.serial, lastLink(report)) }
  for (const nic of state.nics.values()) {
    const moved = withDevice(nic, report, at)
    if (isNewlyReady(nic, moved)) {
      next = clearProblem(clearProblem(next, `attachNic ${nic.id}`), `device ${nic.id}`)
    }
    if (hasVanished(nic, moved)) next = wantObservation(next, at)
    if (isStuck(next, moved, at)) next = noteMissingDevice(next, moved, at)
    if (moved !== nic) next = withNic(next, moved)
    // Its tables and rules are still to be made: look again at once.
    if (moved.phase.kind === 'wiring' && nic.phase.kind !== 'wiring') next = wantReconcile(next, at)
  }
  next = restStrays(markGone(next, report), report.strays, at)
  return releaseLinks(next, link => !report.podLinks.has(link))
}

// Links that a forgotten ledger made still have their numbers.
const lastLink = ({ podLinks }: HostReport): number =>
  [...podLinks].reduce((last, link) => Math.max(last, link - firstIfindex), 0)

const isNewlyReady = (before: Nic, now: Nic): boolean =>
  before.phase.kind !== 'ready' && now.phase.kind === 'ready'

// Somebody may have detached it: the cloud knows, and pods on it must be told soon.
const hasVanished = (before: Nic, now: Nic): boolean =>
  before.phase.kind !== 'attaching' && now.phase.kind === 'attaching'

const withDevice = (nic: Nic, report: HostReport, at: Millis): Nic => {
  const device = report.devices.find(each => each.mac === nic.mac)
  const { phase } = nic
  switch (phase.kind) {
    case 'created':
    case 'leaving':
    case 'lost':
      return nic.device?.ifindex === device?.ifindex ? nic : { ...nic, device }
    case 'attaching': {
      if (device === undefined) return nic
      const kind = report.wiredSlots.includes(nic.slot) ? 'ready' : 'wiring'
      return { ...nic, device, phase: { kind, deviceIndex: phase.deviceIndex } }
    }
    case 'wiring':
    case 'ready': {
      const { deviceIndex } = phase
      if (device === undefined) {
        return { ...nic, device, phase: { kind: 'attaching', since: at, deviceIndex } }
      }
      const isWired = report.wiredSlots.includes(nic.slot)
      const isSame = device.ifindex === nic.device?.ifindex && device.mtu === nic.device.mtu
      if (isSame && isWired === (phase.kind === 'ready')) {
        // A new name alone takes nothing from its wiring.
        return device.name === nic.device?.name ? nic : { ...nic, device }
      }
      const kind = isWired && isSame ? 'ready' : 'wiring'
      return { ...nic, device, phase: { kind, deviceIndex } }
    }
  }
}

// Both must be gone: a namespace path can vanish while the namespace lives on.
const markGone = (state: State, report: HostReport): State => {
  const gone = [...report.goneNamespaces]
    .map(key => state.sandboxes.get(key))
    .filter(sandbox => sandbox !== undefined)
    // Of a link that another plugin made we cannot see whether it is gone.
    .filter(({ delegator }) => delegator === undefined)
    .filter(({ phase, hostIfindex }) => phase.kind === 'wired' && !report.podLinks.has(hostIfindex))
  if (gone.length === 0) return state
  const sandboxes = new Map(state.sandboxes)
  for (const sandbox of gone) sandboxes.set(sandbox.key, { ...sandbox, phase: { kind: 'gone' } })
  return { ...state, sandboxes }
}

const releaseLinks = (state: State, isGone: (link: number) => boolean): State => {
  let next = state
  for (const nic of state.nics.values()) {
    let uses: Map<Ip, Use> | undefined
    for (const [ip, use] of leavingLinks(nic)) {
      if (!isGone(use.link)) continue
      uses ??= new Map(nic.uses)
      uses.set(ip, { ...use, link: undefined })
      if (use.isStray) next = clearProblem(next, `stray ${ip}`)
    }
    if (uses !== undefined) next = withNic(next, { ...nic, uses })
  }
  return next
}

type LeavingLink = Use & { readonly kind: 'cooling'; readonly link: number }

const leavingLinks = ({ uses }: Nic): readonly (readonly [Ip, LeavingLink])[] => {
  const known = leavingLinksOf.get(uses)
  if (known !== undefined) return known
  const list: (readonly [Ip, LeavingLink])[] = []
  for (const [ip, use] of uses) {
    if (use.kind === 'cooling' && use.link !== undefined) list.push([ip, use as LeavingLink])
  }
  leavingLinksOf.set(uses, list)
  return list
}

// A pure cache: one pod's link changes one NIC, and the uses of all others are looked at unchanged.
const leavingLinksOf = new WeakMap<Nic['uses'], readonly (readonly [Ip, LeavingLink])[]>()

const noteSurpluses = (state: State, at: Millis): State => {
  let { surpluses } = state
  for (const pool of state.config.pools.keys()) {
    const known = surpluses.get(pool) ?? noSurplus
    const next = poolSurpluses(state, pool, { known, at })
    if (next === known) continue
    surpluses = next.size === 0 ? without(surpluses, pool) : new Map(surpluses).set(pool, next)
  }
  return surpluses === state.surpluses ? state : { ...state, surpluses }
}

type PoolSurpluses = ReadonlyMap<Family, Surplus>

const noSurplus: PoolSurpluses = new Map()

// Each family by itself: one may be too many while the other is not, or not be wanted any more.
const poolSurpluses = (
  state: State,
  pool: PoolName,
  { known, at }: { readonly known: PoolSurpluses; readonly at: Millis },
): PoolSurpluses => {
  let next = known
  for (const family of bothFamilies) {
    const before = known.get(family)
    const now = nextSurplus(before, surplusOf(state, pool, { family, now: at }), { at, state })
    if (now === before) continue
    next = now === undefined ? without(next, family) : new Map(next).set(family, now)
  }
  return next
}

const nextSurplus = (
  known: Surplus | undefined,
  amount: number,
  { at, state }: { readonly at: Millis; readonly state: State },
): Surplus | undefined => {
  if (!(amount > 0)) return undefined
  if (known === undefined) return { since: at, least: amount }
  if (amount < known.least) return { ...known, least: amount }
  // Its time came and went with nothing that could be returned: a larger surplus starts anew.
  const isOver = at > after(known.since, 2 * state.config.releaseAfterMs)
  return isOver && amount > known.least ? { since: at, least: amount } : known
}
