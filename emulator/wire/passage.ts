// The way of one call whose caller and action are known: what goes wrong on purpose before the
// work, how long it takes, the work itself, and what spoils the reply afterwards.
import type { CallLog } from '#emulator/model/calls.ts'
import type { Effect, Occasion } from '#emulator/model/faults.ts'
import { type CallKind, draw } from '#emulator/model/latency.ts'
import { type World, occasionOf } from '#emulator/model/world.ts'
import { type Answer, type Headers, type Reply, cutReply, htmlPage } from './answer.ts'

/** Faults that every face knows. */
const commonFaults = [
  'throttle',
  'fail',
  'loseReply',
  'reset',
  'hang',
  'delay',
  'html',
  'malformed',
  'partial',
] as const

/** Faults of clouds whose writes go on after their reply and compare what they replace. */
type FurtherFault = 'operationFail' | 'foreignWrite'

type CallEffect = Extract<Effect, { readonly kind: (typeof commonFaults)[number] | FurtherFault }>

/** The faults that the work itself has to know of. */
export interface Struck {
  /** Blocks that a `partial` fault lets the call have; undefined: all. */
  readonly granted: number | undefined
  /** Code with which the asynchronous part of the work ends; undefined: it succeeds. */
  readonly operationFailure: string | undefined
  /** True: somebody else changes the thing right before this call does. */
  readonly isForestalled: boolean
}

/** What a call is about and who makes it. */
export interface Subject {
  readonly instanceId: string | undefined
  readonly subnetId: string | undefined
  /** Id of the caller's key. */
  readonly accessKey: string
}

/** A call on its way. */
export interface Passage {
  readonly world: World
  readonly calls: CallLog
  /** The action's name, under which it is counted and struck by faults. */
  readonly name: string
  /** Faults that this cloud knows beside the common ones. */
  readonly furtherFaults?: readonly FurtherFault[]
  readonly subject: Subject
  /** How long it takes, and the name of the stream that the latency is drawn from. */
  readonly latency: { readonly kind: CallKind; readonly stream: string }
  /** Headers of a page that comes instead of a reply. */
  readonly pageHeaders: Headers
  /** The error for a `throttle` fault. */
  readonly throttled: () => Error
  /** The error for a `fail` fault; without a status, the code's own. */
  readonly failed: (code: string, message: string, status: number | undefined) => Error
  /** Throws what the call deserves before it meets the cloud's state; gives the work to be done. */
  readonly prepare: () => (struck: Struck) => Reply
}

/** Takes a call from its caller to its answer; throws what `prepare`, work and faults throw. */
export const pass = async (passage: Passage): Promise<Answer> => {
  const { world, latency, furtherFaults = [] } = passage
  const faults = [...commonFaults, ...furtherFaults]
  const effects = world.faults.strike(faults, occasionFor(passage))
  const next = blockedBy(passage, effects) ?? passage.prepare()
  const span = world.options.latency.callMs[latency.kind]
  const ms = delayOf(effects) + draw(world.chance, `latency/${latency.stream}`, span)
  if (ms > 0) await world.clock.sleep(ms)
  return typeof next === 'function' ? spoiled(passage, effects, next(struckBy(effects))) : next
}

const struckBy = (effects: readonly CallEffect[]): Struck => ({
  granted: effects.find(effect => effect.kind === 'partial')?.granted,
  operationFailure: effects.find(effect => effect.kind === 'operationFail')?.code,
  isForestalled: effects.some(effect => effect.kind === 'foreignWrite'),
})

const occasionFor = ({ world, name, subject }: Passage): Occasion => ({
  ...occasionOf(world, subject.instanceId),
  action: name,
  accessKey: subject.accessKey,
  ...(subject.subnetId !== undefined && { subnet: subject.subnetId }),
})

const delayOf = (effects: readonly CallEffect[]): number =>
  effects.find(effect => effect.kind === 'delay')?.ms ?? 0

// Faults that answer before any work is done.
const blockedBy = (passage: Passage, effects: readonly CallEffect[]): Answer | undefined => {
  const { calls, name } = passage
  for (const effect of effects) {
    if (effect.kind === 'throttle') throw passage.throttled()
    if (effect.kind === 'fail') {
      throw passage.failed(effect.code, `${effect.code} (injected fault)`, effect.status)
    }
    if (effect.kind === 'reset' || effect.kind === 'hang') {
      calls.note(name, effect.kind)
      return { kind: effect.kind }
    }
    if (effect.kind === 'html') {
      calls.note(name, 'html')
      return htmlPage(effect.status, passage.pageHeaders)
    }
  }
  return undefined
}

// Faults that spoil the reply after the work is done.
const spoiled = (
  { calls, name }: Passage,
  effects: readonly CallEffect[],
  reply: Reply,
): Answer => {
  if (effects.some(effect => effect.kind === 'loseReply')) {
    calls.note(name, 'loseReply')
    return { kind: 'reset' }
  }
  const isCut = effects.some(effect => effect.kind === 'malformed')
  calls.note(name, isCut ? 'malformed' : 'ok')
  return isCut ? cutReply(reply) : reply
}
