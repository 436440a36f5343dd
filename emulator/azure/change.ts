// Makes a NIC what a client wants it to be: which configurations stay, which blocks are lent for
// new ones, which leave. Blocks are taken at once, packets follow when the operation ends.
import { type Cidr, type Ip, baseOf, familyOf, hostCidr, overlaps } from '#core/ip.ts'
import { giveBack, lend } from '#emulator/model/addresses.ts'
import { Refusal } from '#emulator/model/refusal.ts'
import { type Nic, slots6Of, slotsOf } from '#emulator/model/types.ts'
import { allNics, blocksOf, nicsOfInstance, putNic } from '#emulator/model/world.ts'
import type { Arm, ArmNic, IpConfig, NicRecord } from './arm.ts'
import type { WantedConfig, WantedNic } from './desired.ts'
import { ArmError, armError, configLimitCode, invalidReference } from './errors.ts'
import { isSameId, subnetId, vmId } from './ids.ts'
import { asgByArmId, idOfNic, isPrefix, nsgByArmId, openGroup, putRecord } from './records.ts'
import { recordOf } from './records.ts'

/** A change whose blocks are taken and that has yet to reach the packets. */
export interface PendingChange {
  readonly succeed: () => void
  readonly fail: () => void
}

export interface ChangeRequest {
  readonly armNic: ArmNic
  readonly wanted: WantedNic
  /** New configurations that may have an address; undefined: all. */
  readonly granted: number | undefined
  readonly tags: Nic['tags']
  /** True: the sentences speak of scale sets. */
  readonly isScaleSet: boolean
}

/** Checks a change against the cloud's state and begins it; refuses it without a trace. */
export const beginChange = (arm: Arm, request: ChangeRequest): PendingChange => {
  const { armNic, wanted, tags } = request
  const { nic, record } = armNic
  checkSubnet(arm, request)
  const groupIds = groupIdsOf(arm, request)
  checkPrimaryStays(armNic, wanted)
  checkMachine(arm, armNic, wanted)
  const steps = wanted.configs.map(config => stepOf(record.configs, config))
  const blocks = lendBlocks(arm, request, steps)
  const configs = steps.map((step, i) => configOf(step, blocks[i]))
  const kept = new Set(configs.map(({ block }) => block))
  const leaving = blocksOf(nic).filter(block => !kept.has(block))
  putRecord(arm, nic.id, { ...record, configs, leaving, more: wanted.more, state: 'Updating' })
  const taken = blocks.flatMap(block => block ?? [])
  return {
    succeed: () => finish(arm, nic, { configs, groupIds, tags, wanted, taken }),
    fail: () => undo(arm, nic, { before: record, taken }),
  }
}

/** A wanted configuration and the one of that name that keeps its block for it. */
interface Step {
  readonly wanted: WantedConfig
  readonly kept: IpConfig | undefined
}

const isNew = (step: Step | undefined): boolean => step?.kept === undefined

const stepOf = (configs: readonly IpConfig[], wanted: WantedConfig): Step => {
  const old = configs.find(({ name }) => name.toLowerCase() === wanted.name.toLowerCase())
  const block = old?.block
  const isKept =
    block !== undefined &&
    familyOf(block) === wanted.family &&
    isPrefix(block) === wanted.isPrefix &&
    (wanted.method === 'Dynamic' || wanted.block === block)
  return { wanted, kept: isKept ? old : undefined }
}

const configOf = ({ wanted, kept }: Step, lent: Cidr | undefined): IpConfig => {
  const { name, family, isPrimary, method, more } = wanted
  const block = kept?.block ?? lent
  const isGiven = block !== undefined
  const state = kept === undefined && isGiven ? 'Updating' : 'Succeeded'
  return { name, family, isPrimary, method, more, block, state: isGiven ? state : 'Failed' }
}

const checkSubnet = (arm: Arm, { armNic, wanted, isScaleSet }: ChangeRequest): void => {
  const subnet = arm.world.subnets.get(armNic.nic.subnetId)
  const own = subnet === undefined ? '' : subnetId(arm, subnet)
  const ids = wanted.configs.flatMap(config => config.subnetId ?? [])
  const other = ids.find(id => !isSameId(id, own))
  if (other === undefined) return
  const isMixed = ids.some(id => !isSameId(id, other)) || ids.length < wanted.configs.length
  const prefix = isScaleSet ? 'VMScaleSet' : ''
  throw isMixed
    ? new ArmError(
        `${prefix}IpConfigurationsOnSameNicCannotUseDifferentSubnets`,
        'IP configurations on the same network interface cannot use different subnets: ' +
          `${idOfNic(arm, armNic)} uses ${own} and ${other}.`,
      )
    : new ArmError(
        'PropertyChangeNotAllowed',
        `Changing the subnet of ${idOfNic(arm, armNic)} from ${own} to ${other} is not allowed ` +
          'here.',
      )
}

const groupIdsOf = (arm: Arm, { armNic, wanted }: ChangeRequest): readonly string[] => {
  const id = idOfNic(arm, armNic)
  const found = <T>(value: T | undefined, reference: string): T => {
    if (value === undefined) throw invalidReference(reference, id)
    return value
  }
  const { nsgId } = wanted
  const nsg =
    nsgId === undefined ? openGroup(arm, armNic.nic.vpcId) : found(nsgByArmId(arm, nsgId), nsgId)
  const asgs = (wanted.configs[0]?.asgIds ?? []).map(asg => found(asgByArmId(arm, asg), asg))
  const { groupsPerNicMax } = arm.world.options.quotas
  if (!(asgs.length < groupsPerNicMax)) {
    throw new ArmError(
      'ApplicationSecurityGroupCountLimitReached',
      `${id} cannot be in more than ${groupsPerNicMax - 1} application security groups.`,
    )
  }
  return [nsg, ...asgs].map(group => group.id)
}

const checkPrimaryStays = ({ record }: ArmNic, wanted: WantedNic): void => {
  const old = record.configs.find(({ isPrimary }) => isPrimary)
  if (old === undefined) return
  const stays = wanted.configs.some(({ name }) => name.toLowerCase() === old.name.toLowerCase())
  if (stays) return
  throw new ArmError(
    'IpConfigDeleteNotSupported',
    `IP Configuration ${old.name} cannot be deleted. Deletion and renaming of primary IP ` +
      'Configuration is not supported',
  )
}

// The limit holds for the whole machine: more NICs do not mean more addresses.
const checkMachine = (arm: Arm, { nic }: ArmNic, wanted: WantedNic): void => {
  const instance = arm.world.instances.get(nic.attachment?.instanceId ?? '')
  if (instance === undefined) return
  const slotsMax = arm.world.options.typeLimits(instance.type)?.slotsPerInstanceMax
  const others = nicsOfInstance(arm.world, instance.id).filter(({ id }) => id !== nic.id)
  const used = others.map(other => slotsOf(other) + slots6Of(other))
  const total = used.reduce((sum, each) => sum + each, wanted.configs.length)
  if (slotsMax === undefined || total <= slotsMax) return
  throw new ArmError(
    configLimitCode,
    `${vmId(arm, instance)} cannot have more than ${slotsMax} IP configurations on all its ` +
      `network interfaces; ${total} were asked for.`,
  )
}

// One entry per step, undefined where nothing was lent: kept ones and those that failed.
const lendBlocks = (
  arm: Arm,
  request: ChangeRequest,
  steps: readonly Step[],
): readonly (Cidr | undefined)[] => {
  const asking = steps.filter(isNew).slice(0, request.granted)
  const lent = new Map<Step, Cidr>()
  const takenBlocks = (): readonly Cidr[] => [...lent.values()]
  try {
    for (const family of [4, 6] as const) {
      const own = asking.filter(step => step.wanted.family === family)
      lendFamily(arm, request, own).forEach((block, i) => {
        const step = own[i]
        if (step !== undefined) lent.set(step, block)
      })
    }
  } catch (error) {
    giveBack(arm.world, request.armNic.nic.subnetId, takenBlocks())
    throw error instanceof Refusal ? explain(arm, request, { error, asking }) : error
  }
  return steps.map(step => lent.get(step))
}

const lendFamily = (
  arm: Arm,
  { armNic }: ChangeRequest,
  steps: readonly Step[],
): readonly Cidr[] => {
  const [first] = steps
  if (first === undefined) return []
  const named = (isBlock: boolean): readonly Cidr[] =>
    steps.flatMap(({ wanted: { method, block, isPrefix } }) =>
      method === 'Static' && isPrefix === isBlock ? (block ?? []) : [],
    )
  const count = (isBlock: boolean): number =>
    steps.filter(({ wanted }) => wanted.method === 'Dynamic' && wanted.isPrefix === isBlock).length
  const { addresses, prefixes } = lend(arm.world, armNic.nic.subnetId, {
    family: first.wanted.family,
    addresses: named(false).map(baseOf),
    addressCount: count(false),
    prefixes: named(true),
    prefixCount: count(true),
  })
  // What was named comes first, then what the cloud chose.
  const chosen = addresses.slice(named(false).length).map(hostCidr)
  const chosenPrefixes = prefixes.slice(named(true).length)
  return steps.flatMap(({ wanted }) => {
    if (wanted.method === 'Static') return wanted.block ?? []
    return (wanted.isPrefix ? chosenPrefixes.shift() : chosen.shift()) ?? []
  })
}

const explain = (
  arm: Arm,
  { armNic }: ChangeRequest,
  { error, asking }: { readonly error: Refusal; readonly asking: readonly Step[] },
): ArmError => {
  const { reason } = error
  const subnet = arm.world.subnets.get(armNic.nic.subnetId)
  const refused = 'address' in reason ? reason.address : undefined
  const step = asking.find(({ wanted: { block } }) => block !== undefined && isOf(block, refused))
  const id = idOfNic(arm, armNic)
  return armError(reason, {
    about: step === undefined ? id : `${id}/ipConfigurations/${step.wanted.name}`,
    count: asking.length,
    subnet: {
      id: subnet === undefined ? '' : subnetId(arm, subnet),
      prefix: subnet?.cidr ?? '',
    },
    holderOf: address => holderOf(arm, address),
  })
}

const isOf = (block: Cidr, refused: string | undefined): boolean =>
  block === refused || baseOf(block) === refused

const holderOf = (arm: Arm, address: string): string | undefined => {
  const block = address.includes('/') ? (address as Cidr) : hostCidr(address as Ip)
  const armNics = allNics(arm.world).map(nic => ({ nic, record: recordOf(arm, nic) }))
  for (const armNic of armNics) {
    const config = armNic.record.configs.find(one => one.block === block)
    if (config !== undefined) return `${idOfNic(arm, armNic)}/ipConfigurations/${config.name}`
  }
  // Part of it is somebody's, or of what Azure keeps for itself.
  const holder = armNics.find(({ nic }) => blocksOf(nic).some(one => overlaps(one, block)))
  return holder && idOfNic(arm, holder)
}

interface Finished {
  readonly configs: readonly IpConfig[]
  readonly groupIds: readonly string[]
  readonly tags: Nic['tags']
  readonly wanted: WantedNic
  /** What was lent for this change. */
  readonly taken: readonly Cidr[]
}

const finish = (arm: Arm, { id, subnetId: modelSubnet }: Nic, done: Finished): void => {
  const { configs, groupIds, tags, wanted } = done
  const nic = allNics(arm.world).find(one => one.id === id)
  const record = arm.records.get(id)
  const blocks = configs.flatMap(({ block }) => block ?? [])
  // Its machine has ended meanwhile, and it with it.
  if (nic === undefined || record === undefined) {
    return giveBack(arm.world, modelSubnet, done.taken)
  }
  const kept = new Set(blocks)
  giveBack(
    arm.world,
    nic.subnetId,
    blocksOf(nic).filter(block => !kept.has(block)),
  )
  const primary = configs.find(({ isPrimary }) => isPrimary)?.block
  const single = blocks.filter(block => !isPrefix(block) && block !== primary).map(baseOf)
  const prefixes = blocks.filter(isPrefix)
  putNic(arm.world, id, {
    ...nic,
    primaryAddress: primary === undefined ? nic.primaryAddress : baseOf(primary),
    addresses: single.filter(one => familyOf(one) === 4),
    addresses6: single.filter(one => familyOf(one) === 6),
    prefixes: prefixes.filter(one => familyOf(one) === 4),
    prefixes6: prefixes.filter(one => familyOf(one) === 6),
    groupIds,
    tags,
    sourceDestCheck: !wanted.hasForwarding,
  })
  const settled = configs.map(config => (config.state === 'Updating' ? succeeded(config) : config))
  putRecord(arm, id, { ...record, configs: settled, leaving: [], state: 'Succeeded' })
}

const succeeded = (config: IpConfig): IpConfig => ({ ...config, state: 'Succeeded' })

// Azure leaves a NIC in the state `Failed` until the next write that succeeds.
const undo = (
  arm: Arm,
  { id, subnetId: modelSubnet }: Nic,
  { before, taken }: { readonly before: NicRecord; readonly taken: readonly Cidr[] },
): void => {
  giveBack(arm.world, modelSubnet, taken)
  if (arm.records.has(id)) putRecord(arm, id, { ...before, leaving: [], state: 'Failed' })
}
