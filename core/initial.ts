// What a daemon knows before anything happened, and the values that fit most clusters.

import { defaultPool, type Millis, millis } from './names.ts'
import type { CoreConfig, State } from './state.ts'

export const defaultConfig: CoreConfig = {
  families: [4],
  pools: new Map([[defaultPool, { warmTarget: 5, minimum: 0, maximum: undefined }]]),
  blockLength: 32,
  coolingMs: 30_000,
  settleMs: 2_000,
  releaseAfterMs: 300_000,
  observeEveryMs: 300_000,
  reconcileEveryMs: 15_000,
  appearWithinMs: 180_000,
  consistencyMs: 5_000,
  // EC2 refills 5 mutations a second for the whole account and Region (request throttling page), so
  // a node's share is small; bursts are what pods wait for.
  rates: {
    describe: { capacity: 10, perSecond: 1 },
    lend: { capacity: 10, perSecond: 1 },
    return: { capacity: 10, perSecond: 0.5 },
    create: { capacity: 4, perSecond: 0.5 },
    attach: { capacity: 4, perSecond: 0.5 },
    detach: { capacity: 4, perSecond: 0.5 },
    delete: { capacity: 4, perSecond: 0.5 },
  },
  nat: { isEnabled: true, exclusions: [] },
  podMtu: undefined,
  nicsMax: undefined,
}

/** A daemon that has just started and remembers nothing. `epoch` is random text. */
export const initialState = (options: {
  readonly config: CoreConfig
  readonly epoch: string
  /** Now; left out by those to whom the first moments do not matter. */
  readonly at?: Millis
}): State => ({
  config: options.config,
  epoch: options.epoch,
  bornAt: options.at ?? millis(-1_000_000),
  serial: 0,
  node: undefined,
  nics: new Map(),
  intents: new Map(),
  sandboxes: new Map(),
  adds: new Map(),
  dels: new Map(),
  subnets: new Map(),
  budget: new Map(),
  operations: new Map(),
  cloud: {
    isDescribed: false,
    observedAt: undefined,
    wantedAt: millis(0),
    retryAt: millis(0),
    attempts: 0,
    nicsLimitedUntil: millis(0),
    nicAttempts: 0,
  },
  host: {
    reconciledAt: undefined,
    wantedAt: millis(0),
    wiredSlots: [],
    devices: [],
    strays: [],
    failures: [],
  },
  surpluses: new Map(),
  problems: new Map(),
  tombstones: new Map(),
})
