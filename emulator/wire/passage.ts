// The way of one call whose caller and action are known: what goes wrong on purpose before the
// work, how long it takes, the work itself, and what spoils the reply afterwards.
import type { CallLog } from '#emulator/model/calls.ts'
import type { Effect, Occasion } from '#emulator/model/faults.ts'
import { type CallKind, draw } from '#emulator/model/latency.ts'
import { type World, occasionOf } from '#emulator/model/world.ts'
import { type Answer, type Headers, type Reply, cutReply, htmlPage } from './answer.ts'

/** Faults that every face knows. */
export const commonFaults = [
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

// The last two belong to clouds whose writes go on after their reply and compare what they replace.
type CallFault = (typeof commonFaults)[number] | 'operationFail' | 'foreignWrite'

/** What was switched on for a call. */
export type CallEffect = Extract<Effect, { readonly kind: CallFault }>

/** The injected refusals, which each face words for itself. */
export type InjectedRefusal = Extract<CallEffect, { readonly kind: 'throttle' | 'fail' }>

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
  readonly faults: readonly CallFault[]
  readonly subject: Subject
  /** How long it takes, and the name of the stream that the latency is drawn from. */
  readonly latency: { readonly kind: CallKind; readonly stream: string }
  /** Headers of a page that comes instead of a reply. */
  readonly pageHeaders: Headers
  /** The error to throw for an injected refusal. */
  readonly refusal: (effect: InjectedRefusal) => Error
  /** Throws what the call deserves before it meets the cloud's state; gives the work to be done. */
  readonly prepare: () => (effects: readonly CallEffect[]) => Reply
}

/** Takes a call from its caller to its answer; throws what `refusal`, `prepare` or work throw. */
export const pass = async (passage: Passage): Promise<Answer> => {
  const { world, latency } = passage
  const effects = world.faults.strike(passage.faults, occasionFor(passage))
  const next = blockedBy(passage, effects) ?? passage.prepare()
  const span = world.options.latency.callMs[latency.kind]
  const ms = delayOf(effects) + draw(world.chance, `latency/${latency.stream}`, span)
  if (ms > 0) await world.clock.sleep(ms)
  return typeof next === 'function' ? spoiled(passage, effects, next(effects)) : next
}

/** Blocks that a `partial` fault lets the call have; undefined: all. */
export const grantedBy = (effects: readonly CallEffect[]): number | undefined =>
  effects.find(effect => effect.kind === 'partial')?.granted

/** What an injected failure says. */
export const injectedMessage = ({ code }: Extract<Effect, { readonly kind: 'fail' }>): string =>
  `${code} (injected fault)`

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
    if (effect.kind === 'throttle' || effect.kind === 'fail') throw passage.refusal(effect)
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
