// The SDK's two clients and what they lack: a limit for the whole call, an end when the caller
// gives up, a bound on calls at once. The SDK repeats nothing unless told to, and it is not.

import * as ecsSdk from '@alicloud/ecs20140526'
import { $OpenApiUtil } from '@alicloud/openapi-core'
import * as vpcSdk from '@alicloud/vpc20160428'
import { CallFailed } from '../common/calls.ts'
import { MalformedError } from '../common/failures.ts'
import type { CallListener } from '../common/options.ts'
import { mutation, unsent } from './calls.ts'
import type { AlibabaEnvironment } from './config.ts'
import { type Credentials, type CredentialsSource, credentialOf } from './credentials.ts'
import type { SdkError } from './failures.ts'

export type Ecs = ecsSdk.default
export type Vpc = vpcSdk.default

type Answered<Body> = { readonly body?: Body }
type Work<Sdk, Body> = (sdk: Sdk, regionId: string) => Promise<Answered<Body>>

/** Sends one call; its name is for the listener. Rejects with what the SDK threw. */
export interface Client {
  ecs<Body extends Identified>(
    name: string,
    signal: AbortSignal,
    work: Work<Ecs, Body>,
  ): Promise<Body>
  vpc<Body extends Identified>(
    name: string,
    signal: AbortSignal,
    work: Work<Vpc, Body>,
  ): Promise<Body>
}

// Every true answer carries it, also that of a call that has nothing to say.
type Identified = { readonly requestId?: string }

export type ClientParts = {
  readonly environment: AlibabaEnvironment
  readonly region: (signal: AbortSignal) => Promise<string>
  readonly credentials: CredentialsSource
  readonly requestMs?: number
  readonly onCall?: CallListener
}

/** A call that takes longer counts as lost; the slowest mutations answer within seconds. */
const defaultRequestMs = 15_000

// Each call under way has a socket of its own, and the budget is the account's.
const callsAtOnceMax = 8

export const createClient = (parts: ClientParts): Client => {
  const { environment, region, credentials, requestMs = defaultRequestMs, onCall } = parts
  const enter = createGate(callsAtOnceMax)
  let latest: Credentials | undefined
  let sdks: { readonly ecs: Ecs; readonly vpc: Vpc } | undefined

  const ready = async (signal: AbortSignal) => {
    const regionId = await region(signal)
    latest = await credentials.get(signal)
    sdks ??= openSdks({ environment, regionId, requestMs }, () => latest!)
    return { ...sdks, regionId, principal: latest.principal }
  }

  const send = async <Body extends Identified>(
    name: string,
    signal: AbortSignal,
    work: (at: Awaited<ReturnType<typeof ready>>) => Promise<Answered<Body>>,
  ): Promise<Body> => {
    const leave = await enter()
    let principal: string | undefined
    let working: Promise<Answered<Body>> | undefined
    try {
      const at = await ready(signal)
      principal = at.principal
      // Nobody waits for it any more: what was not sent yet must not happen.
      if (signal.aborted) throw unsent(mutation(name, at.regionId))
      working = work(at)
      const { body } = await within(requestMs, working)
      if (body?.requestId === undefined) throw new MalformedError('the answer has no RequestId')
      onCall?.(name, 'ok')
      return body
    } catch (error) {
      const seen = asSeen(error, principal)
      if (blamesCredentials(seen)) credentials.forget()
      onCall?.(name, resultOf(seen))
      throw seen
    } finally {
      // What was given up holds its socket until the SDK's own limit.
      if (working === undefined) leave()
      else void working.then(leave, leave)
    }
  }

  return {
    ecs: (name, signal, work) => send(name, signal, at => work(at.ecs, at.regionId)),
    vpc: (name, signal, work) => send(name, signal, at => work(at.vpc, at.regionId)),
  }
}

const openSdks = (
  given: {
    readonly environment: AlibabaEnvironment
    readonly regionId: string
    readonly requestMs: number
  },
  current: () => Credentials,
): { readonly ecs: Ecs; readonly vpc: Vpc } => {
  const { environment, regionId, requestMs } = given
  // The SDK's own choice would be the public one in some regions, whatever network it is told.
  const insideOf = (product: string): string | undefined =>
    environment.isInsideVpc ? `${product}-vpc.${regionId}.aliyuncs.com` : undefined
  const configOf = (endpoint: string | undefined) =>
    new $OpenApiUtil.Config({
      credential: credentialOf(current),
      regionId,
      // Its `connectTimeout` is the socket's idle time, so a slow answer needs both.
      connectTimeout: requestMs,
      readTimeout: requestMs,
      ...endpointOf(endpoint),
    })
  const EcsClient = classOf(ecsSdk)
  const VpcClient = classOf(vpcSdk)
  return {
    ecs: new EcsClient(configOf(environment.ecsEndpoint ?? insideOf('ecs'))),
    vpc: new VpcClient(configOf(environment.vpcEndpoint ?? insideOf('vpc'))),
  }
}

// The SDK is CommonJS made from an ES module: its default export is one level deeper when Node
// imports it than when a tool does that knows of the difference.
const classOf = <Class>(module: { readonly default: { readonly default: Class } }): Class => {
  const exported: { readonly default?: Class } = module.default
  return exported.default ?? (exported as Class)
}

const endpointOf = (url: string | undefined): { endpoint?: string; protocol?: string } => {
  if (url === undefined) return {}
  const { host, protocol } = new URL(url.includes('://') ? url : `https://${url}`)
  return { endpoint: host, protocol: protocol.replace(':', '') }
}

// The SDK's read limit ends with a timer of an earlier call on the same socket, and its idle limit
// never ends a trickle; so the whole call has one of ours.
const within = async <Value>(ms: number, working: Promise<Value>): Promise<Value> => {
  const limit = AbortSignal.timeout(ms)
  return new Promise((resolve, reject) => {
    const onLimit = (): void =>
      reject(Object.assign(new Error(`no answer within ${ms} ms`), { code: 'ETIMEDOUT' }))
    limit.addEventListener('abort', onLimit, { once: true })
    working.then(resolve, reject).finally(() => limit.removeEventListener('abort', onLimit))
  })
}

// What the SDK cannot read into its shapes it throws as a bare Error, or trips over as a TypeError;
// everything else it throws has a code, a status or a name of its own.
const asSeen = (error: unknown, principal: string | undefined): unknown => {
  if (error instanceof CallFailed || !(error instanceof Error)) return error
  if (principal === undefined) return error
  const { code, name } = error as SdkError
  const isMisread = code === undefined && (name === 'Error' || error instanceof TypeError)
  const seen = isMisread ? new MalformedError(error.message, { cause: error }) : error
  return Object.assign(seen, { principal } satisfies Principal)
}

type Principal = Pick<SdkError, 'principal'>

const blamesCredentials = (error: unknown): boolean =>
  /^(InvalidSecurityToken|InvalidAccessKeyId)/.test((error as SdkError).code ?? '')

const resultOf = (error: unknown): string => {
  if (error instanceof CallFailed) return error.failure.code
  const { code, name } = error as SdkError
  return code ?? name
}

/** Lets so many pass at once; whoever passed calls the returned function, once. */
const createGate = (atOnceMax: number): (() => Promise<() => void>) => {
  const waiting: (() => void)[] = []
  let inside = 0
  // Who waits longest takes over the place of who leaves.
  const leave = (): void => {
    const next = waiting.shift()
    if (next === undefined) inside -= 1
    else next()
  }
  return async () => {
    if (inside < atOnceMax) inside += 1
    else await new Promise<void>(resolve => void waiting.push(resolve))
    return leave
  }
}
