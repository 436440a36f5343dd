// One ARM call from request to answer: who calls, where it leads, what goes wrong on purpose, how
// fast they may, may they, how long it takes, and only then the work itself.
import type { CallLog } from '#emulator/model/calls.ts'
import { Refusal } from '#emulator/model/refusal.ts'
import {
  type Answer,
  type Face,
  type WireCall,
  type Reply as WireReply,
  faceOf,
} from '#emulator/wire/answer.ts'
import { type Struck, type Subject, pass } from '#emulator/wire/passage.ts'
import type { Context, Reply } from './action.ts'
import type { Arm } from './arm.ts'
import { authenticate } from './auth.ts'
import { ArmError, armError, errorBody } from './errors.ts'
import { formatGuid } from './guid.ts'
import { memberAt, networkGroup, nodeGroup } from './ids.ts'
import { parseJson } from './json.ts'
import type { Token } from './principals.ts'
import { nicByName } from './records.ts'
import { authorize } from './references.ts'
import { type Route, checkVersion, routeOf } from './routes.ts'
import type { Throttle } from './throttle.ts'

/** What a face needs. */
export interface FaceOptions {
  readonly arm: Arm
  readonly throttle: Throttle
  readonly calls: CallLog
}

export const createFace = (options: FaceOptions): Face =>
  faceOf<Call>({
    begin: request => callOf(options, request),
    perform: call => perform(options, call),
    fail: (call, error) => failure(options, call, error),
  })

/** A call under way; the limits are filled in when its tokens are drawn. */
interface Call {
  readonly request: WireCall
  readonly url: URL
  readonly origin: string
  readonly requestId: string
  /** Where it leads, or why nowhere, which only those hear who may ask. */
  readonly route: Route | ArmError
  limits: Readonly<Record<string, string>>
}

const callOf = ({ arm }: FaceOptions, request: WireCall): Call => {
  const origin = `https://${request.headers.host ?? 'localhost'}`
  const url = URL.canParse(request.url, origin) ? new URL(request.url, origin) : new URL(origin)
  return {
    request,
    origin,
    url,
    requestId: formatGuid(arm.world.chance.hex('request', 32)),
    route: routeOrError(request.method, url.pathname),
    limits: {},
  }
}

const routeOrError = (method: string, pathname: string): Route | ArmError => {
  try {
    return routeOf(method, pathname)
  } catch (error) {
    if (error instanceof ArmError) return error
    throw error
  }
}

const perform = async (options: FaceOptions, call: Call): Promise<Answer> => {
  const { arm, calls } = options
  const { world } = arm
  const { route } = call
  const at = { now: world.clock.now(), origin: call.origin }
  const token = authenticate(call.request.headers, arm.directory, at)
  if (route instanceof ArmError) throw route
  const { kind, name, work } = route.action
  return pass({
    world,
    calls,
    name,
    furtherFaults: ['operationFail', 'foreignWrite'],
    subject: subjectOf(arm, route, token),
    latency: { kind, stream: kind },
    pageHeaders: {},
    throttled: injectedThrottle,
    failed: (code, message, status) => new ArmError(code, message, { status }),
    prepare: () => {
      admit(options, call, { route, token })
      return struck => respond(call, work(contextOf(arm, call, { route, token, struck })))
    },
  })
}

const respond = (call: Call, { status, headers, body }: Reply): WireReply =>
  jsonReply(call, { status, headers, body: body === undefined ? '' : JSON.stringify(body) })

const subjectOf = (arm: Arm, route: Route, token: Token): Subject => ({
  instanceId: machineOf(arm, route) ?? token.instanceId,
  subnetId: subnetOf(arm, route),
  accessKey: token.principal.clientId,
})

// The machine that a call is about: the one of the path, or the one whose NIC it is.
const machineOf = (arm: Arm, { type, names }: Route): string | undefined => {
  const [first = '', second = ''] = names
  if (/^networkinterfaces/i.test(type)) return nicByName(arm, first)?.nic.attachment?.instanceId
  if (/^virtualmachinescalesets/i.test(type)) return memberAt(arm.world, first, second)?.id
  if (!/^virtualmachines/i.test(type)) return undefined
  return [...arm.world.instances.values()].find(
    ({ name }) => name.toLowerCase() === first.toLowerCase(),
  )?.id
}

const subnetOf = (arm: Arm, { type, names }: Route): string | undefined => {
  const name = /subnets$/i.test(type) ? names[1]?.toLowerCase() : undefined
  return [...arm.world.subnets.values()].find(one => one.name.toLowerCase() === name)?.id
}

// Order as ARM's: rate, then version, then permission, then subscription and group.
const admit = (
  { arm, throttle }: FaceOptions,
  call: Call,
  { route, token }: { readonly route: Route; readonly token: Token },
): void => {
  const { clientId } = token.principal
  call.limits = throttle({ ...route, clientId }, arm.world.clock.now())
  checkVersion(route, arm.location, call.url.searchParams.get('api-version'))
  if (route.subscriptionId.toLowerCase() !== arm.subscriptionId.toLowerCase()) {
    throw new ArmError(
      'SubscriptionNotFound',
      `The subscription '${route.subscriptionId}' could not be found.`,
    )
  }
  // Polling needs no permission of its own.
  if (route.action.name !== 'operations/read') {
    authorize(token.principal, route.action.name, route.id)
  }
  const { group } = route
  if (group === undefined || [nodeGroup, networkGroup].includes(group.toLowerCase())) return
  throw new ArmError('ResourceGroupNotFound', `Resource group '${group}' could not be found.`)
}

const contextOf = (
  arm: Arm,
  call: Call,
  parts: {
    readonly route: Route
    readonly token: Token
    readonly struck: Struck
  },
): Context => {
  const { route, token, struck } = parts
  const ifMatch = call.request.headers['if-match']
  return {
    arm,
    principal: token.principal,
    method: route.method,
    group: route.group,
    names: route.names,
    id: route.id,
    query: call.url.searchParams,
    body: parseJson(call.request.body),
    ifMatch: ifMatch === '' ? undefined : ifMatch,
    origin: call.origin,
    ...struck,
  }
}

const failure = (options: FaceOptions, call: Call, error: unknown): Answer => {
  const known = error instanceof Refusal ? fromModel(error) : error
  if (!(known instanceof ArmError)) throw error
  const { route } = call
  options.calls.note(route instanceof ArmError ? 'unknown' : route.action.name, known.code)
  const { status, headers } = known
  return jsonReply(call, {
    status,
    headers: { 'x-ms-failure-cause': 'gateway', ...headers },
    body: JSON.stringify(errorBody(known)),
  })
}

const fromModel = (error: Refusal): ArmError =>
  armError(error.reason, {
    about: 'The resource',
    count: 1,
    subnet: { id: '', prefix: '' },
    holderOf: () => undefined,
  })

const jsonReply = (
  { requestId, limits }: Call,
  parts: {
    readonly status: number
    readonly headers: Readonly<Record<string, string>>
    readonly body: string
  },
): WireReply => ({
  kind: 'answer',
  status: parts.status,
  headers: {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-cache',
    'x-ms-request-id': requestId,
    'x-ms-correlation-request-id': requestId,
    ...limits,
    ...parts.headers,
  },
  body: parts.body,
})

/** A throttle fault asks for a short wait, so that a test need not wait for minutes. */
const faultRetrySeconds = 1

const injectedThrottle = (): ArmError =>
  new ArmError('TooManyRequests', 'The request is being throttled (injected fault).', {
    headers: { 'retry-after': String(faultRetrySeconds) },
  })
