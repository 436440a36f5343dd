// A node for the core's tests: one daemon's state, moved through apply and plan only, with a cloud
// and a kernel that live in memory. Time passes when the test says so; nothing happens by chance.

import type { Action, Answer, CloudAction } from './action.ts'
import { apply } from './apply.ts'
import type { CloudResult, Event } from './event.ts'
import { defaultConfig, initialState } from './initial.ts'
import type { Ip } from './ip.ts'
import { after, defaultPool, millis, poolName, replyId, sandboxKey } from './names.ts'
import type { Millis, NicId, ReplyId, SandboxKey } from './names.ts'
import { plan } from './plan.ts'
import { countPool } from './pool.ts'
import type { HostOutcome, HostReport } from './ports.ts'
import type { AddRequest, CoreConfig, Delegator, Nic, PoolTargets, State } from './state.ts'
import { createTestCloud, type TestCloud, type TestCloudOptions } from './testing-cloud.ts'

export { plugBeforeBirth, refusal, refuse } from './testing-cloud.ts'

export type Call = CloudAction['kind']

type Untimed<E> = E extends unknown ? Omit<E, 'at'> : never

export type TestKernel = {
  /** Pod links that exist. */
  readonly links: Map<number, { readonly key: SandboxKey; readonly ips: readonly Ip[] }>
  /** Addresses of pods that other plugins connect. */
  readonly admitted: Map<SandboxKey, readonly Ip[]>
  /** NICs whose device does not (yet) appear. */
  readonly hidden: Set<NicId>
  readonly goneNamespaces: Set<SandboxKey>
  /** False: tables and rules cannot be made. */
  canWireNics: boolean
  /** What the next attempts to wire or unwire a pod come to. */
  outcome: HostOutcome
  /** Whether links of unwired pods go at once, or stay until a test deletes them. */
  deletesAtOnce: boolean
}

export type TestNode = {
  state: State
  now: Millis
  readonly cloud: TestCloud
  readonly kernel: TestKernel
  /** Everything that was answered, newest last. */
  readonly answers: { readonly to: ReplyId; readonly answer: Answer }[]
  /** Called with every action before it is performed, and the state it was decided on. */
  watch: (action: Action, before: State) => void
  apply(event: Untimed<Event>): void
  /** Plans once, applies and performs what was planned; cloud calls stay open. */
  turn(): readonly string[]
  /** The open cloud calls, oldest first. */
  open(): readonly CloudAction[]
  /** Ends a call, by default as the cloud would; by default the oldest, or the oldest of a kind. */
  answer(result?: (action: CloudAction) => CloudResult, call?: CloudAction | Call): void
  /** Turns and answers until nothing is left to do now. */
  work(): readonly string[]
  /** Lets time pass, and works whenever the plan asks for it. */
  pass(spanMs: number): readonly string[]
  add(name: string, options?: AddOptions): ReplyId
  del(name: string, options?: DelOptions): ReplyId
  configure(change: ConfigChange): void
}

export type AddOptions = {
  readonly pool?: string
  readonly netns?: string
  readonly waitMs?: number
  readonly network?: string
  readonly delegator?: Delegator
}
export type DelOptions = { readonly queuedAt?: number; readonly network?: string }
export type ConfigChange = Partial<CoreConfig> & { readonly pool?: Partial<PoolTargets> }

/** A key as the tests' ADDs use it: pod `a` is `a/eth0`. */
export const keyOf = (name: string): SandboxKey => sandboxKey(name, 'eth0')

export const requestOf = (name: string, options: AddOptions = {}): AddRequest => ({
  key: keyOf(name),
  network: options.network ?? 'net',
  containerId: name,
  ifName: 'eth0',
  netns: options.netns ?? `/ns/${name}`,
  pod: { namespace: 'ns', name, uid: `uid-${name}` },
  pool: poolName(options.pool ?? 'default'),
  delegator: options.delegator,
})

/** A daemon that has just started and knows nothing. */
export const newNode = (change: ConfigChange = {}, cloud: TestCloudOptions = {}): TestNode =>
  nodeFrom(
    initialState({
      config: configured({ ...defaultConfig, settleMs: 1_000, observeEveryMs: 60_000 }, change),
      epoch: 'e1',
    }),
    createTestCloud(cloud),
  )

/** A daemon whose primary NIC is ready and whose pool is empty; targets hold from now on. */
export const readyNode = (change: ConfigChange = {}, cloud: TestCloudOptions = {}): TestNode => {
  const node = newNode({ pool: { warmTarget: 0 } }, cloud)
  node.pass(1_000)
  node.configure(change)
  return node
}

/** Rests until everything is settled: a ready node with its pool filled. */
export const filledNode = (change: ConfigChange = {}, cloud: TestCloudOptions = {}): TestNode => {
  const node = readyNode(change, cloud)
  node.pass(10_000)
  return node
}

const configured = (config: CoreConfig, { pool, ...rest }: ConfigChange): CoreConfig => {
  const targets = { warmTarget: 0, minimum: 0, maximum: undefined, ...pool }
  return { ...config, pools: new Map([[defaultPool, targets]]), ...rest }
}

export const nodeFrom = (state: State, cloud: TestCloud): TestNode => {
  let replies = 0
  const node: TestNode = {
    state,
    now: millis(1_000_000),
    cloud,
    kernel: {
      links: new Map(),
      admitted: new Map(),
      hidden: new Set(),
      goneNamespaces: new Set(),
      canWireNics: true,
      outcome: { kind: 'ok' },
      deletesAtOnce: true,
    },
    answers: [],
    watch: () => undefined,
    apply: event => {
      node.state = apply(node.state, { ...event, at: node.now })
    },
    turn: () => {
      const { actions } = plan(node.state, node.now)
      for (const action of actions) {
        node.watch(action, node.state)
        node.apply({ kind: 'started', action })
      }
      actions.forEach(action => perform(node, action))
      return actions.map(actionText)
    },
    open: () => [...node.state.operations.values()].map(({ action }) => action),
    answer: (result = cloud.perform, call = node.open()[0]) => {
      const action = typeof call === 'string' ? node.open().find(({ kind }) => kind === call) : call
      if (action === undefined) throw new Error('no call is open')
      node.apply({ kind: 'finished', id: action.id, jitter: 0, result: result(action) })
    },
    work: () => {
      const done: string[] = []
      for (let rounds = 0; rounds < 100; rounds++) {
        const texts = node.turn()
        done.push(...texts)
        if (texts.length === 0 && node.open().length === 0) return done
        while (node.open().length > 0) node.answer()
      }
      throw new Error(`always something to do:\n${done.slice(-20).join('\n')}`)
    },
    pass: spanMs => {
      const end = after(node.now, spanMs)
      const done = [...node.work()]
      for (;;) {
        const { wakeAt } = plan(node.state, node.now)
        node.now = wakeAt === undefined || wakeAt > end ? end : wakeAt
        done.push(...node.work())
        if (node.now === end) return done
      }
    },
    add: (name, options = {}) => {
      const reply = replyId(++replies)
      const deadline = after(node.now, options.waitMs ?? 60_000)
      node.apply({ kind: 'addRequested', reply, request: requestOf(name, options), deadline })
      return reply
    },
    del: (name, options = {}) => {
      const reply = replyId(++replies)
      const queuedAt = options.queuedAt === undefined ? undefined : millis(options.queuedAt)
      const network = options.network ?? 'net'
      node.apply({ kind: 'delRequested', reply, key: keyOf(name), network, queuedAt })
      return reply
    },
    configure: change =>
      node.apply({ kind: 'configured', config: configured(node.state.config, change) }),
  }
  return node
}

const perform = (node: TestNode, action: Action): void => {
  const { kernel } = node
  const { outcome } = kernel
  switch (action.kind) {
    case 'reply':
      return void node.answers.push({ to: action.to, answer: action.answer })
    case 'wirePod': {
      const { key, hostIfindex } = action.sandbox
      if (outcome.kind === 'ok') kernel.links.set(hostIfindex, { key, ips: action.wiring.ips })
      return node.apply({ kind: 'podWired', key, outcome })
    }
    case 'unwirePod':
      node.apply({ kind: 'podUnwired', key: action.key, outcome })
      return kernel.deletesAtOnce ? deleteLink(node, action.wiring.hostIfindex) : undefined
    case 'admitPod': {
      const { key } = action.sandbox
      if (outcome.kind === 'ok') kernel.admitted.set(key, action.wiring.ips)
      return node.apply({ kind: 'podWired', key, outcome })
    }
    case 'dismissPod':
      kernel.admitted.delete(action.key)
      return node.apply({ kind: 'podUnwired', key: action.key, outcome })
    case 'reconcileHost':
      return node.apply({ kind: 'hostReconciled', report: lookAtKernel(node, action) })
    case 'describeNode':
    case 'observeCloud':
    case 'createNic':
    case 'attachNic':
    case 'detachNic':
    case 'deleteNic':
    case 'lendBlocks':
    case 'returnBlocks':
      return undefined
  }
}

/** The background has deleted a pod's link. */
export const deleteLink = (node: TestNode, ifindex: number): void => {
  node.kernel.links.delete(ifindex)
  node.apply({ kind: 'linkDeleted', ifindex })
}

const lookAtKernel = (
  { cloud, kernel }: TestNode,
  { wiring }: Action & { readonly kind: 'reconcileHost' },
): HostReport => {
  const here = [...cloud.nics.values()].filter(
    nic => nic.attachment.kind === 'attached' && !kernel.hidden.has(nic.id),
  )
  const devices = here.map(nic => {
    const number = Number(nic.id.replace('eni-', ''))
    return { ifindex: number + 1, name: `eth${number - 1}`, mac: nic.mac, mtu: 9001 }
  })
  const macs = new Set(kernel.canWireNics ? devices.map(({ mac }) => mac) : [])
  wiring.leavingLinks.forEach(link => kernel.links.delete(link))
  kernel.admitted.clear()
  for (const { sandbox, ips } of wiring.delegated) kernel.admitted.set(sandbox, ips)
  const known = new Set(wiring.pods.map(({ hostIfindex }) => hostIfindex))
  return {
    devices,
    wiredSlots: wiring.nics.filter(({ mac }) => macs.has(mac)).map(({ slot }) => slot),
    podLinks: new Set(kernel.links.keys()),
    strays: [...kernel.links]
      .filter(([link]) => !known.has(link))
      .map(([link, { ips }]) => ({ link, ips })),
    goneNamespaces: kernel.goneNamespaces,
    repaired: [],
    failures: [],
  }
}

/** An action in one line. */
export const actionText = (action: Action): string => {
  switch (action.kind) {
    case 'reply':
      return `reply ${action.to}: ${answerText(action.answer)}`
    case 'wirePod':
      return `wire ${action.sandbox.key} ${action.wiring.ips.join(' ')}`
    case 'unwirePod':
      return `unwire ${action.key}`
    case 'admitPod':
      return `admit ${action.sandbox.key} ${action.wiring.ips.join(' ')}`
    case 'dismissPod':
      return `dismiss ${action.key}`
    case 'reconcileHost':
      return 'reconcile'
    case 'describeNode':
      return 'describe'
    case 'observeCloud':
      return 'observe'
    case 'createNic': {
      const { subnet, blocks } = action.request
      const first = blocks.map(({ count, length }) => `${count} × /${length}`).join(' and ')
      return `create NIC in ${subnet} with ${first}, ${action.priority}`
    }
    case 'attachNic':
      return `attach ${action.nic} as ${action.deviceIndex}`
    case 'detachNic':
      return `detach ${action.nic}`
    case 'deleteNic':
      return `delete ${action.nic}`
    case 'lendBlocks': {
      const { nic, blocks, priority } = action
      return `lend ${blocks.count} × /${blocks.length} to ${nic}, ${priority}`
    }
    case 'returnBlocks':
      return `return ${action.blocks.join(' ')} of ${action.nic}`
  }
}

export const answerText = (answer: Answer): string => {
  switch (answer.kind) {
    case 'added':
    case 'delegated':
      return answer.sandbox.addresses.map(({ ip }) => ip).join(' ')
    case 'addFailed':
      return `${answer.reason.code}: ${answer.reason.message}`
    case 'deleted':
      return 'deleted'
  }
}

/** Only what changes something in the cloud or answers a pod: looking around is left out. */
export const deeds = (texts: readonly string[]): readonly string[] =>
  texts.filter(text => !['reconcile', 'observe', 'describe'].includes(text))

/** Counts of a pool in words; those that are zero are left out. */
export const countsText = (node: TestNode, family: 4 | 6 = 4, pool = 'default'): string => {
  const { changesAt, ...counts } = countPool(node.state, poolName(pool), { family, now: node.now })
  const words = Object.entries(counts).filter(([, count]) => count !== 0)
  const change = changesAt === undefined ? [] : [`changing in ${changesAt - node.now} ms`]
  return [...words.map(([word, count]) => `${count} ${word}`), ...change].join(', ') || 'none'
}

/** A NIC of the state that must be there. */
export const nicOf = (node: TestNode, id: string): Nic => {
  const nic = node.state.nics.get(id as NicId)
  if (nic === undefined) throw new Error(`${id} is not in the state`)
  return nic
}

/** NICs in words: `eni-1 ready 5, eni-2 attaching 0`, with their number of blocks. */
export const nicsText = (node: TestNode): string =>
  [...node.state.nics.values()]
    .map(({ id, phase, blocks }) => `${id} ${phase.kind} ${blocks.size}`)
    .join(', ')
