// Creating, attaching, detaching and deleting NICs. Each is safe to repeat: what is already as
// wanted is found so, and what is gone is gone.

import {
  AttachNetworkInterfaceCommand,
  CreateNetworkInterfaceCommand,
  type CreateNetworkInterfaceRequest,
  DeleteNetworkInterfaceCommand,
  DetachNetworkInterfaceCommand,
  type EC2Client,
  ModifyNetworkInterfaceAttributeCommand,
  type NetworkInterface,
  type NetworkInterfaceAttachment,
} from '@aws-sdk/client-ec2'
import type { InstanceId, NicId } from '#core/names.ts'
import type { BlockRequest, CloudNic, NicRequest } from '#core/ports.ts'
import { afterEffect, CallFailed, tolerating } from '../common/calls.ts'
import type { Site } from '../common/failures.ts'
import { tagNames } from '../common/options.ts'
import {
  newPatience,
  type Patience,
  staleCode,
  stalePatience,
  visibilityPatience,
} from '../common/retry.ts'
import { present } from '../common/shapes.ts'
import { call, patiently } from './calls.ts'
import { ownFailure } from './failures.ts'
import { cloudNicOf, type Surroundings } from './shapes.ts'
import { describeNic } from './describe.ts'

export type NicParts = {
  readonly client: EC2Client
  readonly node: string
  readonly cluster: string | undefined
  /** Further tags from the configuration. */
  readonly tags: Readonly<Record<string, string>>
  /** Attachments this process made: a description may not show them yet when one is to end. */
  readonly attachmentIds: Map<NicId, string>
}

type AttachRequest = { readonly nic: NicId; readonly deviceIndex: number }

const mutation = (name: string, on: string): Site => ({ call: name, on, isRead: false })

/** Creates with addresses, tags and token in one call; the same token gives the same NIC. */
export const createNic = (
  parts: NicParts,
  { request, around }: { readonly request: NicRequest; readonly around: Surroundings },
  signal: AbortSignal,
): Promise<CloudNic> =>
  call(mutation('CreateNetworkInterface', `subnet ${request.subnet}`), signal, async () => {
    const command = new CreateNetworkInterfaceCommand(createInput(parts, request, around.instance))
    const answer = await parts.client.send(command, { abortSignal: signal })
    return cloudNicOf(present(answer.NetworkInterface, 'NetworkInterface'), around)
  })

/** Characters that EC2 takes. */
const descriptionMax = 255

const createInput = (
  parts: NicParts,
  request: NicRequest,
  instance: InstanceId,
): CreateNetworkInterfaceRequest => ({
  SubnetId: request.subnet,
  // EC2 gives a NIC without groups the VPC's default group; an empty list is refused.
  ...(request.securityGroups.length > 0 ? { Groups: [...request.securityGroups] } : {}),
  ...Object.assign({}, ...request.blocks.map(countsOf)),
  Description: `eniway: pods of ${parts.node}`.slice(0, descriptionMax),
  ClientToken: request.token,
  TagSpecifications: [
    {
      ResourceType: 'network-interface',
      Tags: Object.entries({
        ...parts.tags,
        ...(parts.cluster === undefined ? {} : { [tagNames.cluster]: parts.cluster }),
        [tagNames.instance]: instance,
        [tagNames.token]: request.token,
      }).map(([Key, Value]) => ({ Key, Value })),
    },
  ],
})

const countsOf = ({ family, length, count }: BlockRequest) => {
  if (count === 0) return {}
  if (family === 4) {
    return length === 32 ? { SecondaryPrivateIpAddressCount: count } : { Ipv4PrefixCount: count }
  }
  return length === 128 ? { Ipv6AddressCount: count } : { Ipv6PrefixCount: count }
}

/** Attaches and makes the NIC die with the instance. */
export const attachNic = async (
  { client, attachmentIds }: NicParts,
  { request, around }: { readonly request: AttachRequest; readonly around: Surroundings },
  signal: AbortSignal,
): Promise<CloudNic> => {
  const attachmentId = await attach(client, { ...request, instance: around.instance }, signal)
  attachmentIds.set(request.nic, attachmentId)
  try {
    await protect(client, { nic: request.nic, attachmentId }, signal)
    const patience = newPatience
    const seen = await describeNic(client, request.nic, { signal, patience })
    return overlaid(cloudNicOf(seen, around), request, around.instance)
  } catch (error) {
    throw afterEffect(error)
  }
}

// A description may still show the time before; what the cloud has agreed to is true all the same.
const overlaid = (nic: CloudNic, request: AttachRequest, instance: InstanceId): CloudNic => {
  if (nic.attachment.kind !== 'none' && nic.attachment.isProtected) return nic
  const { deviceIndex } = request
  const kind = nic.attachment.kind === 'none' ? 'attaching' : nic.attachment.kind
  return { ...nic, attachment: { kind, instance, deviceIndex, isProtected: true } }
}

const attach = async (
  client: EC2Client,
  wanted: AttachRequest & { readonly instance: InstanceId },
  signal: AbortSignal,
): Promise<string> => {
  const site = mutation('AttachNetworkInterface', `NIC ${wanted.nic}`)
  const send = () =>
    call(site, signal, async () => {
      const command = new AttachNetworkInterfaceCommand({
        NetworkInterfaceId: wanted.nic,
        InstanceId: wanted.instance,
        DeviceIndex: wanted.deviceIndex,
        // Left out, EC2 takes a device index on any card for taken (cilium pull request 42512).
        NetworkCardIndex: 0,
      })
      const answer = await client.send(command, { abortSignal: signal })
      return present(answer.AttachmentId, 'AttachmentId')
    })
  try {
    return await patiently({ site, patience: visibilityPatience }, signal, send)
  } catch (error) {
    if (!isRefusal(error)) throw error
    return existingAttachment(client, { site, wanted, refusal: error }, signal)
  }
}

// Codes for a NIC that is attached already vary with what EC2 checks first, so any refusal is a
// reason to look; also AttachmentLimitExceeded, when our own earlier call took the last slot.
const isRefusal = (error: unknown): error is CallFailed =>
  error instanceof CallFailed && ['conflict', 'limit', 'denied'].includes(error.failure.kind)

// A refusal for a NIC in use, together with a description that shows it free: the description is
// older, so it is asked again for a moment. After that the refusal stands.
const existingAttachment = (
  client: EC2Client,
  tried: Tried & { readonly refusal: CallFailed },
  signal: AbortSignal,
): Promise<string> => {
  const { wanted, site, refusal } = tried
  const isInUse = refusal.failure.kind === 'conflict'
  const looking = patiently({ site, patience: stalePatience }, signal, async () => {
    const { Attachment: attachment } = await describeNic(client, wanted.nic, { signal })
    if (attachment?.InstanceId !== undefined) return ours(attachment, tried)
    throw isInUse ? new CallFailed({ ...refusal.failure, code: staleCode }) : refusal
  })
  return looking.catch((error: unknown) => {
    throw error instanceof CallFailed && error.failure.code === staleCode ? refusal : error
  })
}

type Tried = {
  readonly site: Site
  readonly wanted: AttachRequest & { readonly instance: InstanceId }
}

const ours = (
  attachment: NetworkInterfaceAttachment,
  { site, wanted, refusal }: Tried & { readonly refusal: CallFailed },
): string => {
  if (attachment.InstanceId !== wanted.instance) {
    const text = `it is attached to ${attachment.InstanceId}`
    throw new CallFailed(ownFailure(site, { kind: 'conflict', code: 'AttachedElsewhere', text }))
  }
  if (attachment.Status !== 'attaching' && attachment.Status !== 'attached') throw refusal
  return present(attachment.AttachmentId, 'AttachmentId')
}

// The attachment may be as new as a second, hence the patience.
const protect = (
  client: EC2Client,
  { nic, attachmentId }: { readonly nic: NicId; readonly attachmentId: string },
  signal: AbortSignal,
): Promise<void> => {
  const site = mutation('ModifyNetworkInterfaceAttribute', `NIC ${nic}`)
  return patiently({ site, patience: visibilityPatience }, signal, () =>
    call(site, signal, async () => {
      const Attachment = { AttachmentId: attachmentId, DeleteOnTermination: true }
      const input = { NetworkInterfaceId: nic, Attachment }
      await client.send(new ModifyNetworkInterfaceAttributeCommand(input), { abortSignal: signal })
    }),
  )
}

// Detaching takes seconds; a guest that does not let go of the device makes it take for ever.
const detachPatience: Patience = {
  isWorthwhile: failure => failure.kind === 'transient',
  retries: 40,
  firstMs: 250,
  longestMs: 4000,
  totalMs: 60_000,
}

/** Detaches and waits until EC2 shows it. */
export const detachNic = async (
  { client, attachmentIds }: NicParts,
  { nic, instance }: { readonly nic: NicId; readonly instance: InstanceId },
  signal: AbortSignal,
): Promise<void> => {
  const site = mutation('DetachNetworkInterface', `NIC ${nic}`)
  const seen = await describeIfThere(client, nic, signal)
  const id = attachmentToEnd(seen, { site, instance }) ?? attachmentIds.get(nic)
  if (id !== undefined && seen?.Attachment?.Status !== 'detaching') {
    await tolerating('notFound', () => detach(client, { site, id }, signal))
  }
  attachmentIds.delete(nic)
  if (id !== undefined) await awaitDetached(client, { site, nic }, signal)
}

// Undefined: nothing is shown to be attached.
const attachmentToEnd = (
  seen: NetworkInterface | undefined,
  { site, instance }: { readonly site: Site; readonly instance: InstanceId },
): string | undefined => {
  const attachment = seen?.Attachment
  if (attachment === undefined || attachment.Status === 'detached') return undefined
  if (attachment.InstanceId === instance) return present(attachment.AttachmentId, 'AttachmentId')
  const text = `it is attached to ${attachment.InstanceId ?? 'something that is no instance'}`
  throw new CallFailed(ownFailure(site, { kind: 'conflict', code: 'AttachedElsewhere', text }))
}

const awaitDetached = (
  client: EC2Client,
  { site, nic }: { readonly site: Site; readonly nic: NicId },
  signal: AbortSignal,
): Promise<void> =>
  patiently({ site, patience: detachPatience }, signal, async () => {
    const seen = await describeIfThere(client, nic, signal)
    if (seen === undefined || isFree(seen)) return
    const text = `it is still ${seen.Attachment?.Status ?? seen.Status ?? 'attached'}`
    throw new CallFailed(ownFailure(site, { kind: 'transient', code: 'StillAttached', text }))
  })

const isFree = ({ Status: status, Attachment: attachment }: NetworkInterface): boolean =>
  status === 'available' && (attachment?.Status ?? 'detached') === 'detached'

const detach = (
  client: EC2Client,
  { site, id }: { readonly site: Site; readonly id: string },
  signal: AbortSignal,
): Promise<void> =>
  call(site, signal, async () => {
    const command = new DetachNetworkInterfaceCommand({ AttachmentId: id })
    await client.send(command, { abortSignal: signal })
  })

const describeIfThere = (client: EC2Client, nic: NicId, signal: AbortSignal) =>
  tolerating('notFound', () => describeNic(client, nic, { signal }))

/** Deletes; a NIC that is still letting go of its instance is a transient failure. */
export const deleteNic = async (
  { client }: NicParts,
  nic: NicId,
  signal: AbortSignal,
): Promise<void> => {
  const site = mutation('DeleteNetworkInterface', `NIC ${nic}`)
  await tolerating('notFound', () =>
    call(site, signal, async () => {
      const command = new DeleteNetworkInterfaceCommand({ NetworkInterfaceId: nic })
      await client.send(command, { abortSignal: signal })
    }),
  )
}
