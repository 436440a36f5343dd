// What must hold whatever happens: random pods, answers, failures, lags, hands in the cloud, lost
// devices and restarts, driven through apply and plan. The kernel's links are the truth about who
// uses an address; the state's own view is not trusted for that.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Action, CloudAction } from './action.ts'
import { changes } from './durable.ts'
import { initialState } from './initial.ts'
import { contains, familyOf, type Ip } from './ip.ts'
import { after, defaultPool, operationId, replyId } from './names.ts'
import { plan } from './plan.ts'
import { sparePlaces, surplusOf } from './places.ts'
import { countNic, requestedSize, usableSize } from './pool.ts'
import type { CloudObservation, Failure } from './ports.ts'
import { restore } from './restore.ts'
import type { State } from './state.ts'
import {
  actionText,
  deeds,
  deleteLink,
  keyOf,
  newNode,
  nicsText,
  refusal,
  refuse,
  type TestNode,
} from './testing.ts'

const kinds: readonly Failure['kind'][] = [
  'throttled',
  'exhausted',
  'fragmented',
  'limit',
  'conflict',
  'notFound',
  'denied',
  'transient',
]

const small = fc.nat({ max: 7 })
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('add'), pod: small, other: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('del'), pod: small, other: fc.boolean() }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('answer'), which: small }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('refuse'),
      which: small,
      kind: fc.constantFrom(...kinds),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('loseAnswer'), which: small, isDone: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('answerStale'), which: small }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('pass'),
      ms: fc.constantFrom(1, 250, 1_000, 5_001, 15_000, 30_000, 301_000),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('deleteLink'), which: small }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('breakKernel'), isBroken: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('hideDevice'), which: small }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('loseNamespace'), pod: small }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('detachByHand'), which: small }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('returnByHand'), which: small }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('abort'), which: small }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart'), isDone: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('configure'),
      warmTarget: small,
      minimum: small,
      maximum: fc.option(fc.nat({ max: 12 }), { nil: undefined }),
    }),
  },
)
type Step = {
  readonly do: string
  readonly pod?: number
  readonly other?: boolean
  readonly which?: number
  readonly kind?: Failure['kind']
  readonly isDone?: boolean
  readonly isBroken?: boolean
  readonly ms?: number
  readonly warmTarget?: number
  readonly minimum?: number
  readonly maximum?: number | undefined
}

type World = {
  readonly node: TestNode
  /** Older descriptions, for answers that lag. */
  readonly past: { at: number; seen: CloudObservation }[]
  readonly ledger: Map<string, unknown>
  saved: State
}

const setting = fc.record({
  blockLength: fc.constantFrom(32 as const, 28 as const, 'auto' as const),
  families: fc.constantFrom([4] as const, [6] as const, [4, 6] as const),
  subnets: fc.integer({ min: 1, max: 2 }),
  prefixes: fc.boolean(),
  warmTarget: small,
})
type Setting = Omit<typeof setting extends fc.Arbitrary<infer S> ? S : never, 'families'> & {
  readonly families: readonly (4 | 6)[]
}

const newWorld = ({ warmTarget, subnets, prefixes, ...config }: Setting): World => {
  const node = newNode({ ...config, pool: { warmTarget } }, { subnets, prefixes })
  node.kernel.deletesAtOnce = false
  return { node, past: [], ledger: new Map(), saved: initialState(node.state) }
}

const pick = <Item>(items: readonly Item[], which = 0): Item | undefined =>
  items[which % Math.max(1, items.length)]

const takeStep = (world: World, step: Step): void => {
  const { node, past } = world
  const { kernel, cloud } = node
  const call = pick(node.open(), step.which)
  const lost = (action: CloudAction) => {
    if (step.isDone === true) cloud.perform(action)
    return refuse(action, refusal('transient', { ambiguous: true }))
  }
  switch (step.do) {
    case 'add':
      return void node.add(`p${step.pod}`, {
        ...(step.other === true ? { netns: '/ns/other' } : {}),
        ...((step.pod ?? 0) % 4 === 0 ? { delegator: { kind: 'routed', bridge: undefined } } : {}),
      })
    case 'del':
      return void node.del(
        `p${step.pod}`,
        step.other === true ? { queuedAt: node.now - 20_000 } : {},
      )
    case 'answer':
      return call === undefined ? undefined : node.answer(cloud.perform, call)
    case 'refuse':
      if (call !== undefined) node.answer(a => refuse(a, refusal(step.kind ?? 'limit')), call)
      return
    case 'loseAnswer':
      return call === undefined ? undefined : node.answer(lost, call)
    case 'answerStale': {
      if (call?.kind !== 'observeCloud') return
      const { startedAt } = node.state.operations.get(call.id)!
      const lag = node.state.config.consistencyMs
      const seen = past.find(({ at }) => at > startedAt - lag && at <= startedAt)?.seen
      if (seen === undefined) return node.answer(cloud.perform, call)
      return node.answer(() => ({ kind: 'observed', outcome: { kind: 'ok', value: seen } }), call)
    }
    case 'pass':
      node.now = after(node.now, step.ms ?? 0)
      return
    case 'deleteLink': {
      const leaving = [...kernel.links].filter(([, { key }]) => !node.state.sandboxes.has(key))
      const link = pick(leaving, step.which)
      return link === undefined ? undefined : deleteLink(node, link[0])
    }
    case 'breakKernel': {
      const failure = { code: 'EBUSY', message: 'is busy', isTemporary: true }
      kernel.outcome = step.isBroken === true ? { kind: 'failed', failure } : { kind: 'ok' }
      kernel.canWireNics = step.isBroken !== true
      return
    }
    case 'hideDevice': {
      const nic = pick([...cloud.nics.keys()], step.which)
      if (nic !== undefined && !kernel.hidden.delete(nic)) kernel.hidden.add(nic)
      return
    }
    case 'loseNamespace':
      return void kernel.goneNamespaces.add(keyOf(`p${step.pod}`))
    case 'detachByHand': {
      const nic = pick(
        [...cloud.nics.values()].filter(each => !each.isPrimary),
        step.which,
      )
      if (nic !== undefined) cloud.nics.set(nic.id, { ...nic, attachment: { kind: 'none' } })
      return
    }
    case 'returnByHand': {
      const nic = pick([...cloud.nics.values()], step.which)
      if (nic !== undefined) cloud.nics.set(nic.id, { ...nic, blocks: nic.blocks.slice(1) })
      return
    }
    case 'abort':
      return node.apply({ kind: 'addAborted', reply: replyId(step.which ?? 0) })
    case 'restart': {
      for (const action of node.open()) if (step.isDone === true) cloud.perform(action)
      const { config } = node.state
      const epoch = `e${world.node.now}`
      node.state = restore({ config, epoch, at: node.now, entries: world.ledger }).state
      world.saved = node.state
      return
    }
    case 'configure': {
      const { warmTarget = 0, minimum = 0, maximum } = step
      return node.configure({ pool: { warmTarget, minimum, maximum } })
    }
  }
}

const play = (start: Setting, steps: readonly Step[], check: (world: World) => void): World => {
  const world = newWorld(start)
  const { node } = world
  node.watch = (action, before) => {
    freeze(before)
    judge(world, action, before)
  }
  const trace: string[] = []
  for (const each of steps) {
    trace.push(`${JSON.stringify(each)} at ${node.now}`)
    try {
      takeStep(world, each)
      world.past.push({ at: node.now, seen: node.cloud.describe() })
      freeze(node.state)
      trace.push(...node.turn().map(text => `  ${text}`))
      freeze(node.state)
      save(world)
      check(world)
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause)
      throw new Error(`${message}\nafter\n${trace.join('\n')}`, { cause })
    }
  }
  return world
}

const save = (world: World): void => {
  for (const change of changes(world.saved, world.node.state)) {
    if (change.kind === 'put') world.ledger.set(change.key, change.value)
    else world.ledger.delete(change.key)
  }
  world.saved = world.node.state
}

/** The truth about an action when it is taken: would it hurt a pod, or break a limit? */
const judge = ({ node, node: { cloud } }: World, action: Action, before: State): void => {
  const admitted = [...node.kernel.admitted].map(([key, ips]) => ({ key, ips }))
  const links = [...node.kernel.links.values(), ...admitted]
  const mayNotBeUsed = (isIn: (ip: Ip) => boolean) => {
    const users = links.filter(({ ips }) => ips.some(isIn))
    const texts = users.map(({ key, ips }) => `${key} has ${ips.join(' ')}`)
    expect(texts, `in use when told to ${actionText(action)}`).toEqual([])
  }
  if (action.kind === 'wirePod' || action.kind === 'admitPod')
    mayNotBeUsed(ip => action.wiring.ips.includes(ip))
  if (action.kind === 'returnBlocks') {
    // Asking again for what has gone already does nothing, and another NIC may hold it now.
    const held = action.blocks.filter(block => cloud.nics.get(action.nic)?.blocks.includes(block))
    mayNotBeUsed(ip => held.some(block => contains(block, ip)))
  }
  if (action.kind === 'detachNic' || action.kind === 'deleteNic') {
    // One that has gone already gives its addresses to others; asking again does nothing.
    const blocks = cloud.nics.get(action.nic)?.blocks ?? []
    expect(before.nics.get(action.nic)?.isPrimary).toBe(false)
    mayNotBeUsed(ip => blocks.some(block => contains(block, ip)))
  }
  const limits = before.node?.limits
  if (action.kind === 'lendBlocks') {
    const { family, count } = action.blocks
    // A lost block has left its place: the cloud no longer shows it.
    const held = [...(before.nics.get(action.nic)?.blocks.values() ?? [])]
      .filter(({ phase }) => phase.kind !== 'lost')
      .map(({ cidr }) => cidr)
    const ofFamily = held.filter(block => block.includes(':') === (family === 6)).length
    expect(count).toBeGreaterThan(0)
    expect(ofFamily + count).toBeLessThanOrEqual(limits?.blocksPerNicMax[family] ?? 0)
  }
  if (action.kind === 'createNic') {
    // So has a lost NIC.
    const places = [...before.nics.values()].filter(({ phase }) => phase.kind !== 'lost').length
    expect(places + before.intents.size, actionText(action)).toBeLessThan(limits?.nicsMax ?? 0)
    for (const blocks of action.request.blocks) expect(requestedSize(blocks)).toBeGreaterThan(0)
  }
}

/** Writing to a frozen state throws: whoever mutates is found at once. */
const freeze = (value: unknown): void => {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return
  if (value instanceof Map) {
    for (const name of ['set', 'delete', 'clear']) {
      Object.defineProperty(value, name, {
        value: () => {
          throw new Error('a state was mutated')
        },
      })
    }
    Object.freeze(value)
    for (const [key, item] of value) {
      freeze(key)
      freeze(item)
    }
  } else {
    Object.freeze(value)
    Object.values(value).forEach(freeze)
  }
}

const forAll = (check: (world: World) => void, runs = 150): void =>
  fc.assert(
    fc.property(setting, fc.array(step, { maxLength: 120, size: 'max' }), (start, steps) => {
      play(start, steps, check)
    }),
    { numRuns: runs },
  )

test('no address has two holders, in the state or in the kernel', () =>
  forAll(({ node }) => {
    const held: string[] = []
    for (const sandbox of node.state.sandboxes.values()) {
      if (sandbox.phase.kind === 'unwiring') continue
      for (const { ip } of sandbox.addresses) {
        held.push(ip)
        const use = node.state.nics.get(sandbox.nic)?.uses.get(ip)
        if (use !== undefined) {
          expect(use).toMatchObject({ kind: 'assigned', sandbox: sandbox.key })
        }
      }
    }
    expect(new Set(held).size).toBe(held.length)
  }))

test('plan is a pure function of state and time, whatever its caches hold', () =>
  forAll(({ node }) => {
    const now = after(node.now, 1)
    const cached = plan(node.state, now)
    expect(JSON.stringify(plan(structuredClone(node.state), now))).toBe(JSON.stringify(cached))
  }, 80))

test('what was planned is under way: the next plan at the same time is empty', () =>
  forAll(({ node }) => {
    for (let rounds = 0; node.turn().length > 0; rounds++) expect(rounds).toBeLessThan(20)
    const { wakeAt } = plan(node.state, node.now)
    expect(wakeAt ?? Infinity).toBeGreaterThan(node.now)
  }))

test('every held address is counted once', () =>
  forAll(({ node }) => {
    for (const nic of node.state.nics.values()) {
      for (const family of [4, 6] as const) {
        const { changesAt: _, stray: __, ...counts } = countNic(nic, family, node.now)
        const sum = Object.values(counts).reduce((a, b) => a + b, 0)
        const blocks = [...nic.blocks.values()].filter(b => b.cidr.includes(':') === (family === 6))
        expect(sum).toBe(blocks.reduce((total, block) => total + usableSize(block), 0))
        expect(Math.min(...Object.values(counts))).toBeGreaterThanOrEqual(0)
      }
    }
  }))

test('the ledger tells the same when it grew by changes and when it is written anew', () =>
  forAll(({ node, ledger }) => {
    const anew = changes(initialState(node.state), node.state)
    const sorted = (entries: Iterable<readonly [string, unknown]>) =>
      [...entries]
        .map(([key, value]) => `${key} ${JSON.stringify(value)}`)
        .filter(text => !text.startsWith('cooling/'))
        .sort()
        .join('\n')
    expect(sorted(ledger)).toBe(
      sorted(anew.flatMap(each => (each.kind === 'put' ? [[each.key, each.value]] : []))),
    )
  }))

test('what a restart brings back: sandboxes, blocks, resting addresses, intents', () =>
  forAll(({ node: { state, now }, ledger }) => {
    const { config, epoch } = state
    const restored = restore({ config, epoch, at: now, entries: ledger })
    expect(restored.problems).toEqual([])
    expect(remembered(restored.state)).toBe(remembered(state))
    // A link that has gone may still be named: the first look at the kernel tells it again.
    expect(leavingLinks(restored.state)).toEqual(expect.arrayContaining([...leavingLinks(state)]))
  }))

const leavingLinks = (state: State): readonly string[] =>
  [...state.nics.values()].flatMap(nic =>
    [...nic.uses].flatMap(([ip, use]) =>
      use.kind === 'cooling' && !use.isStray && use.link !== undefined ? [`${ip} ${use.link}`] : [],
    ),
  )

const remembered = (state: State): string =>
  [
    ...[...state.sandboxes.values()]
      .filter(({ phase }) => phase.kind !== 'unwiring')
      .map(({ key, addresses, hostIfindex, netns }) =>
        [key, netns, hostIfindex, ...addresses.map(({ ip }) => ip)].join(' '),
      ),
    ...[...state.nics.values()].flatMap(nic => [
      ...[...nic.blocks.values()].map(({ cidr, phase }) => `${nic.id} ${cidr} ${phase.kind}`),
      ...[...nic.uses].flatMap(([ip, use]) =>
        use.kind === 'cooling' && !use.isStray ? [`${ip} rests: ${use.until}`] : [],
      ),
    ]),
    ...[...state.intents.values()].map(({ token, subnet }) => `intent ${token} in ${subnet}`),
  ]
    .sort()
    .join('\n')

test('when the world is calm the node comes to rest, with what it wants and no more', () =>
  fc.assert(
    fc.property(setting, fc.array(step, { maxLength: 80, size: 'max' }), (start, steps) => {
      const { node } = play(start, steps, () => undefined)
      const trace = calm(node)
      const told = `after ${trace.slice(-30).join('; ')}: ${nicsText(node)}`
      expect(deeds(node.pass(3_600_000)), told).toEqual([])
      expect(needless(node), told).toEqual([])
      const known = [...node.state.sandboxes.values()]
      const ours = known.filter(({ delegator }) => delegator === undefined)
      const links = ours.map(({ hostIfindex }) => hostIfindex)
      expect(new Set(node.kernel.links.keys()), told).toEqual(new Set(links))
      const others = known.filter(sandbox => !ours.includes(sandbox)).map(({ key }) => key)
      expect(new Set(node.kernel.admitted.keys()), told).toEqual(new Set(others))
      const forgotten = [...node.cloud.nics.values()].filter(
        ({ id, attachment }) =>
          node.state.nics.get(id)?.phase.kind !== 'lost' &&
          (attachment.kind !== 'attached' || !node.state.nics.has(id)),
      )
      expect(
        forgotten.map(({ id }) => id),
        told,
      ).toEqual([])
    }),
    { numRuns: 60 },
  ))

/** Blocks that nobody uses and without which the pool would still have all the places it wants. */
const needless = ({ state, now }: TestNode): readonly string[] =>
  [...state.nics.values()].flatMap(nic =>
    [...nic.blocks.values()].flatMap(block => {
      const isUsed = [...nic.uses.values()].some(use => use.block === block.cidr)
      const isFree = nic.phase.kind === 'ready' && block.phase.kind === 'held' && !block.isFixed
      if (isUsed || !isFree) return []
      const blocks = new Map(nic.blocks)
      blocks.delete(block.cidr)
      const without = { ...state, nics: new Map(state.nics).set(nic.id, { ...nic, blocks }) }
      const isEnough =
        sparePlaces(without, defaultPool, now) >= 0 &&
        surplusOf(without, defaultPool, { family: familyOf(block.cidr), now }) >= 0
      return isEnough ? [block.cidr] : []
    }),
  )

/** No more faults and no more pods: everything is answered, for some hours. */
const calm = (node: TestNode): readonly string[] => {
  node.kernel.outcome = { kind: 'ok' }
  node.kernel.canWireNics = true
  node.kernel.deletesAtOnce = true
  node.kernel.hidden.clear()
  node.kernel.goneNamespaces.clear()
  node.configure({ pool: { warmTarget: 2 }, observeEveryMs: 300_000, reconcileEveryMs: 60_000 })
  return node.pass(4 * 3_600_000)
}

test('an answer to an unknown call, also a late one, changes nothing', () =>
  forAll(world => {
    const { node } = world
    const before = node.state
    const result = { kind: 'nicDeleted', outcome: { kind: 'ok', value: undefined } } as const
    node.apply({ kind: 'finished', id: operationId(999_999), jitter: 0, result })
    expect(node.state).toBe(before)
  }, 20))
