// NICs on their way to and from the instance: the cloud agrees first, the device appears in the
// kernel later, much later, or never.

import { after, type InstanceId, type Millis, type NicId } from '#core/names.ts'
import { type CloudNic, ok, type Outcome } from '#core/ports.ts'
import type { Chance } from './chance.ts'
import type { Scheduler } from './clock.ts'
import type { Estate, EstateNic } from './estate.ts'
import type { Faults } from './faults.ts'
import type { Kernel } from './kernel.ts'
import type { Actor } from './notices.ts'
import { failure, find, notFound } from './refuse.ts'

export type DetachRequest = { readonly by: Actor; readonly askedAt: Millis }

export type Attacher = {
  attach(request: {
    readonly nic: NicId
    readonly deviceIndex: number
  }): Outcome<CloudNic> | Promise<Outcome<CloudNic>>
  detach(nic: NicId, request: DetachRequest): Promise<Outcome<void>>
  /** Without a failure, latency or limit: how the day begins, or a human's NIC. */
  attachAtOnce(nic: EstateNic, deviceIndex: number): void
}

export type AttacherParts = {
  readonly estate: Estate
  readonly kernel: Kernel
  readonly scheduler: Scheduler
  readonly chance: Chance
  readonly faults: Faults
  readonly instance: InstanceId
}

export const createAttacher = (parts: AttacherParts): Attacher => {
  const { estate, kernel, instance } = parts
  return {
    attach: request => attach(parts, request),
    detach: (nic, request) => detach(parts, nic, request),
    attachAtOnce: (nic, deviceIndex) => {
      const attachment = { instance, deviceIndex, isProtected: true }
      estate.setAttachment(nic, { kind: 'attached', ...attachment })
      kernel.addDevice(nic.mac)
    },
  }
}

const attach = (
  parts: AttacherParts,
  { nic: id, deviceIndex }: { readonly nic: NicId; readonly deviceIndex: number },
): Outcome<CloudNic> => {
  const { estate, faults, instance } = parts
  const nic = find(parts, id)
  if (nic === undefined) return notFound(id)
  if (nic.attachment.kind === 'detaching') return failure('conflict', 'IncorrectState')
  if (nic.attachment.kind !== 'none') {
    if (nic.attachment.instance !== instance) return failure('conflict', 'AttachedElsewhere')
    const { kind, deviceIndex: index } = nic.attachment
    estate.setAttachment(nic, { kind, instance, deviceIndex: index, isProtected: true })
    return ok(estate.describe(nic))
  }
  const others = estate.attached().filter(other => holderOf(other) === instance)
  if (!(others.length < estate.limits.nicsMax)) return failure('limit', 'AttachmentLimitExceeded')
  if (others.some(other => indexOf(other) === deviceIndex)) {
    return failure('conflict', 'InvalidParameterValue', {
      message: `Instance already has an interface attached at device index ${deviceIndex}`,
    })
  }
  const isProtected = !faults.strikes('unprotected')
  estate.setAttachment(nic, { kind: 'attaching', instance, deviceIndex, isProtected })
  appearLater(parts, nic)
  if (!isProtected) return failure('transient', 'ServiceUnavailable', { ambiguous: true })
  return ok(estate.describe(nic))
}

const holderOf = ({ attachment }: EstateNic): InstanceId | undefined =>
  attachment.kind === 'none' ? undefined : attachment.instance

const indexOf = (nic: EstateNic): number | undefined =>
  nic.attachment.kind === 'none' ? undefined : nic.attachment.deviceIndex

const appearLater = (parts: AttacherParts, nic: EstateNic): void => {
  const { estate, kernel, scheduler, chance, faults } = parts
  const isNever = faults.strikes('deviceNever')
  const isStuck = isNever && chance.happens(0.5)
  const isLate = faults.strikes('deviceLate')
  const ms = isLate ? chance.between(10_000, 200_000) : chance.between(1_000, 8_000)
  const attempt = ++nic.attachCount
  nic.attachedAt = scheduler.clock.now()
  scheduler.in(ms, () => {
    const { attachment } = nic
    if (attachment.kind !== 'attaching' || isStuck || nic.attachCount !== attempt) return
    estate.setAttachment(nic, { ...attachment, kind: 'attached' })
    if (!isNever) kernel.addDevice(nic.mac)
  })
}

const detach = async (
  parts: AttacherParts,
  id: NicId,
  { by, askedAt }: DetachRequest,
): Promise<Outcome<void>> => {
  const { estate, kernel, scheduler, chance, faults, instance } = parts
  const nic = find(parts, id)
  if (nic === undefined) return estate.nics.has(id) ? notFound(id) : ok(undefined)
  if (nic.isPrimary) return failure('denied', 'OperationNotPermitted')
  if ((holderOf(nic) ?? instance) !== instance) return failure('conflict', 'AttachedElsewhere')
  // A call that was delayed does not end an attachment that was made after it.
  if (nic.attachment.kind === 'none' || nic.attachedAt > askedAt) return ok(undefined)
  if (nic.attachment.kind !== 'detaching') {
    estate.setAttachment(nic, { ...nic.attachment, kind: 'detaching' })
    estate.noteDetached(nic, by)
    kernel.removeDevice(nic.mac)
    const isSlow = faults.strikes('slow')
    scheduler.in(isSlow ? chance.between(10_000, 90_000) : chance.between(500, 6_000), () =>
      estate.setAttachment(nic, { kind: 'none' }),
    )
  }
  const patience = after(scheduler.clock.now(), 20_000)
  while (isDetaching(nic)) {
    if (!(scheduler.clock.now() < patience)) {
      return failure('transient', 'StillDetaching', { ambiguous: true })
    }
    await scheduler.sleep(500)
  }
  return ok(undefined)
}

const isDetaching = (nic: EstateNic): boolean => nic.attachment.kind === 'detaching'
