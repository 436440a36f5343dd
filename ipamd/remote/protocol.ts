// What the daemon and its cloud process say to each other: the messages, their bytes and their
// limits. Both ends are of one version, because one starts the other from beside itself.

import { deserialize, serialize } from 'node:v8'
import type { Cloud, Outcome } from '#core/ports.ts'

/** The methods of the Cloud port. */
export type Method = keyof Cloud

/** What a method takes before its signal. */
export type Arguments<Name extends Method> =
  Parameters<Cloud[Name]> extends readonly [...infer Given, AbortSignal] ? Given : never

/** Methods that change nothing: what became of one is never in doubt. */
const reads: ReadonlySet<Method> = new Set<Method>(['describeNode', 'observe'])

export const isRead = (method: Method): boolean => reads.has(method)

/** Said to the process: first `open`, once; then calls, each with a number of its own. */
export type Question =
  | {
      readonly kind: 'open'
      readonly version: number
      /** Name of a provider, and what its cloud is made with: plain data. */
      readonly provider: string
      readonly options: unknown
    }
  | {
      readonly kind: 'call'
      readonly id: number
      readonly method: Method
      readonly args: readonly unknown[]
    }
  | { readonly kind: 'abort'; readonly id: number }
  /** Answered at once, whatever is under way. */
  | { readonly kind: 'ping' }

/** One call on the wire, for the metrics. */
export type WireCall = { readonly name: string; readonly result: string }

/** Said by the process: `opened` or `unusable` once; then one answer for each call and ping. */
export type Answer =
  | { readonly kind: 'opened' }
  | { readonly kind: 'pong' }
  /** It cannot serve, and ends; the sentence says why. */
  | { readonly kind: 'unusable'; readonly reason: string }
  | {
      readonly kind: 'answer'
      readonly id: number
      readonly outcome: Outcome<unknown>
      /** What went over the wire since the last answer. */
      readonly calls: readonly WireCall[]
    }
  /** The provider threw, which is a bug of it. */
  | {
      readonly kind: 'threw'
      readonly id: number
      readonly name: string
      readonly message: string
      readonly calls: readonly WireCall[]
    }

/** Raised with every change of the messages: files may be replaced under a daemon that runs. */
export const protocolVersion = 2

/** The largest observation, 4000 blocks on 15 NICs, takes a tenth of it. */
export const messageBytesMax = 2 ** 20

/**
 * The bytes of a message, undefined when they are too many. Structured clone, because JSON loses
 * fields that are undefined and the values of the port have such.
 */
export const encode = (message: Question | Answer): Uint8Array | undefined => {
  const bytes = serialize(message)
  return bytes.byteLength <= messageBytesMax ? bytes : undefined
}

/** Undefined when it is no question. */
export const decodeQuestion = (message: unknown): Question | undefined =>
  decode<Question>(message, {
    open: isOpen,
    call: isCall,
    abort: isNumbered,
    ping: () => true,
  })

/** Undefined when it is no answer. */
export const decodeAnswer = (message: unknown): Answer | undefined =>
  decode<Answer>(message, {
    opened: () => true,
    pong: () => true,
    unusable: ({ reason }) => typeof reason === 'string',
    answer: fields => isNumbered(fields) && isOutcome(fields['outcome']) && hasCalls(fields),
    threw: fields => isNumbered(fields) && typeof fields['name'] === 'string' && hasCalls(fields),
  })

type Fields = Readonly<Record<string, unknown>>
type Checks<Message extends { readonly kind: string }> = {
  readonly [Kind in Message['kind']]: (fields: Fields) => boolean
}

// As far as a wrong message could do harm; what is inside is the port's own business.
const decode = <Message extends { readonly kind: string }>(
  message: unknown,
  checks: Checks<Message>,
): Message | undefined => {
  const fields = fieldsOf(message)
  const kind = fields?.['kind']
  if (fields === undefined || typeof kind !== 'string' || !Object.hasOwn(checks, kind)) return
  return checks[kind as Message['kind']](fields) ? (fields as unknown as Message) : undefined
}

const fieldsOf = (message: unknown): Fields | undefined => {
  if (!(message instanceof Uint8Array) || message.byteLength > messageBytesMax) return undefined
  try {
    const value: unknown = deserialize(message)
    return typeof value === 'object' && value !== null ? (value as Fields) : undefined
  } catch {
    return undefined
  }
}

const isOpen = ({ version, provider }: Fields): boolean =>
  typeof version === 'number' && typeof provider === 'string'

const isCall = (fields: Fields): boolean =>
  isNumbered(fields) && isMethod(fields['method']) && Array.isArray(fields['args'])

const isNumbered = ({ id }: Fields): boolean => typeof id === 'number'

const isOutcome = (outcome: unknown): boolean => {
  const kind = (outcome as Fields | undefined)?.['kind']
  return kind === 'ok' || kind === 'failed'
}

const hasCalls = ({ calls }: Fields): boolean => Array.isArray(calls)

const methods: { readonly [Name in Method]: true } = {
  describeNode: true,
  observe: true,
  createNic: true,
  attachNic: true,
  detachNic: true,
  deleteNic: true,
  lendBlocks: true,
  returnBlocks: true,
}

const isMethod = (name: unknown): boolean =>
  typeof name === 'string' && Object.hasOwn(methods, name)
