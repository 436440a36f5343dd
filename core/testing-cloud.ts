// A cloud for the core's tests: it keeps what it was told, answers at once and never fails by
// itself. Failures are the test's to choose, and come from `refusal`.

import type { CloudAction } from './action.ts'
import type { CloudResult } from './event.ts'
import { addressAt, type Cidr, cidr, cidrOf, type Family, hostCidr, ip, type Ip } from './ip.ts'
import { instanceId, mac, nicId, securityGroupId, subnetId } from './names.ts'
import type { NicId, SubnetId } from './names.ts'
import { failed, ok } from './ports.ts'
import type { BlockRequest, CloudNic, CloudObservation, Failure, NodeFacts } from './ports.ts'

export type TestCloud = {
  /** May be changed by a test: somebody else's hand in the cloud. */
  readonly nics: Map<NicId, CloudNic>
  facts: NodeFacts
  /** What a description would show now. */
  describe(): CloudObservation
  /** Does what is asked and answers. */
  perform(action: CloudAction): CloudResult
}

export type TestCloudOptions = {
  readonly nicsMax?: number
  readonly blocksMax?: number
  readonly prefixes?: boolean
  readonly hotPlug?: boolean
  readonly blocksPerNodeMax?: number
  readonly subnets?: number
  /** A secondary NIC's own address is given to pods. */
  readonly gift?: boolean
}

const here = instanceId('i-1')

/** Subnet `number` of the tests: `subnet-1` is 10.0.16.0/20 and 2001:db8:0:1::/64. */
const subnetOf = (number: number) => ({
  id: subnetId(`subnet-${number}`),
  zone: 'a',
  cidrs: [cidr(`10.0.${16 * number}.0/20`), cidr(`2001:db8:0:${number}::/64`)],
  available: 1000 - number,
})

/** What the tests' instance is: 3 NICs of 5 blocks unless the options say otherwise. */
export const testFacts = (options: TestCloudOptions = {}): NodeFacts => ({
  node: 'node-1',
  instanceId: here,
  instanceType: 'test.large',
  zone: 'a',
  limits: {
    nicsMax: options.nicsMax ?? 3,
    blocksPerNicMax: { 4: options.blocksMax ?? 5, 6: options.blocksMax ?? 5 },
    hotPlug: options.hotPlug ?? true,
    blocksPerNodeMax: options.blocksPerNodeMax,
    prefixes: options.prefixes ?? true,
  },
  vpc: [cidr('10.0.0.0/16')],
  subnets: Array.from({ length: options.subnets ?? 1 }, (_, i) => subnetOf(i + 1)),
  securityGroups: [securityGroupId('sg-1')],
})

/** A cloud with one instance and its primary NIC `eni-1`. */
export const createTestCloud = (options: TestCloudOptions = {}): TestCloud => {
  const estate = createEstate(options.gift === true)
  const { nics } = estate
  estate.create(subnetOf(1).id, { isPrimary: true, attachment: attached(0) })

  const cloud: TestCloud = {
    nics,
    facts: testFacts(options),
    describe: () => ({ nics: [...nics.values()], subnets: cloud.facts.subnets }),
    perform: action => {
      switch (action.kind) {
        case 'describeNode':
          return { kind: 'nodeDescribed', outcome: ok(cloud.facts) }
        case 'observeCloud':
          return { kind: 'observed', outcome: ok(cloud.describe()) }
        case 'createNic': {
          const { token, subnet, blocks } = action.request
          const known = [...nics.values()].find(nic => nic.token === token)
          const nic = known ?? estate.create(subnet, { token })
          if (known === undefined) for (const request of blocks) estate.lend(nic.id, request)
          return { kind: 'nicCreated', outcome: ok(nics.get(nic.id) ?? nic) }
        }
        case 'attachNic': {
          const nic = estate.change(action.nic, { attachment: attached(action.deviceIndex) })
          const outcome = nic === undefined ? failed(refusal('notFound')) : ok(nic)
          return { kind: 'nicAttached', outcome }
        }
        case 'detachNic':
          estate.change(action.nic, { attachment: { kind: 'none' } })
          return { kind: 'nicDetached', outcome: ok(undefined) }
        case 'deleteNic':
          estate.giveBack(action.nic, nics.get(action.nic)?.blocks ?? [])
          nics.delete(action.nic)
          return { kind: 'nicDeleted', outcome: ok(undefined) }
        case 'lendBlocks':
          return { kind: 'blocksLent', outcome: ok(estate.lend(action.nic, action.blocks)) }
        case 'returnBlocks':
          estate.giveBack(action.nic, action.blocks)
          return { kind: 'blocksReturned', outcome: ok(action.blocks) }
      }
    },
  }
  return cloud
}

/** The NICs of the cloud and what was lent to them. */
const createEstate = (isGift: boolean) => {
  const nics = new Map<NicId, CloudNic>()
  const space = createSpace()
  let made = 0

  const create = (subnet: SubnetId, fields: Partial<CloudNic>): CloudNic => {
    const number = Number(subnet.replace('subnet-', ''))
    made++
    const own = ip(`10.0.${16 * number}.${3 + made}`)
    const fixed = isGift && fields.isPrimary !== true ? [hostCidr(own)] : []
    const nic: CloudNic = {
      id: nicId(`eni-${made}`),
      mac: mac(`02:00:00:00:00:${made.toString(16).padStart(2, '0')}`),
      subnet,
      securityGroups: [],
      attachment: { kind: 'none' },
      isPrimary: false,
      isManaged: true,
      token: undefined,
      primaryAddresses: fixed.length === 0 ? [own] : [],
      gateways: [ip(`10.0.${16 * number}.1`), ip('fe80::1')],
      blocks: fixed,
      fixedBlocks: fixed,
      ...fields,
    }
    nics.set(nic.id, nic)
    return nic
  }
  const change = (id: NicId, fields: Partial<CloudNic>): CloudNic | undefined => {
    const nic = nics.get(id)
    if (nic !== undefined) nics.set(id, { ...nic, ...fields })
    return nics.get(id)
  }
  const lend = (id: NicId, request: BlockRequest): readonly Cidr[] => {
    const nic = nics.get(id)
    if (nic === undefined) return []
    const lent = Array.from({ length: request.count }, () => space.take(nic.subnet, request))
    change(id, { blocks: [...nic.blocks, ...lent] })
    return lent
  }
  const giveBack = (id: NicId, blocks: readonly Cidr[]): void => {
    const nic = nics.get(id)
    if (nic === undefined) return
    const gone = nic.blocks.filter(
      block => blocks.includes(block) && !nic.fixedBlocks.includes(block),
    )
    gone.forEach(block => space.free(block))
    change(id, { blocks: nic.blocks.filter(block => !gone.includes(block)) })
  }
  return { nics, create, change, lend, giveBack }
}

const attached = (deviceIndex: number): CloudNic['attachment'] => ({
  kind: 'attached',
  instance: here,
  deviceIndex,
  isProtected: true,
})

/** A NIC that was there before the daemon, as clouds without hot plug have them. */
export const plugBeforeBirth = (cloud: TestCloud, id: string, deviceIndex: number): void => {
  const primary = [...cloud.nics.values()].find(nic => nic.isPrimary)
  if (primary === undefined) throw new Error('the test cloud has no primary NIC')
  const number = deviceIndex + 1
  cloud.nics.set(nicId(id), {
    ...primary,
    id: nicId(id),
    mac: mac(`02:00:00:00:00:0${number}`),
    attachment: attached(deviceIndex),
    isPrimary: false,
    primaryAddresses: [ip(`10.0.16.${3 + number}`)],
  })
}

/** A failure with words a test can look for. */
export const refusal = (kind: Failure['kind'], fields: Partial<Failure> = {}): Failure => ({
  kind,
  ambiguous: false,
  call: 'TheCall',
  code: 'TheCode',
  message: '',
  retryAfterMs: undefined,
  ...fields,
})

/** The result of a call that came to nothing. */
export const refuse = (action: CloudAction, failure: Failure): CloudResult => ({
  kind: resultKinds[action.kind],
  outcome: failed(failure),
})

const resultKinds = {
  describeNode: 'nodeDescribed',
  observeCloud: 'observed',
  createNic: 'nicCreated',
  attachNic: 'nicAttached',
  detachNic: 'nicDetached',
  deleteNic: 'nicDeleted',
  lendBlocks: 'blocksLent',
  returnBlocks: 'blocksReturned',
} as const

/** Single addresses from offset 256, /28 from offset 2048; what was freed last is lent first. */
const createSpace = () => {
  const freed: Cidr[] = []
  const next = new Map<string, number>()
  const base = (subnet: SubnetId, family: Family): Cidr =>
    subnetOf(Number(subnet.replace('subnet-', ''))).cidrs[family === 4 ? 0 : 1]!
  const isOf = (subnet: SubnetId, block: Cidr, length: number): boolean =>
    block.endsWith(`/${length}`) &&
    base(subnet, block.includes(':') ? 6 : 4) === cidrOf(baseAddress(block), subnetLength(block))

  return {
    take: (subnet: SubnetId, { family, length }: Pick<BlockRequest, 'family' | 'length'>): Cidr => {
      const index = freed.findLastIndex(block => isOf(subnet, block, length))
      if (index >= 0) return freed.splice(index, 1)[0]!
      const key = `${subnet}/${length}`
      const count = next.get(key) ?? 0
      next.set(key, count + 1)
      const offset = length === 28 ? 2048 + 16 * count : 256 + count
      const address = addressAt(base(subnet, family), offset)
      return length === 28 ? cidrOf(address, 28) : hostCidr(address)
    },
    free: (block: Cidr): void => void freed.push(block),
  }
}

const baseAddress = (block: Cidr): Ip => ip(block.slice(0, block.indexOf('/')))
const subnetLength = (block: Cidr): number => (block.includes(':') ? 64 : 20)
