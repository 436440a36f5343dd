// One EC2 call from form to answer: who calls, which action, may they, how fast may they, what goes
// wrong on purpose, how long it takes, and only then the work itself.
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
import { type AccessKey, type KeyRing, isAllowed } from '#emulator/wire/keys.ts'
import { type Subject, pass } from '#emulator/wire/passage.ts'
import { newRequestId } from '#emulator/wire/request-id.ts'
import type { Action, Actions, CallContext, TokenUse, Work } from './action.ts'
import { addressActions } from './addresses.ts'
import { authenticate } from './auth.ts'
import { describeActions } from './describes.ts'
import { Ec2Error, ec2Error } from './errors.ts'
import { arnOf } from './keys.ts'
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

const actions: Actions = {
  ...describeActions,
  ...nicActions,
  ...addressActions,
  ...resourceActions,
}

const version = '2016-11-15'

export const createFace = (options: FaceOptions): Face => {
  const tokens = new Map<string, TokenUse>()
  return faceOf<Call>({
    begin: request => {
      const form = new URLSearchParams(request.body)
      const requestId = newRequestId(options.world.chance)
      return { request, form, name: form.get('Action') ?? '', requestId, tokens }
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
  readonly tokens: Map<string, TokenUse>
}

const perform = async (options: FaceOptions, call: Call): Promise<Answer> => {
  const { world, calls } = options
  const key = authenticate(call.request, options.keys, world.clock.now())
  const action = findAction(call)
  return pass({
    world,
    calls,
    name: call.name,
    subject: subjectOf(world, call, key),
    latency: { kind: action.kind, stream: call.name },
    pageHeaders: headersOf(call.requestId),
    throttled: limitExceeded,
    failed: (code, message, status) => new Ec2Error(code, message, status),
    prepare: () => {
      const work = prepare(options, { ...call, action, key })
      return ({ granted }) => respond(call, work(contextOf(options, { ...call, key, granted })))
    },
  })
}

const respond = (call: Call, members: ReturnType<Work>): Reply => {
  const requestId = el('requestId', call.requestId)
  const xmlns = `http://ec2.amazonaws.com/doc/${version}/`
  const body = document(el(`${call.name}Response`, requestId, ...members), { xmlns })
  return xmlReply(200, call.requestId, body)
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

const subjectOf = (world: World, { form }: Call, key: AccessKey): Subject => ({
  instanceId: subjectInstance(world, form) ?? key.role?.instanceId,
  subnetId: form.get('SubnetId') ?? form.get('SubnetId.1') ?? undefined,
  accessKey: key.accessKeyId,
})

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
  if (isAllowed(key, action)) return
  throw new Ec2Error(
    'UnauthorizedOperation',
    `You are not authorized to perform this operation. User: ${arnOf(key)} is not authorized to ` +
      `perform: ec2:${action} because no identity-based policy allows the ec2:${action} action.`,
  )
}

const contextOf = (
  options: FaceOptions,
  call: Call & { readonly key: AccessKey; readonly granted: number | undefined },
): CallContext => ({
  world: options.world,
  ownerId: options.ownerId,
  accountId: call.key.accountId,
  granted: call.granted,
  requestId: call.requestId,
  tokens: call.tokens,
  netnsOf: options.netnsOf,
})

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
  return xmlReply(known.status, call.requestId, body)
}

const xmlReply = (status: number, requestId: string, body: string): Reply => ({
  kind: 'answer',
  status,
  headers: { 'content-type': 'text/xml;charset=UTF-8', ...headersOf(requestId) },
  body,
})

const headersOf = (requestId: string): Headers => ({
  'x-amzn-requestid': requestId,
  server: 'AmazonEC2',
})

const limitExceeded = (): Ec2Error =>
  new Ec2Error('RequestLimitExceeded', 'Request limit exceeded.')
