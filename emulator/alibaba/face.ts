// One RPC call from request to answer: who calls, which action, may they, how fast may they, what
// goes wrong on purpose, how long it takes, and only then the work itself.
import type { CallLog } from '#emulator/model/calls.ts'
import { Refusal } from '#emulator/model/refusal.ts'
import { type World, allNics } from '#emulator/model/world.ts'
import {
  type Answer,
  type Face,
  type Headers,
  type Reply,
  type WireCall,
  faceOf,
} from '#emulator/wire/answer.ts'
import { type AccessKey, isAllowed } from '#emulator/wire/keys.ts'
import { type Subject, pass } from '#emulator/wire/passage.ts'
import { newRequestId } from '#emulator/wire/request-id.ts'
import { type Action, type Actions, type CallContext, type Work, productOf } from './action.ts'
import { addressActions } from './addresses.ts'
import type { Authenticate } from './auth.ts'
import { describeActions } from './describes.ts'
import { ApiError, apiError, missingParameter } from './errors.ts'
import { principalOf } from './keys.ts'
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

const actions: Actions = { ...describeActions, ...nicActions, ...addressActions, ...tagActions }

export const createFace = (options: FaceOptions): Face => {
  const memory = { tokens: new Map(), notes: createNotes() }
  return faceOf<Call>({
    begin: request => {
      const form = formOf(request)
      const requestId = newRequestId(options.world.chance).toUpperCase()
      return { request, form, name: nameOf(request, form), requestId, ...memory }
    },
    perform: call => perform(options, call),
    fail: (call, error) => failure(options, call, error),
  })
}

interface Call {
  readonly request: WireCall
  readonly form: URLSearchParams
  readonly name: string
  readonly requestId: string
  readonly tokens: CallContext['tokens']
  readonly notes: Notes
}

// Parameters stand in the query; a form in the body is as good.
const formOf = ({ url, headers, body }: WireCall): URLSearchParams => {
  const form = new URLSearchParams(url.split('?', 2)[1] ?? '')
  if (headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true) {
    for (const [name, value] of new URLSearchParams(body)) form.append(name, value)
  }
  return form
}

const nameOf = ({ headers }: WireCall, form: URLSearchParams): string =>
  String(headers['x-acs-action'] ?? form.get('Action') ?? '')

const perform = async (options: FaceOptions, call: Call): Promise<Answer> => {
  const { world, calls } = options
  const key = options.authenticate(call.request, world.clock.now())
  const action = findAction(call)
  return pass({
    world,
    calls,
    name: call.name,
    subject: subjectOf(world, call, key),
    latency: { kind: action.kind, stream: call.name },
    pageHeaders: headersOf(call.requestId),
    throttled: () => throttled('Throttling.Api', 'api'),
    failed: (code, message, status) => new ApiError(code, message, { status }),
    prepare: () => {
      const work = prepare(options, { ...call, action, key })
      return ({ granted }) => respond(call, work(contextOf(options, { ...call, key, granted })))
    },
  })
}

const respond = ({ requestId }: Call, members: ReturnType<Work>): Reply =>
  jsonReply(200, requestId, JSON.stringify({ RequestId: requestId, ...members }))

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

const subjectOf = (world: World, { form }: Call, key: AccessKey): Subject => ({
  instanceId: subjectInstance(world, form) ?? key.role?.instanceId,
  subnetId: form.get('VSwitchId') ?? undefined,
  accessKey: key.accessKeyId,
})

// The instance a call is about: named, or the one that the named NIC hangs on; for other calls
// (CreateNetworkInterface) the caller's own, when it signs with its role's key.
const subjectInstance = (world: World, form: URLSearchParams): string | undefined => {
  const named = form.get('InstanceId') ?? /"(i-\w+)"/.exec(form.get('InstanceIds') ?? '')?.[1]
  if (named !== undefined) return named
  const nicId = form.get('NetworkInterfaceId') ?? form.get('NetworkInterfaceId.1')
  return allNics(world).find(nic => nic.id === nicId)?.attachment?.instanceId
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
  if (isAllowed(call.key, call.name)) return
  const principal = principalOf(call.key)
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
        AuthPrincipalOwnerId: call.key.accountId,
        NoPermissionType: 'ImplicitDeny',
        PolicyType: 'AccountLevelIdentityBasedPolicy',
      },
    },
  )
}

const contextOf = (
  options: FaceOptions,
  call: Call & { readonly key: AccessKey; readonly granted: number | undefined },
): CallContext => ({
  world: options.world,
  action: call.name,
  ownerId: options.ownerId,
  accountId: call.key.accountId,
  region: options.region,
  granted: call.granted,
  notes: call.notes,
  tokens: call.tokens,
})

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
  return jsonReply(known.status, call.requestId, body)
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

const jsonReply = (status: number, requestId: string, body: string): Reply => ({
  kind: 'answer',
  status,
  headers: { 'content-type': 'application/json;charset=utf-8', ...headersOf(requestId) },
  body,
})

const headersOf = (requestId: string): Headers => ({ 'x-acs-request-id': requestId })

const throttled = (code: string, whose: string): ApiError =>
  new ApiError(code, `Request was denied due to ${whose} flow control.`)
