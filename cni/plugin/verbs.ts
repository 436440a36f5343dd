// What ADD, DEL, CHECK, GC and STATUS mean to eniway: each turns a checked invocation into one call
// of the daemon, and the daemon's outcome into the text for stdout.

import { parseValidAttachments, type NetworkConfig } from '../spec/config.ts'
import { previousResult } from '../spec/decode.ts'
import { encodeResult } from '../spec/encode.ts'
import type { WorkingVerb } from '../spec/call.ts'
import type { Environment } from '../spec/environment.ts'
import { codes, failed, parsed, type Failure, type Parsed } from '../spec/failure.ts'
import { isEmptyDns, noDns, type Dns, type Result } from '../spec/result.ts'
import { pluginType } from '../conflist.ts'
import { parseCapabilities } from './capabilities.ts'
import { parseDelegator } from './delegator.ts'
import { isOwnNamespace } from './netns.ts'
import type { Attachment, Attachments, PodIdentity, Trace } from './ports.ts'
import type { Settings } from './settings.ts'

/** A call whose every part is checked. */
export type Invocation = {
  readonly command: WorkingVerb
  readonly environment: Environment
  readonly config: NetworkConfig
  readonly settings: Settings
  readonly trace: Trace
  readonly queuedAtMs: number | undefined
}

/** Does the work of one verb; the value is the text for stdout. */
export type Verb = (
  invocation: Invocation,
  attachments: Attachments,
  signal: AbortSignal,
) => Promise<Parsed<string>>

const add: Verb = async (invocation, attachments, signal) => {
  const previous = previousResult(invocation.config)
  if (previous.kind === 'failed') return previous
  const refused = refuseOwnNamespace(invocation.environment)
  if (refused !== undefined) return refused
  const dns = dnsOf(invocation.config)
  if (dns.kind === 'failed') return dns
  const delegator = parseDelegator(invocation.config.raw)
  if (delegator.kind === 'failed') return delegator
  const request = { ...attachmentRequest(invocation), delegator: delegator.value }
  const outcome = await attachments.add(request, signal)
  if (outcome.kind === 'failed') return outcome
  const result =
    delegator.value === undefined
      ? merge(previous.value, outcome.attachment, dns.value)
      : { ...outcome.attachment, dns: noDns }
  const encoded = encodeResult(result, invocation.config.cniVersion)
  if (encoded.kind === 'parsed') return parsed(`${JSON.stringify(encoded.value)}\n`)
  // A failed ADD leaves nothing behind, whatever it failed on.
  await attachments.del({ ...request, queuedAtMs: undefined })
  return encoded
}

const del: Verb = async (invocation, attachments) => {
  const refused = refuseOwnNamespace(invocation.environment)
  if (refused !== undefined) return refused
  const netns = invocation.environment.netns || undefined
  const { queuedAtMs } = invocation
  const outcome = await attachments.del({ ...common(invocation), netns, queuedAtMs })
  return outcome.kind === 'failed' ? outcome : silence
}

const check: Verb = async (invocation, attachments) => {
  const previous = previousResult(invocation.config)
  if (previous.kind === 'failed') return previous
  if (previous.value === undefined) {
    return failed(
      codes.invalidConfig,
      'prevResult is missing in the network configuration; CHECK compares with the result of ADD',
    )
  }
  const request = { ...attachmentRequest(invocation), expected: previous.value }
  const outcome = await attachments.check(request)
  return outcome.kind === 'failed' ? outcome : silence
}

const gc: Verb = async ({ config, settings, trace }, attachments) => {
  const valid = parseValidAttachments(config.raw)
  if (valid.kind === 'failed') return valid
  if (valid.value === undefined) return silence
  const outcome = await attachments.gc({
    network: config.name,
    valid: valid.value,
    timeoutMs: timeoutMs(settings),
    trace,
  })
  return outcome.kind === 'failed' ? outcome : silence
}

const status: Verb = async ({ config, settings }, attachments) => {
  const verdict = attachments.status({ network: config.name, pool: settings.pool })
  if (verdict.kind === 'ready') return silence
  const isLimited = verdict.connectivity === 'limited'
  const code = isLimited ? codes.limitedConnectivity : codes.notAvailable
  return failed(code, verdict.message, verdict.details)
}

/** Every verb but VERSION, which needs no daemon. */
export const verbs: Readonly<Record<WorkingVerb, Verb>> = {
  ADD: add,
  DEL: del,
  CHECK: check,
  GC: gc,
  STATUS: status,
}

// Successful verbs other than ADD and VERSION print nothing.
const silence: Parsed<string> = parsed('')

const common = ({ config, environment, settings, trace }: Invocation) => ({
  network: config.name,
  containerId: environment.containerId,
  ifName: environment.ifName,
  pod: podOf(environment),
  pool: settings.pool,
  timeoutMs: timeoutMs(settings),
  trace,
})

const attachmentRequest = (invocation: Invocation) => ({
  ...common(invocation),
  netns: invocation.environment.netns,
  capabilities: invocation.config.runtimeConfig,
})

const podOf = ({ args }: Environment): PodIdentity | undefined => {
  const namespace = args.get('K8S_POD_NAMESPACE') ?? ''
  const name = args.get('K8S_POD_NAME') ?? ''
  if (namespace === '' || name === '') return undefined
  return { namespace, name, uid: args.get('K8S_POD_UID') ?? '' }
}

// We answer before the executable gives up, because our reason is better than "no answer".
const timeoutMs = ({ timeoutSeconds }: Settings): number =>
  timeoutSeconds * 1000 - Math.min(1000, timeoutSeconds * 100)

const refuseOwnNamespace = (environment: Environment): Failure | undefined => {
  const { netns, allowsOwnNetns } = environment
  if (netns === '' || allowsOwnNetns || !isOwnNamespace(netns)) return undefined
  return failed(
    codes.invalidNetns,
    `CNI_NETNS ${netns} is the node's own network namespace, not a pod's; ` +
      'give a pod namespace, or set CNI_NETNS_OVERRIDE=1 if this is meant',
  )
}

const dnsOf = ({ raw, runtimeConfig, dns }: NetworkConfig): Parsed<Dns> => {
  const isDelegate = raw['type'] !== pluginType
  const capabilities = parseCapabilities(runtimeConfig, { isDelegate })
  return capabilities.kind === 'failed' ? capabilities : parsed(capabilities.value.dns ?? dns)
}

// Behind another plugin we add to its result; what was there keeps its place and its indexes.
const merge = (before: Result | undefined, ours: Attachment, dns: Dns): Result => {
  if (before === undefined) return { ...ours, dns }
  const shift = before.interfaces.length
  const ips = ours.ips.map(entry =>
    entry.interface === undefined ? entry : { ...entry, interface: entry.interface + shift },
  )
  return {
    interfaces: [...before.interfaces, ...ours.interfaces],
    ips: [...before.ips, ...ips],
    routes: [...before.routes, ...ours.routes],
    dns: isEmptyDns(dns) ? before.dns : dns,
  }
}
