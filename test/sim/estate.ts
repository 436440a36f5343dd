// What is true in the cloud: NICs, their blocks and attachments, and the past of each, because
// descriptions may be stale. It knows no failures and no latency; those are the API's business.

import { baseOf, type Cidr, contains, familyOf, hostCidr, type Ip } from '#core/ip.ts'
import { after, type Mac, mac, type Millis, type NicId, nicId } from '#core/names.ts'
import { type SecurityGroupId, securityGroupId, type SubnetId, type Token } from '#core/names.ts'
import type { CloudNic, Limits } from '#core/ports.ts'
import type { Chance } from './chance.ts'
import type { Scheduler } from './clock.ts'
import type { Actor, Notify } from './notices.ts'
import { gateway6, type Habit } from './shape.ts'
import { inOrder, type Space } from './space.ts'

export type EstateNic = {
  readonly id: NicId
  readonly mac: Mac
  readonly subnet: SubnetId
  readonly securityGroups: readonly SecurityGroupId[]
  readonly isPrimary: boolean
  isManaged: boolean
  readonly token: Token | undefined
  readonly primaryAddresses: readonly Ip[]
  readonly gateways: readonly Ip[]
  readonly createdAt: Millis
  /** Calls that name it fail with NotFound before this. */
  readonly visibleAt: Millis
  /** Each block with the time it was lent. */
  readonly blocks: Map<Cidr, Millis>
  /** Those it was born with and cannot return. */
  readonly fixedBlocks: readonly Cidr[]
  attachment: CloudNic['attachment']
  /** Tells one attachment from the next. */
  attachCount: number
  attachedAt: Millis
}

export type NewNic = Pick<EstateNic, 'subnet' | 'isPrimary' | 'isManaged' | 'token'> & {
  readonly securityGroups: readonly SecurityGroupId[]
  readonly hiddenForMs: number
}

export type Estate = {
  readonly limits: Limits
  readonly spaces: ReadonlyMap<SubnetId, Space>
  readonly nics: ReadonlyMap<NicId, EstateNic>
  /** Undefined when the subnet has no address for it. */
  create(options: NewNic): EstateNic | undefined
  remove(nic: EstateNic, by: Actor): void
  setAttachment(nic: EstateNic, attachment: CloudNic['attachment']): void
  noteDetached(nic: EstateNic, by: Actor): void
  /** Somebody marks the NIC as theirs. */
  disown(id: NicId): void
  /** Lends up to `count` blocks; fewer when the subnet has no more. */
  lend(nic: EstateNic, request: { family: 4 | 6; length: number; count: number }): Cidr[]
  takeBack(nic: EstateNic, block: Cidr, by: Actor): void
  attached(): readonly EstateNic[]
  /** What a description shows that reflects the given time. */
  viewAt(nic: NicId, at: Millis): CloudNic | undefined
  everSeen(): readonly NicId[]
  describe(nic: EstateNic): CloudNic
  /** The NIC that holds an address now. */
  ownerOf(address: Ip): EstateNic | undefined
}

export type EstateParts = {
  readonly scheduler: Scheduler
  readonly chance: Chance
  readonly notify: Notify
  readonly limits: Limits
  readonly spaces: readonly Space[]
  /** Left out: `plug`. */
  readonly habit?: Habit
}

/** How far back descriptions can be stale. */
const pastMs = 120_000

export const createEstate = (parts: EstateParts): Estate => {
  const { scheduler, chance, notify, limits } = parts
  const spaces = new Map(parts.spaces.map(space => [space.id, space]))
  const nics = new Map<NicId, EstateNic>()
  const past = new Map<NicId, { at: Millis; view: CloudNic | undefined }[]>()
  const now = (): Millis => scheduler.clock.now()
  const spaceOf = (id: SubnetId): Space => {
    const space = spaces.get(id)
    if (space === undefined) throw new Error(`the simulated cloud has no subnet ${id}`)
    return space
  }

  const changed = (nic: EstateNic): void => {
    const versions = (past.get(nic.id) ?? []).filter(
      (version, i, all) => (all[i + 1]?.at ?? version.at) >= now() - pastMs,
    )
    versions.push({ at: now(), view: nics.has(nic.id) ? describe(nic) : undefined })
    past.set(nic.id, versions)
  }
  const lend: Estate['lend'] = (nic, { family, length, count }) => {
    const got: Cidr[] = []
    while (got.length < count) {
      const block = spaceOf(nic.subnet).take({ family, length })
      if (block === undefined) break
      nic.blocks.set(block, now())
      got.push(block)
      notify({ kind: 'lent', nic: nic.id, block })
    }
    if (got.length > 0) changed(nic)
    return got
  }
  const takeBack: Estate['takeBack'] = (nic, block, by) => {
    nic.blocks.delete(block)
    spaceOf(nic.subnet).free(block)
    changed(nic)
    notify({ kind: 'taken', nic: nic.id, block, by })
  }

  return {
    limits,
    spaces,
    nics,
    create: options => {
      const space = spaceOf(options.subnet)
      const own = space.take({ family: 4, length: 32 })
      if (own === undefined) return undefined
      const own6 = space.take({ family: 6, length: 128 }) ?? own
      const isGift = parts.habit === 'gift' && !options.isPrimary && options.isManaged
      const fixedBlocks = isGift ? [own] : []
      const nic: EstateNic = {
        ...options,
        id: nicId(`eni-${chance.hex(8)}`),
        mac: mac(`02:${chance.hex(10).replace(/(..)(?=.)/g, '$1:')}`),
        primaryAddresses: (isGift ? [own6] : [own, own6]).map(baseOf),
        fixedBlocks,
        gateways: [...space.gateways.slice(0, 1), gateway6(parts.habit ?? 'plug', space.cidr6)],
        createdAt: now(),
        visibleAt: after(now(), options.hiddenForMs),
        blocks: new Map(fixedBlocks.map(block => [block, now()])),
        attachment: { kind: 'none' },
        attachCount: 0,
        attachedAt: now(),
      }
      nics.set(nic.id, nic)
      changed(nic)
      notify({ kind: 'nicCreated', nic: nic.id, token: nic.token })
      for (const block of fixedBlocks) notify({ kind: 'lent', nic: nic.id, block })
      return nic
    },
    remove: (nic, by) => {
      for (const block of nic.blocks.keys()) takeBack(nic, block, by)
      for (const address of nic.primaryAddresses) spaceOf(nic.subnet).free(hostCidr(address))
      nics.delete(nic.id)
      changed(nic)
      notify({ kind: 'nicDeleted', nic: nic.id, by })
    },
    setAttachment: (nic, attachment) => {
      nic.attachment = attachment
      changed(nic)
    },
    disown: id => {
      const nic = nics.get(id)
      if (nic === undefined) return
      nic.isManaged = false
      changed(nic)
    },
    noteDetached: (nic, by) => notify({ kind: 'detached', nic: nic.id, by }),
    lend,
    takeBack,
    attached: () => [...nics.values()].filter(nic => nic.attachment.kind !== 'none'),
    viewAt: (id, at) => (past.get(id) ?? []).findLast(version => version.at <= at)?.view,
    everSeen: () => [...past.keys()],
    describe,
    ownerOf: address =>
      [...nics.values()].find(nic => [...nic.blocks.keys()].some(b => contains(b, address))),
  }
}

const describe = (nic: EstateNic): CloudNic => ({
  id: nic.id,
  mac: nic.mac,
  subnet: nic.subnet,
  securityGroups: nic.securityGroups,
  attachment: nic.attachment,
  isPrimary: nic.isPrimary,
  isManaged: nic.isManaged,
  token: nic.token,
  primaryAddresses: nic.primaryAddresses,
  gateways: nic.gateways,
  blocks: inOrder(nic.blocks.keys()),
  fixedBlocks: nic.fixedBlocks,
})

/** The security group every simulated NIC is in. */
export const onlyGroup = securityGroupId('sg-1')

/** Blocks of one family on a NIC that count against its limit. */
export const countBlocks = (nic: EstateNic, family: 4 | 6): number =>
  [...nic.blocks.keys()].filter(
    block => familyOf(block) === family && !nic.fixedBlocks.includes(block),
  ).length

/** Blocks of both families on all NICs of the instance. */
export const countAllBlocks = (estate: Estate): number =>
  estate.attached().reduce((sum, nic) => sum + countBlocks(nic, 4) + countBlocks(nic, 6), 0)
