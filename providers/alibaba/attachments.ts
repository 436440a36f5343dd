// Attaching and detaching NICs. ECS only begins when it answers, so the NIC's state is looked at
// until it is reached; both are safe to repeat.

import {
  AttachNetworkInterfaceRequest,
  DetachNetworkInterfaceRequest,
  ModifyNetworkInterfaceAttributeRequest,
} from '@alicloud/ecs20140526'
import type { InstanceId, NicId } from '#core/names.ts'
import type { CloudNic } from '#core/ports.ts'
import { CallFailed, afterEffect, tolerating } from '../common/calls.ts'
import type { OwnFailure, Site } from '../common/failures.ts'
import { type Patience, staleCode, stalePatience, visibilityPatience } from '../common/retry.ts'
import { mutate, mutation, patiently } from './calls.ts'
import type { Client } from './client.ts'
import { describeNic, describeNicsOf, findNic } from './describe.ts'
import { invalidStateCode, ownFailure } from './failures.ts'
import type { NicParts } from './nics.ts'
import type { Places } from './places.ts'
import { type Nic, type Surroundings, cloudNicOf, holderOf, idOf } from './shapes.ts'

type AttachRequest = { readonly nic: NicId; readonly deviceIndex: number }
type Wanted = AttachRequest & { readonly instance: InstanceId }

/** Attaches and makes the NIC die with the instance. */
export const attachNic = async (
  parts: NicParts,
  { request, around }: { readonly request: AttachRequest; readonly around: Surroundings },
  signal: AbortSignal,
): Promise<CloudNic> => {
  const { client, places } = parts
  const wanted = { ...request, instance: around.instance }
  const site = mutation('AttachNetworkInterface', `NIC ${request.nic}`)
  const nics = await describeNicsOf(client, wanted.instance, signal)
  // A NIC that was detached by hand gives its place back here.
  places.of(nics)
  checkPlace(places, { site, wanted })
  const isThere = nics.some(nic => idOf(nic) === wanted.nic && isOnItsWay(nic, wanted.instance))
  places.take(wanted.nic, wanted.deviceIndex)
  if (!isThere) await attach(client, { site, wanted }, signal).catch(givingBack(places, wanted))
  try {
    const seen = await awaitAttached(client, { site, wanted }, signal)
    if (seen.deleteOnRelease === false) await protect(client, wanted.nic, signal)
    return overlaid(cloudNicOf(seen, around), wanted)
  } catch (error) {
    throw afterEffect(error)
  }
}

type Attempt = { readonly site: Site; readonly wanted: Wanted }

const problem = (site: Site, what: OwnFailure): CallFailed => new CallFailed(ownFailure(site, what))

// ECS would attach it all the same, but then two NICs of this node claimed one number.
const checkPlace = (places: Places, { site, wanted }: Attempt): void => {
  const { nic, deviceIndex } = wanted
  const holder = places.holder(deviceIndex)
  if (holder === undefined || holder === nic) return
  const text = `NIC ${holder} is device ${deviceIndex} already`
  throw problem(site, { kind: 'conflict', code: 'PlaceTaken', text })
}

// Only a certain refusal: what may be attached keeps its place.
const givingBack =
  (places: Places, { nic }: Wanted) =>
  (error: unknown): never => {
    if (error instanceof CallFailed && !error.failure.ambiguous) places.leave(nic)
    throw error
  }

const isOnItsWay = (nic: Nic, instance: InstanceId): boolean =>
  holderOf(nic) === instance && nic.status !== 'Detaching'

const attach = async (
  client: Client,
  { site, wanted }: Attempt,
  signal: AbortSignal,
): Promise<void> => {
  const send = () =>
    mutate(site, signal, () =>
      client.ecs(site.call, signal, (ecs, regionId) =>
        ecs.attachNetworkInterface(
          new AttachNetworkInterfaceRequest({
            regionId,
            networkInterfaceId: wanted.nic,
            instanceId: wanted.instance,
          }),
        ),
      ),
    )
  try {
    await patiently({ site, patience: visibilityPatience }, signal, send)
  } catch (error) {
    if (!isRefusal(error)) throw error
    await checkAttached(client, { site, wanted, refusal: error }, signal)
  }
}

// Which code comes for a NIC that is attached already depends on what ECS checks first, so any
// refusal is a reason to look; also the limit, when our own earlier call took the last slot.
const isRefusal = (error: unknown): error is CallFailed =>
  error instanceof CallFailed && ['conflict', 'limit', 'denied'].includes(error.failure.kind)

// A refusal for the state of a NIC, together with a description that shows it free: the description
// is older, so it is asked again for a moment. After that the refusal stands.
const checkAttached = async (
  client: Client,
  { site, wanted, refusal }: Attempt & { readonly refusal: CallFailed },
  signal: AbortSignal,
): Promise<void> => {
  const isInUse = refusal.failure.code === invalidStateCode
  const looking = patiently({ site, patience: stalePatience }, signal, async () => {
    const seen = await describeNic(client, wanted.nic, { signal })
    const holder = holderOf(seen)
    if (isOnItsWay(seen, wanted.instance)) return
    if (holder !== undefined && holder !== wanted.instance) {
      throw problem(site, {
        kind: 'conflict',
        code: 'AttachedElsewhere',
        text: `it is attached to ${holder}`,
      })
    }
    const isStale = isInUse && holder === undefined
    throw isStale ? new CallFailed({ ...refusal.failure, code: staleCode }) : refusal
  })
  await looking.catch((error: unknown) => {
    throw error instanceof CallFailed && error.failure.code === staleCode ? refusal : error
  })
}

// Hot plugging takes seconds; an attachment that fails makes the NIC available again.
const attachPatience: Patience = {
  isWorthwhile: failure => failure.code === 'NotYetAttached' || failure.kind === 'notFound',
  retries: 30,
  firstMs: 200,
  longestMs: 1000,
  totalMs: 20_000,
}

/** As it shows when attached, or still on its way when that takes long: ECS has agreed to it. */
const awaitAttached = async (
  client: Client,
  { site, wanted }: Attempt,
  signal: AbortSignal,
): Promise<Nic> => {
  let last: Nic | undefined
  const looking = patiently({ site, patience: attachPatience }, signal, async () => {
    last = await describeNic(client, wanted.nic, { signal })
    if (last.status === 'InUse' && holderOf(last) === wanted.instance) return last
    const text = `it is ${last.status ?? 'nothing'} some time after ECS agreed to attach it`
    throw problem(site, { kind: 'transient', code: 'NotYetAttached', text })
  })
  return looking.catch((error: unknown) => {
    if (last !== undefined && last.status === 'Attaching') return last
    throw error
  })
}

const protect = async (client: Client, nic: NicId, signal: AbortSignal): Promise<void> => {
  const site = mutation('ModifyNetworkInterfaceAttribute', `NIC ${nic}`)
  const input = { networkInterfaceId: nic, deleteOnRelease: true }
  await mutate(site, signal, () =>
    client.ecs(site.call, signal, (ecs, regionId) =>
      ecs.modifyNetworkInterfaceAttribute(
        new ModifyNetworkInterfaceAttributeRequest({ ...input, regionId }),
      ),
    ),
  )
}

// What the cloud has agreed to is true, whatever a description of another moment says.
const overlaid = (nic: CloudNic, { instance, deviceIndex }: Wanted): CloudNic => {
  const kind = nic.attachment.kind === 'none' ? 'attaching' : nic.attachment.kind
  return { ...nic, attachment: { kind, instance, deviceIndex, isProtected: true } }
}

// Detaching takes seconds; a guest that does not let go of the device makes it take for ever.
const detachPatience: Patience = {
  isWorthwhile: failure => failure.kind === 'transient',
  retries: 40,
  firstMs: 250,
  longestMs: 4000,
  totalMs: 60_000,
}

/** Looks at a NIC that is stuck, after which detaching is asked for once more. */
const looksUntilReissue = 8

/** Detaches and waits until ECS shows it. */
export const detachNic = async (
  { client, places }: NicParts,
  { nic, instance }: { readonly nic: NicId; readonly instance: InstanceId },
  signal: AbortSignal,
): Promise<void> => {
  const site = mutation('DetachNetworkInterface', `NIC ${nic}`)
  const seen = await findNic(client, nic, signal)
  checkOurs(seen, { site, instance })
  // Whoever attached it knows that it is attached, though no description shows it yet.
  if (seen === undefined || (holderOf(seen) === undefined && !places.has(nic))) return
  let looks = seen.status === 'Detaching' ? 1 : 0
  await patiently({ site, patience: detachPatience }, signal, async () => {
    if (looks % looksUntilReissue === 0) {
      const isAccepted = await detach(client, { site, nic, instance }, signal)
      if (isAccepted) places.leave(nic)
    }
    const now = await findNic(client, nic, signal)
    if (now === undefined || now.status === 'Available') return
    looks += 1
    throw problem(site, {
      kind: 'transient',
      code: 'StillAttached',
      text: `it is still ${now.status ?? 'attached'}`,
    })
  })
  places.leave(nic)
}

const checkOurs = (
  seen: Nic | undefined,
  { site, instance }: { readonly site: Site; readonly instance: InstanceId },
): void => {
  const holder = seen && holderOf(seen)
  if (holder === undefined || holder === instance) return
  throw problem(site, {
    kind: 'conflict',
    code: 'AttachedElsewhere',
    text: `it is attached to ${holder}`,
  })
}

// False: not in a state to be detached from (already detached, or still on its way); a look tells.
const detach = async (
  client: Client,
  {
    site,
    nic,
    instance,
  }: { readonly site: Site; readonly nic: NicId; readonly instance: InstanceId },
  signal: AbortSignal,
): Promise<boolean> => {
  const send = () =>
    mutate(site, signal, () =>
      client.ecs(site.call, signal, (ecs, regionId) =>
        ecs.detachNetworkInterface(
          new DetachNetworkInterfaceRequest({
            regionId,
            networkInterfaceId: nic,
            instanceId: instance,
          }),
        ),
      ),
    )
  try {
    await tolerating('notFound', send)
    return true
  } catch (error) {
    if (error instanceof CallFailed && error.failure.code === invalidStateCode) return false
    throw error
  }
}
