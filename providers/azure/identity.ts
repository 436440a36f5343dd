// Who this machine is and how to reach Resource Manager from it: from metadata, asked once.

import type { TokenCredential } from '@azure/identity'
import { type InstanceId, instanceId } from '#core/names.ts'
import { CallFailed } from '../common/calls.ts'
import type { CallListener } from '../common/options.ts'
import { present } from '../common/shapes.ts'
import { call } from './calls.ts'
import { type Arm, createArm } from './client.ts'
import type { AzureEnvironment } from './config.ts'
import { ownFailure } from './failures.ts'
import { type ComputeMetadata, computeMetadata } from './metadata.ts'

/** What never changes while the machine runs. */
export type Identity = {
  /** The machine's ARM id in lower case. */
  readonly instanceId: InstanceId
  readonly subscription: string
  /** Its path in Resource Manager, which is that id as Azure writes it. */
  readonly path: string
  /** True for an instance of a scale set in uniform mode, whose NICs live inside the scale set. */
  readonly isUniform: boolean
  readonly vmSize: string
  /** Those of the machine: its NICs in a uniform scale set have none of their own. */
  readonly tags: Readonly<Record<string, string>>
  readonly location: string
  /** `eastus-1`; the location where the machine lies in no zone. */
  readonly zone: string
}

/** This machine, and its way to Resource Manager. */
export type Session = { readonly identity: Identity; readonly arm: Arm }
export type SessionSource = (signal: AbortSignal) => Promise<Session>

export type SessionParts = {
  readonly environment: AzureEnvironment
  readonly createCredential: () => TokenCredential
  readonly onCall: CallListener | undefined
  /** Told of the client, to close it. */
  readonly onOpen: (arm: Arm) => void
}

const site = { call: 'metadata instance/compute', on: 'this machine', isRead: true }

/** Asks once and remembers; a failure is not remembered. */
export const createSession = (parts: SessionParts): SessionSource => {
  let known: Session | undefined
  return async signal => {
    if (known !== undefined) return known
    const metadata = await computeMetadata(parts.environment.metadataEndpoint, signal)
    const opened = await call(site, signal, async () => open(parts, metadata))
    // Two first calls at once: one client is enough.
    if (known === undefined) {
      known = opened
      parts.onOpen(opened.arm)
    } else {
      opened.arm.close()
    }
    return known
  }
}

const open = (
  { environment, createCredential, onCall }: SessionParts,
  metadata: ComputeMetadata,
): Session => {
  const identity = identityOf(metadata)
  const home = armOf(metadata.azEnvironment)
  const endpoint = environment.armEndpoint ?? home
  if (!URL.canParse(endpoint) || new URL(endpoint).protocol !== 'https:') {
    const text = `"${endpoint}" is no https address, and tokens are sent there`
    throw new CallFailed(ownFailure(site, { kind: 'denied', code: 'InsecureEndpoint', text }))
  }
  const arm = createArm({
    endpoint,
    audience: (environment.armAudience ?? audienceOf(endpoint) ?? home).replace(/\/+$/, ''),
    subscription: identity.subscription,
    createCredential,
    isProxied: environment.isProxied,
    onCall,
  })
  return { identity, arm }
}

/** From metadata; throws MalformedError when it lacks what every machine has. */
export const identityOf = (metadata: ComputeMetadata): Identity => {
  const subscription = present(filled(metadata.subscriptionId), 'subscriptionId')
  const path = filled(metadata.resourceId) ?? pathOf(metadata, subscription)
  const location = present(filled(metadata.location), 'location')
  const zone = filled(metadata.zone)
  return {
    instanceId: instanceId(path.toLowerCase()),
    subscription,
    path,
    isUniform: /\/virtualMachineScaleSets\//i.test(path),
    tags: Object.fromEntries(
      (metadata.tagsList ?? []).map(({ name = '', value = '' }) => [name, value]),
    ),
    vmSize: present(filled(metadata.vmSize), 'vmSize'),
    location,
    zone: zone === undefined ? location : `${location}-${zone}`,
  }
}

const filled = (text: string | undefined): string | undefined => (text === '' ? undefined : text)

// Older services leave the id out. Instances of uniform scale sets are called after the set and
// their number; in flexible mode they are ordinary machines.
const pathOf = (metadata: ComputeMetadata, subscription: string): string => {
  const group = present(filled(metadata.resourceGroupName), 'resourceGroupName')
  const name = present(filled(metadata.name), 'name')
  const owner = `/subscriptions/${subscription}/resourceGroups/${group}`
  const compute = `${owner}/providers/Microsoft.Compute`
  const set = filled(metadata.vmScaleSetName)
  const index = set === undefined ? undefined : /_(\d+)$/.exec(name)?.[1]
  if (set === undefined || index === undefined) return `${compute}/virtualMachines/${name}`
  return `${compute}/virtualMachineScaleSets/${set}/virtualMachines/${index}`
}

const publicArm = 'https://management.azure.com'

// Values of azEnvironment (instance metadata); an unknown one may be a public region's test.
const armByCloud: Readonly<Record<string, string>> = {
  AzurePublicCloud: publicArm,
  AzureUSGovernmentCloud: 'https://management.usgovcloudapi.net',
  AzureUSGovernment: 'https://management.usgovcloudapi.net',
  AzureChinaCloud: 'https://management.chinacloudapi.cn',
}

const armOf = (cloud: string | undefined): string => armByCloud[cloud ?? ''] ?? publicArm

// An endpoint of our own (an emulator, a private link) changes where requests go, not for whom the
// token is. The clouds' own endpoints are their own audience.
const audienceOf = (endpoint: string): string | undefined => {
  const { origin } = new URL(endpoint)
  return Object.values(armByCloud).includes(origin) ? origin : undefined
}
