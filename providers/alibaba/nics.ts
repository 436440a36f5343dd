// Creating and deleting NICs. Both are safe to repeat: what is already as wanted is found so, and
// what is gone is gone.

import {
  CreateNetworkInterfaceRequest,
  type CreateNetworkInterfaceResponseBody,
  DeleteNetworkInterfaceRequest,
} from '@alicloud/ecs20140526'
import { bitsOf } from '#core/ip.ts'
import { type InstanceId, type NicId, type SecurityGroupId, nicId } from '#core/names.ts'
import type { BlockRequest, CloudNic, NicRequest } from '#core/ports.ts'
import { CallFailed, tolerating } from '../common/calls.ts'
import { tagNames } from '../common/options.ts'
import { type Patience, newPatience } from '../common/retry.ts'
import { asFragmented } from './blocks.ts'
import { mutate, mutation, patiently } from './calls.ts'
import type { Client } from './client.ts'
import { describeNic, describeNicsOf, findNic } from './describe.ts'
import { ownFailure } from './failures.ts'
import type { Places } from './places.ts'
import { type Nic, type Surroundings, cloudNicOf, groupsOf, isPrimary } from './shapes.ts'

export type NicParts = {
  readonly client: Client
  readonly node: string
  readonly cluster: string | undefined
  /** Further tags from the configuration. */
  readonly tags: Readonly<Record<string, string>>
  readonly places: Places
}

/**
 * Creates with addresses of both families, tags and token in one call; the same token gives the
 * same NIC. Returns it once descriptions show it, or as it was created if that takes too long.
 */
export const createNic = async (
  parts: NicParts,
  { request, around }: { readonly request: NicRequest; readonly around: Surroundings },
  signal: AbortSignal,
): Promise<CloudNic> => {
  const groups = await groupsFor(parts.client, { request, around }, signal)
  const site = mutation('CreateNetworkInterface', `vSwitch ${request.subnet}`)
  const input = createInput(parts, { ...request, securityGroups: groups }, around.instance)
  const created = await mutate(site, signal, () =>
    parts.client.ecs(site.call, signal, (ecs, regionId) =>
      ecs.createNetworkInterface(new CreateNetworkInterfaceRequest({ ...input, regionId })),
    ),
  ).catch((error: unknown) => {
    throw request.blocks.some(isForPrefixes) ? asFragmented(error) : error
  })
  // ECS user guide: an answer without id means that nothing was created, and that it may be asked
  // for again.
  if (!created.networkInterfaceId) {
    const text = 'ECS answered without creating a NIC'
    const failure = ownFailure(site, { kind: 'transient', code: 'NotCreated', text })
    throw new CallFailed({ ...failure, ambiguous: false })
  }
  return cloudNicOf(await shown(parts.client, created, signal), around)
}

const isForPrefixes = ({ family, length, count }: BlockRequest): boolean =>
  count > 0 && length !== bitsOf(family)

// ECS has no default group as other clouds have, so a NIC without groups gets the primary's.
const groupsFor = async (
  client: Client,
  { request, around }: { readonly request: NicRequest; readonly around: Surroundings },
  signal: AbortSignal,
): Promise<readonly SecurityGroupId[]> => {
  if (request.securityGroups.length > 0) return request.securityGroups
  const nics = await describeNicsOf(client, around.instance, signal)
  return nics.filter(isPrimary).flatMap(groupsOf)
}

// A failed look after the creation must not hide what was created: its answer says all there is.
const shown = async (
  client: Client,
  created: CreateNetworkInterfaceResponseBody,
  signal: AbortSignal,
): Promise<Nic> => {
  try {
    const id = nicId(created.networkInterfaceId ?? '')
    return await describeNic(client, id, { signal, patience: newPatience })
  } catch (error) {
    if (error instanceof CallFailed) return created
    throw error
  }
}

/** The most one creation grants, by kind (ECS API reference, CreateNetworkInterface). */
const addressesMax = { 4: 49, 6: 10 } as const
const prefixesMax = 10

/** Characters that ECS takes. */
const descriptionMax = 256

const createInput = (parts: NicParts, request: NicRequest, instance: InstanceId) => ({
  vSwitchId: request.subnet,
  securityGroupIds: [...request.securityGroups],
  ...Object.assign({}, ...request.blocks.map(countsOf)),
  description: `eniway: pods of ${parts.node}`.slice(0, descriptionMax),
  deleteOnRelease: true,
  clientToken: request.token,
  tag: Object.entries({
    ...parts.tags,
    ...(parts.cluster === undefined ? {} : { [tagNames.cluster]: parts.cluster }),
    [tagNames.instance]: instance,
    [tagNames.token]: request.token,
  }).map(([key, value]) => ({ key, value })),
})

const countsOf = ({ family, length, count }: BlockRequest) => {
  if (count === 0) return {}
  if (length !== bitsOf(family)) {
    const granted = Math.min(count, prefixesMax)
    return family === 4 ? { ipv4PrefixCount: granted } : { ipv6PrefixCount: granted }
  }
  const granted = Math.min(count, addressesMax[family])
  return family === 4 ? { secondaryPrivateIpAddressCount: granted } : { ipv6AddressCount: granted }
}

// Deleting takes a moment; a NIC that still shows after that is asked for again by the core.
const deletePatience: Patience = {
  isWorthwhile: failure => failure.code === 'StillThere' || failure.kind === 'transient',
  retries: 12,
  firstMs: 100,
  longestMs: 2000,
  totalMs: 15_000,
}

/** Deletes and waits until it shows; a NIC that lets go of its instance is a transient failure. */
export const deleteNic = async (
  { client, places }: NicParts,
  nic: NicId,
  signal: AbortSignal,
): Promise<void> => {
  const site = mutation('DeleteNetworkInterface', `NIC ${nic}`)
  await tolerating('notFound', () =>
    mutate(site, signal, () =>
      client.ecs(site.call, signal, (ecs, regionId) =>
        ecs.deleteNetworkInterface(
          new DeleteNetworkInterfaceRequest({ regionId, networkInterfaceId: nic }),
        ),
      ),
    ),
  )
  places.leave(nic)
  await patiently({ site, patience: deletePatience }, signal, async () => {
    const seen = await findNic(client, nic, signal)
    if (seen === undefined) return
    const text = `it is still there, as ${seen.status ?? 'something'}`
    throw new CallFailed(ownFailure(site, { kind: 'transient', code: 'StillThere', text }))
  })
}
