// Asks a cloud what a machine type allows, through the same provider code as the daemon, with the
// caller's credentials. The only part of `eniway max-pods` that loads an SDK, and only one of them.

import { instanceId } from '#core/names.ts'
import { azureAddresses, figuresOf, type CloudName, type Figures } from './figures.ts'

/** What is asked for, and where; what is left out is taken from the environment or metadata. */
export type LiveRequest = {
  readonly cloud: CloudName
  readonly instanceType: string
  readonly region: string | undefined
  /** Azure's. */
  readonly subscription: string | undefined
}

/** Figures, or one sentence why there are none. */
export type LiveAnswer =
  | { readonly kind: 'known'; readonly figures: Figures }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'failed'; readonly message: string }

const liveMs = 60_000

/** Codes of a type that the cloud does not know, whatever the caller may do. */
const unknownCodes = new Set(['InvalidInstanceType', 'UnknownVmSize'])

/** Makes the cloud's describe call. */
export const liveFigures = async (request: LiveRequest): Promise<LiveAnswer> => {
  const { CallFailed } = await import('#providers/common/calls.ts')
  try {
    const counts = await askers[request.cloud](request, AbortSignal.timeout(liveMs))
    return { kind: 'known', figures: figuresFrom(request, counts) }
  } catch (error) {
    if (!(error instanceof CallFailed)) throw error
    const { code, message } = error.failure
    return unknownCodes.has(code) ? { kind: 'unknown' } : { kind: 'failed', message }
  }
}

type Counts = Pick<Figures, 'nics' | 'ipv4' | 'ipv6' | 'takesPrefixes'>
type Asker = (request: LiveRequest, signal: AbortSignal) => Promise<Counts>

// What no describe call knows comes from the table, when it has the type.
const figuresFrom = ({ cloud, instanceType }: LiveRequest, counts: Counts): Figures => {
  const known = figuresOf(cloud, instanceType)
  return {
    instanceType: known?.instanceType ?? instanceType,
    ...counts,
    networkCards: known?.networkCards ?? 1,
    published: known?.published,
    isIpv6Published: true,
    source: `the cloud's own answer to ${calls[cloud]}`,
  }
}

const calls: Readonly<Record<CloudName, string>> = {
  aws: 'DescribeInstanceTypes',
  azure: 'Microsoft.Compute/skus',
  alibaba: 'DescribeInstanceTypes',
}

const askAws: Asker = async ({ instanceType, region }, signal) => {
  const { createClient } = await import('#providers/aws/client.ts')
  const { awsEnvironment } = await import('#providers/aws/config.ts')
  const { createLimits } = await import('#providers/aws/limits.ts')
  const { createMetadata } = await import('#providers/aws/metadata.ts')
  const { region: configured, metadataEndpoint } = awsEnvironment()
  const metadata = createMetadata(metadataEndpoint)
  const place = async (): Promise<string> =>
    region ?? configured ?? (await metadata.need('placement/region', signal))
  const client = createClient(place)
  try {
    const { nicsMax, blocksPerNicMax, prefixes } = await createLimits(client)(instanceType, signal)
    const { 4: four, 6: six } = blocksPerNicMax
    // The provider counts what can be lent: a NIC's own addresses come on top.
    const ipv6 = six === 0 ? 0 : six + 1
    return { nics: nicsMax, ipv4: four + 1, ipv6, takesPrefixes: prefixes }
  } finally {
    client.destroy()
  }
}

const askAlibaba: Asker = async ({ instanceType, region }, signal) => {
  const { createClient } = await import('#providers/alibaba/client.ts')
  const { alibabaEnvironment } = await import('#providers/alibaba/config.ts')
  const { createCredentials } = await import('#providers/alibaba/credentials.ts')
  const { createLimits } = await import('#providers/alibaba/limits.ts')
  const { createMetadata } = await import('#providers/alibaba/metadata.ts')
  const environment = alibabaEnvironment()
  const metadata = createMetadata(environment.metadataEndpoint)
  const client = createClient({
    environment,
    credentials: createCredentials(environment, metadata),
    region: async own => region ?? environment.region ?? (await metadata.need('region-id', own)),
  })
  const { nicsMax, blocksPerNicMax, prefixes } = await createLimits(client)(instanceType, signal)
  const { 4: four, 6: six } = blocksPerNicMax
  return { nics: nicsMax, ipv4: four + 1, ipv6: six, takesPrefixes: prefixes }
}

const askAzure: Asker = async (request, signal) => {
  const { createNicsMax } = await import('#providers/azure/limits.ts')
  const { arm, identity } = await azureSession(request, signal)
  try {
    const about = { ...identity, vmSize: request.instanceType }
    const nics = await createNicsMax()({ arm, identity: about }, signal)
    return { nics, ipv4: azureAddresses, ipv6: azureAddresses, takesPrefixes: true }
  } finally {
    arm.close()
  }
}

// On a VM metadata says which subscription and location; elsewhere the caller does.
const azureSession = async ({ region, subscription }: LiveRequest, signal: AbortSignal) => {
  const { createArm } = await import('#providers/azure/client.ts')
  const { azureEnvironment } = await import('#providers/azure/config.ts')
  const { createCredential } = await import('#providers/azure/credential.ts')
  const { createSession } = await import('#providers/azure/identity.ts')
  const environment = azureEnvironment()
  const credentials = (): ReturnType<typeof createCredential> => createCredential(environment)
  if (region === undefined || subscription === undefined) {
    const rest = { onCall: undefined, onOpen: () => undefined }
    const parts = { environment, createCredential: credentials, ...rest }
    return createSession(parts)(signal)
  }
  const endpoint = environment.armEndpoint ?? publicArm
  const audience = (environment.armAudience ?? endpoint).replace(/\/+$/, '')
  const arm = createArm({
    endpoint,
    audience,
    subscription,
    createCredential: credentials,
    isProxied: environment.isProxied,
  })
  const nowhere = { instanceId: instanceId(''), path: '', isUniform: false, tags: {}, zone: region }
  return { arm, identity: { ...nowhere, subscription, vmSize: '', location: region } }
}

const publicArm = 'https://management.azure.com'

const askers: Readonly<Record<CloudName, Asker>> = {
  aws: askAws,
  azure: askAzure,
  alibaba: askAlibaba,
}
