// One EC2 call from form to answer: who calls, which action, may they, how fast may they, what goes
// wrong on purpose, how long it takes, and only then the work itself.
import type { IncomingHttpHeaders } from 'node:http'
import type { Chance } from '#emulator/model/chance.ts'
import type { Effect } from '#emulator/model/faults.ts'
import { draw } from '#emulator/model/latency.ts'
import { Refusal } from '#emulator/model/refusal.ts'
import { type World, allNics, occasionOf } from '#emulator/model/world.ts'
import type { Action, Actions, CallContext, TokenUse, Work } from './action.ts'
import { addressActions } from './addresses.ts'
import { type SignedRequest, authenticate } from './auth.ts'
import type { CallLog } from '#emulator/model/calls.ts'
import { describeActions } from './describes.ts'
import { Ec2Error, ec2Error } from './errors.ts'
import type { AccessKey, KeyRing } from './keys.ts'
import { nicActions } from './nics.ts'
import { readParams } from './params.ts'
import { resourceActions } from './resources.ts'
import type { Throttle } from './throttle.ts'
import { document, el } from './xml.ts'

/** What a face needs. */
export interface FaceOptions {
  readonly world: World
  readonly keys: KeyRing
  readonly throttle: Throttle
  readonly calls: CallLog
  readonly ownerId: string
  readonly netnsOf: (name: string) => string
}

/** An answer, or the ways in which there is none. */
export type Answer =
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly contentType: string
      readonly requestId: string
      readonly body: string
    }
  | { readonly kind: 'reset' }
  | { readonly kind: 'hang' }

/** Answers one call; never throws. */
export type Face = (
  request: SignedRequest & { readonly headers: IncomingHttpHeaders },
) => Promise<Answer>

const actions: Actions = {
  ...describeActions,
  ...nicActions,
  ...addressActions,
  ...resourceActions,
}

const version = '2016-11-15'

export const createFace = (options: FaceOptions): Face => {
  const tokens = new Map<string, TokenUse>()
  return async request => {
    const form = new URLSearchParams(request.body)
    const name = form.get('Action') ?? ''
    const requestId = newRequestId(options.world.chance)
    const call = { request, form, name, requestId, tokens }
    try {
      return await perform(options, call)
    } catch (error) {
      return failure(options, call, error)
    }
  }
}

interface Call {
  readonly request: SignedRequest
  readonly form: URLSearchParams
  readonly name: string
  readonly requestId: string
  readonly tokens: Map<string, TokenUse>
}

const perform = async (options: FaceOptions, call: Call): Promise<Answer> => {
  const { world, calls } = options
  const key = authenticate(call.request, options.keys, world.clock.now())
  const action = findAction(call)
  const effects = strike(world, call, key)
  const wait = effects.find(effect => effect.kind === 'delay')?.ms ?? 0
  const blocked = before(options, call, effects)
  const work = blocked === undefined ? prepare(options, { ...call, action, key }) : undefined
  const latency = draw(
    world.chance,
    `latency/${call.name}`,
    world.options.latency.callMs[action.kind],
  )
  await pause(world, wait + latency)
  if (work === undefined) return blocked ?? { kind: 'hang' }
  const context = contextOf(options, { ...call, key, effects })
  const body = document(
    el(`${call.name}Response`, el('requestId', call.requestId), ...work(context)),
    { xmlns: `http://ec2.amazonaws.com/doc/${version}/` },
  )
  return after(calls, call, { effects, body })
}

const findAction = (call: Call): Action => {
  if (call.form.get('Version') !== version) {
    throw new Ec2Error(
      'InvalidParameterValue',
      `The API version ${call.form.get('Version')} is not served here; use ${version}.`,
    )
  }
  const action = Object.hasOwn(actions, call.name) ? actions[call.name] : undefined
  if (action === undefined) {
    throw new Ec2Error(
      'InvalidAction',
      `The action ${call.name} is not valid for this web service.`,
    )
  }
  return action
}

const callKinds = [
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

type CallEffect = Extract<Effect, { readonly kind: (typeof callKinds)[number] }>

const strike = (world: World, call: Call, key: AccessKey): readonly CallEffect[] =>
  world.faults.strike(callKinds, {
    ...occasionOf(world, subjectInstance(world, call.form) ?? key.instanceId),
    action: call.name,
    accessKey: key.accessKeyId,
    ...subnetOccasion(call.form),
  })

const subnetOccasion = (form: URLSearchParams): { readonly subnet?: string } => {
  const subnet = form.get('SubnetId') ?? form.get('SubnetId.1')
  return subnet === null ? {} : { subnet }
}

// The instance a call is about: named, or the one that the named NIC or attachment belongs to; for
// other calls (CreateNetworkInterface) the caller's own, when it signs with its role's key.
const subjectInstance = (world: World, form: URLSearchParams): string | undefined => {
  const named = form.get('InstanceId') ?? form.get('InstanceId.1')
  if (named !== null) return named
  const nicId = form.get('NetworkInterfaceId') ?? form.get('NetworkInterfaceId.1')
  const attachmentId = form.get('AttachmentId')
  return allNics(world).find(
    nic => nic.id === nicId || (attachmentId !== null && nic.attachment?.id === attachmentId),
  )?.attachment?.instanceId
}

// Faults that answer before any work is done.
const before = (
  options: FaceOptions,
  call: Call,
  effects: readonly CallEffect[],
): Answer | undefined => {
  for (const effect of effects) {
    if (effect.kind === 'throttle') throw limitExceeded()
    if (effect.kind === 'fail') throw injected(effect)
    if (effect.kind === 'reset' || effect.kind === 'hang') {
      options.calls.note(call.name, effect.kind)
      return { kind: effect.kind }
    }
    if (effect.kind === 'html') {
      options.calls.note(call.name, 'html')
      return htmlAnswer(effect.status, call.requestId)
    }
  }
  return undefined
}

// Order as EC2's: rate, then form of the request, then permission, then dry run, then state.
const prepare = (
  options: FaceOptions,
  call: Call & { readonly action: Action; readonly key: AccessKey },
): Work => {
  const { world } = options
  if (!options.throttle(throttledCall(call), world.clock.now())) throw limitExceeded()
  const params = readParams(call.form)
  const isDryRun = call.action.hasDryRun && params.flag('DryRun') === true
  const work = call.action.read(params)
  params.finish()
  authorize(call.key, call.name)
  if (isDryRun) {
    throw new Ec2Error('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.')
  }
  return work
}

const throttledCall = (call: Call & { readonly key: AccessKey }): Parameters<Throttle>[0] => {
  const isBounded = ['MaxResults', 'NextToken', 'Filter.1.Name'].some(name => call.form.has(name))
  const listed = [...call.form.keys()].filter(name => name.startsWith('InstanceId.')).length
  const run = Number(call.form.get('MaxCount') ?? 0)
  const resources = call.name === 'TerminateInstances' ? listed : run
  return { accountId: call.key.accountId, action: call.name, isUnbounded: !isBounded, resources }
}

const authorize = (key: AccessKey, action: string): void => {
  if (!key.deniedActions.includes(action) && !key.deniedActions.includes('*')) return
  throw new Ec2Error(
    'UnauthorizedOperation',
    `You are not authorized to perform this operation. User: ${key.arn} is not authorized to ` +
      `perform: ec2:${action} because no identity-based policy allows the ec2:${action} action.`,
  )
}

const contextOf = (
  options: FaceOptions,
  call: Call & { readonly key: AccessKey; readonly effects: readonly CallEffect[] },
): CallContext => ({
  world: options.world,
  ownerId: options.ownerId,
  accountId: call.key.accountId,
  granted: call.effects.find(effect => effect.kind === 'partial')?.granted,
  requestId: call.requestId,
  tokens: call.tokens,
  netnsOf: options.netnsOf,
})

// Faults that spoil the answer after the work is done.
const after = (
  calls: CallLog,
  call: Call,
  { effects, body }: { readonly effects: readonly CallEffect[]; readonly body: string },
): Answer => {
  if (effects.some(effect => effect.kind === 'loseReply')) {
    calls.note(call.name, 'loseReply')
    return { kind: 'reset' }
  }
  const isCut = effects.some(effect => effect.kind === 'malformed')
  calls.note(call.name, isCut ? 'malformed' : 'ok')
  const text = isCut ? body.slice(0, Math.floor(body.length / 2)) : body
  return xmlAnswer(200, call.requestId, text)
}

const failure = (options: FaceOptions, call: Call, error: unknown): Answer => {
  const known = error instanceof Refusal ? ec2Error(error.reason) : error
  if (!(known instanceof Ec2Error)) throw error
  const isAction = Object.hasOwn(actions, call.name)
  options.calls.note(isAction ? call.name : 'unknown', known.code)
  const body = document(
    el(
      'Response',
      el('Errors', el('Error', el('Code', known.code), el('Message', known.message))),
      el('RequestID', call.requestId),
    ),
  )
  return xmlAnswer(known.status, call.requestId, body)
}

const xmlAnswer = (status: number, requestId: string, body: string): Answer => ({
  kind: 'answer',
  status,
  contentType: 'text/xml;charset=UTF-8',
  requestId,
  body,
})

const htmlAnswer = (status: number, requestId: string): Answer => ({
  kind: 'answer',
  status,
  contentType: 'text/html',
  requestId,
  body: `<html><head><title>${status} Bad Gateway</title></head><body>${status}</body></html>`,
})

const limitExceeded = (): Ec2Error =>
  new Ec2Error('RequestLimitExceeded', 'Request limit exceeded.')

const injected = (effect: Extract<Effect, { readonly kind: 'fail' }>): Ec2Error =>
  new Ec2Error(effect.code, `${effect.code} (injected fault)`, effect.status)

const pause = async (world: World, ms: number): Promise<void> => {
  if (ms > 0) await world.clock.sleep(ms)
}

const newRequestId = (chance: Chance): string => {
  const hex = chance.hex('request', 32)
  return [0, 8, 12, 16, 20].map((from, i, all) => hex.slice(from, all[i + 1])).join('-')
}
