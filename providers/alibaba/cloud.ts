// The Cloud port on Alibaba Cloud: composes the parts of this folder and decides nothing. Region,
// endpoints and credentials come from ALIBABA_CLOUD_* variables or from metadata, so pointing those
// at the emulator is all it takes to run against it.

import type { CloudObservation } from '#core/ports.ts'
import { outcomeOf } from '../common/calls.ts'
import type { CloudOptions, ProviderCloud } from '../common/options.ts'
import { attachNic, detachNic } from './attachments.ts'
import { lendBlocks, returnBlocks } from './blocks.ts'
import { createClient } from './client.ts'
import { alibabaEnvironment } from './config.ts'
import { createCredentials } from './credentials.ts'
import { describeNicsOf } from './describe.ts'
import { createLimits } from './limits.ts'
import { createMetadata } from './metadata.ts'
import { createNic, deleteNic } from './nics.ts'
import { createIdentity, createRouters, describeNode, primaryOf } from './node.ts'
import { createPlaces } from './places.ts'
import { type Nic, type Surroundings, cloudNicOf, vSwitchOf } from './shapes.ts'
import { chosenSubnets, createSubnets } from './subnets.ts'

/** The cloud as this instance sees it. Nothing is sent before the first call. */
export const createAlibabaCloud = (options: CloudOptions): ProviderCloud => {
  const environment = alibabaEnvironment()
  const metadata = createMetadata(environment.metadataEndpoint)
  const credentials = createCredentials(environment, metadata)
  const region = async (signal: AbortSignal) =>
    environment.region ?? (await metadata.need('region-id', signal))
  const { onCall } = options
  const telling = onCall === undefined ? {} : { onCall }
  const client = createClient({ environment, region, credentials, ...telling })
  const identity = createIdentity(metadata)
  const subnets = createSubnets(client)
  const routers = createRouters(metadata)
  const places = createPlaces()
  const { node, cluster, tags, securityGroups, subnets: selection } = options
  const nicParts = { client, node, cluster, tags, places }
  const limits = createLimits(client)
  const nodeParts = { node, client, metadata, identity, limits, subnets, selection, securityGroups }

  const surroundings = async (
    signal: AbortSignal,
    nics: readonly Nic[] = [],
  ): Promise<Surroundings> => {
    const self = await identity(signal)
    return {
      instance: self.instanceId,
      subnets: await subnets(self.vpc, signal),
      routers6: await routers(nics, signal),
      places: places.of(nics),
    }
  }

  const observe = async (signal: AbortSignal): Promise<CloudObservation> => {
    const self = await identity(signal)
    const nics = await describeNicsOf(client, self.instanceId, signal)
    const around = await surroundings(signal, nics)
    const all = await subnets(self.vpc, signal)
    const place = { zone: self.zone, primary: vSwitchOf(primaryOf(nics, self)) }
    return {
      nics: nics.map(nic => cloudNicOf(nic, around)),
      subnets: chosenSubnets(all, selection, place),
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
    // The SDK's sockets are kept by agents nobody can reach; idle ones hold no process up.
    close: () => {},
  }
}
