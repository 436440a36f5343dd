// Azure Resource Manager through the rest-level clients of the official SDKs: their transport,
// pipeline and authentication, with plain JSON. Their typed operations drop every property they do
// not know, on reading and so on writing (measured), and weigh 15 MB more; a NIC that others write
// to must come back whole.

import { createComputeManagement } from '@azure/arm-compute/api'
import { createNetworkManagement } from '@azure/arm-network/api'
import type { TokenCredential } from '@azure/identity'
import { Agent } from 'node:https'
import { MalformedError } from '../common/failures.ts'
import type { CallListener } from '../common/options.ts'
import { ArmError, type ArmErrorBody } from './failures.ts'

/** The resource provider that answers; each has its own client. */
export type Service = 'network' | 'compute'

export type ArmRequest = {
  readonly service: Service
  /** Azure's operation id: `NetworkInterfaces_Get`. */
  readonly call: string
  readonly method: 'GET' | 'PUT'
  /** With its api-version; or a whole URL that Resource Manager gave us. */
  readonly path: string
  readonly body?: unknown
  readonly ifMatch?: string | undefined
  /** Milliseconds after which it counts as lost, where that is sooner than for others. */
  readonly withinMs?: number
}

export type ArmAnswer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  /** Undefined when there was none. */
  readonly body: Json | undefined
}

export type Json = Readonly<Record<string, unknown>>

/** One exchange each, never repeated here. Rejects with ArmError, or what the transport threw. */
export interface Arm {
  send(request: ArmRequest, signal: AbortSignal): Promise<ArmAnswer>
  close(): void
}

export type ArmOptions = {
  readonly endpoint: string
  /** Whom the token is for, without `/.default`. */
  readonly audience: string
  readonly subscription: string
  /** Made anew after a token was refused, with no memory of it. */
  readonly createCredential: () => TokenCredential
  readonly isProxied?: boolean
  readonly onCall?: CallListener | undefined
  readonly requestMs?: number
}

/** A request that takes longer counts as lost; Azure's front doors give up after a minute. */
const defaultRequestMs = 30_000

/** Sooner than Azure closes an idle connection, so that no write is sent into a closed one. */
const idleMs = 30_000

export const createArm = (options: ArmOptions): Arm => {
  const { subscription, endpoint, requestMs = defaultRequestMs, onCall } = options
  // An own agent can be closed; the SDK's proxy support works only without one.
  const agent =
    options.isProxied === true ? undefined : new Agent({ keepAlive: true, timeout: idleMs })
  const shared = {
    endpoint,
    credentials: { scopes: [`${options.audience}/.default`] },
    retryOptions: { maxRetries: 0 },
    redirectOptions: { maxRetries: 0 },
    userAgentOptions: { userAgentPrefix: 'eniway' },
    ...(agent === undefined ? {} : { agent }),
  }
  const open = () => {
    const credential = options.createCredential()
    return {
      network: createNetworkManagement(credential, subscription, shared),
      compute: createComputeManagement(credential, subscription, shared),
    }
  }
  let clients = open()

  const exchange = async (request: ArmRequest, signal: AbortSignal): Promise<ArmAnswer> => {
    // The SDK's own time-out ends with the answer's first byte; this one covers the body too.
    const ms = Math.min(requestMs, request.withinMs ?? requestMs)
    const limit = AbortSignal.any([signal, AbortSignal.timeout(ms)])
    const parameters = {
      abortSignal: limit,
      headers: request.ifMatch === undefined ? {} : { 'if-match': request.ifMatch },
      ...(request.body === undefined
        ? {}
        : { body: request.body, contentType: 'application/json' }),
    }
    try {
      const resource = clients[request.service].pathUnchecked(trusted(request.path, endpoint))
      const sending = request.method === 'GET' ? resource.get(parameters) : resource.put(parameters)
      return answerOf(await sending)
    } catch (error) {
      throw limit.aborted && !signal.aborted ? timedOut(ms, error) : error
    }
  }

  return {
    send: async (request, signal) => {
      try {
        const answer = await exchange(request, signal)
        onCall?.(request.call, 'ok')
        return answer
      } catch (error) {
        onCall?.(request.call, resultOf(error))
        // The SDK would keep the token for as long as this machine's clock finds it valid.
        if (error instanceof ArmError && error.status === 401) clients = open()
        throw error
      }
    },
    close: () => agent?.destroy(),
  }
}

// A token goes along with every request, so a URL out of an answer must lead back to where the
// answer came from, or to a region of it.
const trusted = (path: string, endpoint: string): string => {
  if (path.startsWith('/')) return path
  const url = URL.canParse(path) ? new URL(path) : undefined
  const home = new URL(endpoint)
  const isHome = url?.host === home.host || url?.hostname.endsWith(`.${home.hostname}`) === true
  if (url?.protocol === 'https:' && isHome) return path
  throw new MalformedError(`the answer leads away from ${home.host}`)
}

type Raw = {
  readonly status: string
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: unknown
}

const answerOf = ({ status: text, headers, body }: Raw): ArmAnswer => {
  const status = Number(text)
  const json = isJson(body) ? body : undefined
  if (status >= 400) {
    const error = (isJson(json?.['error']) ? json['error'] : json) as ArmErrorBody | undefined
    throw new ArmError(error, { status, retryAfter: headers['retry-after'] })
  }
  // A page of a portal or proxy, a redirect, or half an object.
  const isEmpty = body === undefined || body === ''
  if (!(status >= 200 && status < 300) || (json === undefined && !isEmpty)) {
    throw new MalformedError(`status ${text} without a JSON object`)
  }
  return { status, headers, body: json }
}

const isJson = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const timedOut = (ms: number, cause: unknown): Error =>
  Object.assign(new Error(`no answer within ${ms} ms`, { cause }), { code: 'ETIMEDOUT' })

const resultOf = (error: unknown): string => {
  const { code, name } = error as Error & { readonly code?: unknown }
  return typeof code === 'string' ? code : name
}
