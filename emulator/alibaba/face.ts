// One RPC call from request to answer: who calls, which action, may they, how fast may they, what
// goes wrong on purpose, how long it takes, and only then the work itself.
import type { Chance } from '#emulator/model/chance.ts'
import type { CallLog } from '#emulator/model/calls.ts'
import type { Effect } from '#emulator/model/faults.ts'
import { draw } from '#emulator/model/latency.ts'
import { Refusal } from '#emulator/model/refusal.ts'
import { type World, allNics, occasionOf } from '#emulator/model/world.ts'
import { type Action, type Actions, type CallContext, type Work, productOf } from './action.ts'
import { addressActions } from './addresses.ts'
import type { Authenticate, SignedRequest } from './auth.ts'
import { describeActions } from './describes.ts'
import { ApiError, apiError, missingParameter } from './errors.ts'
import type { AccessKey } from './keys.ts'
import { nicActions } from './nics.ts'
import { type Notes, createNotes } from './notes.ts'
import { readParams } from './params.ts'
import { tagActions } from './tags.ts'
import type { Throttle } from './throttle.ts'

/** What a face needs. */
export interface FaceOptions {
  readonly world: World
  readonly authenticate: Authenticate
  readonly throttle: Throttle
  readonly calls: CallLog
  readonly ownerId: string
  readonly region: string
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
export type Face = (request: SignedRequest) => Promise<Answer>

const actions: Actions = { ...describeActions, ...nicActions, ...addressActions, ...tagActions }

export const createFace = (options: FaceOptions): Face => {
  const memory = { tokens: new Map(), notes: createNotes() }
  return async request => {
    const form = formOf(request)
    const name = nameOf(request, form)
    const call = { request, form, name, requestId: newRequestId(options.world.chance), ...memory }
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
  readonly tokens: CallContext['tokens']
  readonly notes: Notes
}

// Parameters stand in the query; a form in the body is as good.
const formOf = ({ url, headers, body }: SignedRequest): URLSearchParams => {
  const form = new URLSearchParams(url.split('?', 2)[1] ?? '')
  if (headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true) {
    for (const [name, value] of new URLSearchParams(body)) form.append(name, value)
  }
  return form
}

const nameOf = ({ headers }: SignedRequest, form: URLSearchParams): string =>
  String(headers['x-acs-action'] ?? form.get('Action') ?? '')

const perform = async (options: FaceOptions, call: Call): Promise<Answer> => {
  const { world, calls } = options
  const key = options.authenticate(call.request, world.clock.now())
  const action = findAction(call)
  const effects = strike(world, call, key)
  const wait = effects.find(effect => effect.kind === 'delay')?.ms ?? 0
  const blocked = before(options, call, effects)
  const work = blocked === undefined ? prepare(options, { ...call, action, key }) : undefined
  const span = world.options.latency.callMs[action.kind]
  await pause(world, wait + draw(world.chance, `latency/${call.name}`, span))
  if (work === undefined) return blocked ?? { kind: 'hang' }
  const members = work(contextOf(options, { ...call, key, effects }))
  const body = JSON.stringify({ RequestId: call.requestId, ...members })
  return after(calls, call, { effects, body })
}

const findAction = (call: Call): Action => {
  if (call.name === '') throw missingParameter('Action')
  const action = Object.hasOwn(actions, call.name) ? actions[call.name] : undefined
  if (action === undefined) {
    throw new ApiError(
      'InvalidAction.NotFound',
      'Specified api is not found, please check your url and method.',
    )
  }
  const version = call.request.headers['x-acs-version'] ?? call.form.get('Version')
  if (version !== action.version) {
    throw new ApiError('InvalidVersion', 'Specified parameter Version is not valid.')
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

const strike = (world: World, call: Call, key: AccessKey): readonly CallEffect[] => {
  const subnet = call.form.get('VSwitchId')
  return world.faults.strike(callKinds, {
    ...occasionOf(world, subjectInstance(world, call.form) ?? key.instanceId),
    action: call.name,
    accessKey: key.accessKeyId,
    ...(subnet !== null && { subnet }),
  })
}

// The instance a call is about: named, or the one that the named NIC hangs on; for other calls
// (CreateNetworkInterface) the caller's own, when it signs with its role's key.
const subjectInstance = (world: World, form: URLSearchParams): string | undefined => {
  const named = form.get('InstanceId') ?? /"(i-\w+)"/.exec(form.get('InstanceIds') ?? '')?.[1]
  if (named !== undefined) return named
  const nicId = form.get('NetworkInterfaceId') ?? form.get('NetworkInterfaceId.1')
  return allNics(world).find(nic => nic.id === nicId)?.attachment?.instanceId
}

// Faults that answer before any work is done.
const before = (
  options: FaceOptions,
  call: Call,
  effects: readonly CallEffect[],
): Answer | undefined => {
  for (const effect of effects) {
    if (effect.kind === 'throttle') throw throttled('Throttling.Api', 'api')
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

// Order: rate, then form of the request, then permission, then (in the work) state.
const prepare = (
  options: FaceOptions,
  call: Call & { readonly action: Action; readonly key: AccessKey },
): Work => {
  const { accountId } = call.key
  if (!options.throttle({ accountId, action: call.name }, options.world.clock.now())) {
    throw throttled('Throttling.User', 'user')
  }
  checkRegion(options, call)
  const work = call.action.read(readParams(call.form))
  authorize(call)
  return work
}

const checkRegion = (options: FaceOptions, call: Call & { readonly action: Action }): void => {
  const region = call.form.get('RegionId')
  if (region === null && call.action.needsRegion) throw missingParameter('RegionId')
  if (region === null || region === options.region) return
  throw new ApiError('InvalidRegionId.NotFound', 'The specified RegionId does not exist.')
}

const authorize = (call: Call & { readonly action: Action; readonly key: AccessKey }): void => {
  const { deniedActions, principal, accountId } = call.key
  if (!deniedActions.includes(call.name) && !deniedActions.includes('*')) return
  const authAction = `${productOf(call.action.version)}:${call.name}`
  throw new ApiError(
    'Forbidden.RAM',
    'User not authorized to operate on the specified resource, or this API does not support RAM. ' +
      `Action: ${authAction}.`,
    {
      accessDenied: {
        AuthAction: authAction,
        AuthPrincipalType: principal.type,
        AuthPrincipalDisplayName: principal.name,
        AuthPrincipalOwnerId: accountId,
        NoPermissionType: 'ImplicitDeny',
        PolicyType: 'AccountLevelIdentityBasedPolicy',
      },
    },
  )
}

const contextOf = (
  options: FaceOptions,
  call: Call & { readonly key: AccessKey; readonly effects: readonly CallEffect[] },
): CallContext => ({
  world: options.world,
  action: call.name,
  ownerId: options.ownerId,
  accountId: call.key.accountId,
  region: options.region,
  granted: call.effects.find(effect => effect.kind === 'partial')?.granted,
  notes: call.notes,
  tokens: call.tokens,
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
  return jsonAnswer(200, call.requestId, text)
}

const failure = (options: FaceOptions, call: Call, error: unknown): Answer => {
  const known = error instanceof Refusal ? ofRefusal(options.world, call, error) : error
  if (!(known instanceof ApiError)) throw error
  const action = Object.hasOwn(actions, call.name) ? actions[call.name] : undefined
  options.calls.note(action === undefined ? 'unknown' : call.name, known.code)
  const product = action === undefined ? 'ecs' : productOf(action.version)
  const body = JSON.stringify({
    RequestId: call.requestId,
    HostId: `${product}.${options.region}.aliyuncs.com`,
    Code: known.code,
    Message: known.message,
    Recommend: recommend(product, known.code, call.requestId),
    ...(known.accessDenied !== undefined && { AccessDeniedDetail: known.accessDenied }),
  })
  return jsonAnswer(known.status, call.requestId, body)
}

const ofRefusal = (world: World, call: Call, { reason }: Refusal): ApiError => {
  const nicId = call.form.get('NetworkInterfaceId')
  const isAttached = allNics(world).find(nic => nic.id === nicId)?.attachment !== undefined
  return apiError(reason, { action: call.name, isAttached })
}

const recommend = (product: string, code: string, requestId: string): string => {
  const query = new URLSearchParams({
    q: code,
    product: product === 'ecs' ? 'Ecs' : 'Vpc',
    requestId,
  })
  return `https://api.alibabacloud.com/troubleshoot?${query.toString()}`
}

const jsonAnswer = (status: number, requestId: string, body: string): Answer => ({
  kind: 'answer',
  status,
  contentType: 'application/json;charset=utf-8',
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

const throttled = (code: string, whose: string): ApiError =>
  new ApiError(code, `Request was denied due to ${whose} flow control.`)

const injected = ({ code, status }: Extract<Effect, { readonly kind: 'fail' }>): ApiError =>
  new ApiError(code, `${code} (injected fault)`, status === undefined ? {} : { status })

const pause = async (world: World, ms: number): Promise<void> => {
  if (ms > 0) await world.clock.sleep(ms)
}

const newRequestId = (chance: Chance): string => {
  const hex = chance.hex('request', 32).toUpperCase()
  return [0, 8, 12, 16, 20].map((from, i, all) => hex.slice(from, all[i + 1])).join('-')
}
