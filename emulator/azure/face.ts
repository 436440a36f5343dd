// One ARM call from request to answer: who calls, where it leads, what goes wrong on purpose, how
// fast they may, may they, how long it takes, and only then the work itself.
import type { IncomingHttpHeaders } from 'node:http'
import type { CallLog } from '#emulator/model/calls.ts'
import type { Effect } from '#emulator/model/faults.ts'
import { draw } from '#emulator/model/latency.ts'
import { Refusal } from '#emulator/model/refusal.ts'
import { occasionOf } from '#emulator/model/world.ts'
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

/** A request as it came. */
export interface ArmRequest {
  readonly method: string
  /** Path and query as sent. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** An answer, or the ways in which there is none. */
export type Answer =
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers: Readonly<Record<string, string>>
      readonly body: string
    }
  | { readonly kind: 'reset' }
  | { readonly kind: 'hang' }

/** Answers one call; never throws. */
export type Face = (request: ArmRequest) => Promise<Answer>

export const createFace =
  (options: FaceOptions): Face =>
  async request => {
    const call = callOf(options, request)
    try {
      return await perform(options, call)
    } catch (error) {
      return failure(options, call, error)
    }
  }

/** A call under way; the limits are filled in when its tokens are drawn. */
interface Call {
  readonly request: ArmRequest
  readonly url: URL
  readonly origin: string
  readonly requestId: string
  /** Where it leads, or why nowhere, which only those hear who may ask. */
  readonly route: Route | ArmError
  limits: Readonly<Record<string, string>>
}

const callOf = ({ arm }: FaceOptions, request: ArmRequest): Call => {
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
  const { arm } = options
  const { world } = arm
  const now = world.clock.now()
  const { route } = call
  const token = authenticate(call.request.headers, arm.directory, { now, origin: call.origin })
  if (route instanceof ArmError) throw route
  const effects = strike(arm, { call, route, token })
  const wait = effects.find(effect => effect.kind === 'delay')?.ms ?? 0
  const blocked = before(options, call, effects)
  if (blocked === undefined) admit(options, call, { route, token })
  const { kind } = route.action
  const latency = draw(world.chance, `latency/${kind}`, world.options.latency.callMs[kind])
  if (wait + latency > 0) await world.clock.sleep(wait + latency)
  if (blocked !== undefined) return blocked
  const reply = route.action.work(contextOf(arm, call, { route, token, effects }))
  return after(options, call, { reply, effects })
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
  'operationFail',
  'foreignWrite',
] as const

type CallEffect = Extract<Effect, { readonly kind: (typeof callKinds)[number] }>

const strike = (
  arm: Arm,
  parts: { readonly call: Call; readonly route: Route; readonly token: Token },
): readonly CallEffect[] => {
  const { route, token } = parts
  return arm.world.faults.strike(callKinds, {
    ...occasionOf(arm.world, subject(arm, route) ?? token.instanceId),
    action: route.action.name,
    accessKey: token.principal.clientId,
    ...subnetOccasion(arm, route),
  })
}

// The machine that a call is about: the one of the path, or the one whose NIC it is.
const subject = (arm: Arm, { type, names }: Route): string | undefined => {
  const [first = '', second = ''] = names
  if (/^networkinterfaces/i.test(type)) return nicByName(arm, first)?.nic.attachment?.instanceId
  if (/^virtualmachinescalesets/i.test(type)) return memberAt(arm.world, first, second)?.id
  if (!/^virtualmachines/i.test(type)) return undefined
  return [...arm.world.instances.values()].find(
    ({ name }) => name.toLowerCase() === first.toLowerCase(),
  )?.id
}

const subnetOccasion = (arm: Arm, { type, names }: Route): { readonly subnet?: string } => {
  const name = /subnets$/i.test(type) ? names[1]?.toLowerCase() : undefined
  const subnet = [...arm.world.subnets.values()].find(one => one.name.toLowerCase() === name)
  return subnet === undefined ? {} : { subnet: subnet.id }
}

// Faults that answer before any work is done.
const before = (
  options: FaceOptions,
  call: Call,
  effects: readonly CallEffect[],
): Answer | undefined => {
  for (const effect of effects) {
    if (effect.kind === 'throttle') throw throttled()
    if (effect.kind === 'fail') throw injected(effect)
    if (effect.kind === 'reset' || effect.kind === 'hang') {
      note(options, call, effect.kind)
      return { kind: effect.kind }
    }
    if (effect.kind === 'html') {
      note(options, call, 'html')
      return htmlAnswer(effect.status)
    }
  }
  return undefined
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
    readonly effects: readonly CallEffect[]
  },
): Context => {
  const { route, token, effects } = parts
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
    granted: effects.find(effect => effect.kind === 'partial')?.granted,
    operationFailure: effects.find(effect => effect.kind === 'operationFail')?.code,
    isForestalled: effects.some(effect => effect.kind === 'foreignWrite'),
  }
}

// Faults that spoil the answer after the work is done.
const after = (
  options: FaceOptions,
  call: Call,
  { reply, effects }: { readonly reply: Reply; readonly effects: readonly CallEffect[] },
): Answer => {
  if (effects.some(effect => effect.kind === 'loseReply')) {
    note(options, call, 'loseReply')
    return { kind: 'reset' }
  }
  const text = reply.body === undefined ? '' : JSON.stringify(reply.body)
  const isCut = effects.some(effect => effect.kind === 'malformed')
  note(options, call, isCut ? 'malformed' : 'ok')
  const body = isCut ? text.slice(0, Math.floor(text.length / 2)) : text
  return jsonAnswer(call, { status: reply.status, headers: reply.headers, body })
}

const failure = (options: FaceOptions, call: Call, error: unknown): Answer => {
  const known = error instanceof Refusal ? fromModel(error) : error
  if (!(known instanceof ArmError)) throw error
  note(options, call, known.code)
  const { status, headers } = known
  return jsonAnswer(call, {
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

const note = ({ calls }: FaceOptions, { route }: Call, result: string): void =>
  calls.note(route instanceof ArmError ? 'unknown' : route.action.name, result)

const jsonAnswer = (
  { requestId, limits }: Call,
  parts: {
    readonly status: number
    readonly headers: Readonly<Record<string, string>>
    readonly body: string
  },
): Answer => ({
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

const htmlAnswer = (status: number): Answer => ({
  kind: 'answer',
  status,
  headers: { 'content-type': 'text/html' },
  body: `<html><head><title>${status} Bad Gateway</title></head><body>${status}</body></html>`,
})

/** A throttle fault asks for a short wait, so that a test need not wait for minutes. */
const faultRetrySeconds = 1

const throttled = (): ArmError =>
  new ArmError('TooManyRequests', 'The request is being throttled (injected fault).', {
    headers: { 'retry-after': String(faultRetrySeconds) },
  })

const injected = ({ code, status }: Extract<Effect, { readonly kind: 'fail' }>): ArmError =>
  new ArmError(code, `${code} (injected fault)`, status === undefined ? {} : { status })
