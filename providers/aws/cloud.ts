// The Cloud port on AWS: composes the parts of this folder and decides nothing. Endpoint and
// credentials come from the SDK's own environment and provider chain, so pointing those at the
// emulator is all it takes to run against it.

import type { CloudObservation } from '#core/ports.ts'
import { lendBlocks, returnBlocks } from './blocks.ts'
import { outcomeOf } from '../common/calls.ts'
import { cloudNicOf, type Surroundings } from './shapes.ts'
import { createClient } from './client.ts'
import type { CloudOptions, ProviderCloud } from '../common/options.ts'
import { awsEnvironment } from './config.ts'
import { describeNicsOf } from './describe.ts'
import { createLimits } from './limits.ts'
import { type Metadata, createMetadata } from './metadata.ts'
import { attachNic, createNic, deleteNic, detachNic } from './nics.ts'
import { createIdentity, describeNode, primaryOf, primarySubnetOf } from './node.ts'
import { chosenSubnets, createSubnets } from './subnets.ts'

/** The cloud as this instance sees it. Nothing is sent before the first call. */
export const createAwsCloud = (options: CloudOptions): ProviderCloud => {
  const environment = awsEnvironment()
  const metadata = createMetadata(environment.metadataEndpoint)
  const { onCall } = options
  const telling = onCall === undefined ? {} : { onCall }
  const client = createClient(createRegion(environment.region, metadata), telling)
  const identity = createIdentity(metadata)
  const limits = createLimits(client)
  const subnets = createSubnets(client)
  const { node, cluster, tags, securityGroups, subnets: selection } = options
  const nicParts = { client, node, cluster, tags, attachmentIds: new Map() }
  const nodeParts = { node, client, metadata, identity, limits, subnets, selection, securityGroups }

  const surroundings = async (signal: AbortSignal): Promise<Surroundings> => {
    const self = await identity(signal)
    return { instance: self.instanceId, subnets: await subnets(self, signal) }
  }

  const observe = async (signal: AbortSignal): Promise<CloudObservation> => {
    const self = await identity(signal)
    const [around, nics] = await Promise.all([
      surroundings(signal),
      describeNicsOf(client, self.instanceId, signal),
    ])
    const primary = primarySubnetOf(primaryOf(nics, self))
    return {
      nics: nics.map(nic => cloudNicOf(nic, around)),
      subnets: chosenSubnets(await subnets(self, signal), selection, primary),
    }
  }

  return {
    describeNode: signal => outcomeOf(() => describeNode(nodeParts, signal)),
    observe: signal => outcomeOf(() => observe(signal)),
    createNic: (request, signal) =>
      outcomeOf(async () => {
        // Read first: a failed read after the creation would hide what was created.
        const around = await surroundings(signal)
        return createNic(nicParts, { request, around }, signal)
      }),
    attachNic: (request, signal) =>
      outcomeOf(async () => {
        const around = await surroundings(signal)
        return attachNic(nicParts, { request, around }, signal)
      }),
    detachNic: (nic, signal) =>
      outcomeOf(async () => {
        const { instanceId: instance } = await identity(signal)
        return detachNic(nicParts, { nic, instance }, signal)
      }),
    deleteNic: (nic, signal) => outcomeOf(() => deleteNic(nicParts, nic, signal)),
    lendBlocks: (request, signal) => outcomeOf(() => lendBlocks(client, request, signal)),
    returnBlocks: (request, signal) =>
      outcomeOf(async () => {
        const around = await surroundings(signal)
        return returnBlocks(client, { request, around }, signal)
      }),
    close: () => client.destroy(),
  }
}

const regionMs = 20_000

// The SDK asks at every call and hands no signal through, so the answer is kept.
const createRegion = (configured: string | undefined, metadata: Metadata) => {
  let known = configured
  return async (): Promise<string> => {
    known ??= await metadata.need('placement/region', AbortSignal.timeout(regionMs))
    return known
  }
}
