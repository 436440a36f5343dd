// The daemon's state as people and programs see it over HTTP: plain JSON, types of its own.

import { bitsOf, type Family, familyOf, lengthOf } from '#core/ip.ts'
import type { Millis, PoolName } from '#core/names.ts'
import { readyPlaces } from '#core/places.ts'
import { countPool, countNic, countWaiting, inFlight, wantedAddresses } from '#core/pool.ts'
import { explain } from '#core/reason.ts'
import type { Nic, Sandbox, State } from '#core/state.ts'
import { isPrimaryReady, verdict } from '#core/verdict.ts'

/** `/v1/node`, and what `eniway status` prints. */
export const nodeView = (state: State, now: Millis) => ({
  node: state.node?.node ?? '',
  instanceId: state.node?.instanceId ?? '',
  instanceType: state.node?.instanceType ?? '',
  zone: state.node?.zone ?? '',
  ready: isReady(state, now),
  nics: [...state.nics.values()]
    .sort((a, b) => a.slot - b.slot)
    .map(nic => nicView(state, nic, now)),
  pools: [...state.config.pools.keys()].map(pool => poolView(state, pool, now)),
  pods: [...state.sandboxes.values()].map(podView),
  waiting: [...state.adds.values()].map(({ request, arrivedAt, deadline }) => ({
    sandbox: request.key,
    pod: request.pod === undefined ? '' : `${request.pod.namespace}/${request.pod.name}`,
    forMs: now - arrivedAt,
    deadlineInMs: deadline - now,
    why: explain(state, request.pool, now).why,
  })),
  budget: [...state.budget].map(([call, bucket]) => ({
    call,
    tokens: Math.floor(bucket.tokens * 10) / 10,
    burst: state.config.rates[call].capacity,
    perSecond: state.config.rates[call].perSecond,
    blockedForMs: Math.max(0, bucket.blockedUntil - now),
  })),
  calls: [...state.operations.values()].map(({ action, startedAt }) => ({
    call: action.kind,
    forMs: now - startedAt,
  })),
  errors: [...state.problems].map(([subject, problem]) => ({ subject, ...problem })),
})

export type NodeView = ReturnType<typeof nodeView>

/** True when an ADD would be served now, and the daemon's part of the kernel is in place. */
export const isReady = (state: State, now: Millis): boolean => {
  const pools = [...state.config.pools.keys()]
  return (
    isPrimaryReady(state) &&
    pools.some(
      pool => readyPlaces(state, pool, now) > 0 || verdict(state, pool, now).kind === 'ready',
    )
  )
}

// A pod needs an address of each family: the pool is as good as the scarcest.
const scarcestOf = (state: State, pool: PoolName, now: Millis): Family => {
  const warm = (family: Family): number => countPool(state, pool, { family, now }).warm
  return state.config.families.toSorted((a, b) => warm(a) - warm(b))[0] ?? 4
}

const poolView = (state: State, pool: PoolName, now: Millis) => ({
  name: pool,
  ...amounts(state, pool, { family: scarcestOf(state, pool, now), now }),
  waiting: countWaiting(state, pool),
  ...state.config.pools.get(pool),
  families: state.config.families.map(family => ({
    family: familyName(family),
    ...amounts(state, pool, { family, now }),
  })),
})

const amounts = (
  state: State,
  pool: PoolName,
  at: { readonly family: Family; readonly now: Millis },
) => {
  const counts = countPool(state, pool, at)
  const { warm, assigned, cooling, settling, releasing, lost } = counts
  const wanted = wantedAddresses(state, pool, counts)
  const coming = inFlight(state, pool, at.family)
  return { wanted, warm, assigned, cooling, settling, releasing, lost, inFlight: coming }
}

/** How families are named to people and programs. */
export const familyName = (family: Family): 'ipv4' | 'ipv6' => `ipv${family}`

const nicView = (state: State, nic: Nic, now: Millis) => ({
  id: nic.id,
  mac: nic.mac,
  slot: nic.slot,
  device: nic.device?.name ?? '',
  ifindex: nic.device?.ifindex ?? 0,
  subnet: nic.subnet,
  primary: nic.isPrimary,
  managed: nic.isManaged,
  // What is not ours has no life that we know of.
  phase: nic.isManaged ? nic.phase.kind : 'foreign',
  primaryAddresses: nic.primaryAddresses,
  blocks: [...nic.blocks.keys()],
  addresses: [...nic.blocks.keys()].flatMap(block =>
    lengthOf(block) === bitsOf(familyOf(block)) ? [block.split('/', 1)[0]] : [],
  ),
  counts: nicCounts(nic, state.config.families[0] ?? 4, now),
  families: state.config.families.map(family => ({
    family: familyName(family),
    ...nicCounts(nic, family, now),
  })),
})

const nicCounts = (nic: Nic, family: Family, now: Millis) => {
  const { warm, assigned, cooling, settling } = countNic(nic, family, now)
  return { warm, assigned, cooling, settling }
}

const podView = (sandbox: Sandbox) => ({
  sandbox: sandbox.key,
  pod: sandbox.pod === undefined ? '' : `${sandbox.pod.namespace}/${sandbox.pod.name}`,
  network: sandbox.network,
  nic: sandbox.nic,
  addresses: sandbox.addresses.map(({ ip }) => ip),
  phase: sandbox.phase.kind,
})

/** `/v1/why?pod=NAMESPACE/NAME`: undefined when the node knows no such pod. */
export const whyView = (state: State, pod: string, now: Millis) => {
  const named = (identity: Sandbox['pod']): boolean =>
    identity !== undefined && `${identity.namespace}/${identity.name}` === pod
  for (const add of state.adds.values()) {
    if (!named(add.request.pod)) continue
    const { code, why } = explain(state, add.request.pool, now)
    return { pod, state: 'waiting', code, why, forMs: now - add.arrivedAt }
  }
  for (const sandbox of state.sandboxes.values()) {
    if (!named(sandbox.pod)) continue
    const ips = sandbox.addresses.map(({ ip }) => ip).join(', ')
    return { pod, state: 'assigned', code: 'Assigned', why: `it has ${ips} of ${sandbox.nic}` }
  }
  return undefined
}
