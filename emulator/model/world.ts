// The state of one emulated cloud and the few primitives by which it changes: find, put, later.
// What a call may do stands in nics.ts, addresses.ts and instances.ts; here is no policy.
import { type Cidr, type Ip, hostCidr } from '#core/ip.ts'
import { type Chance, chanceOf } from './chance.ts'
import type { Clock } from './clock.ts'
import { type FaultBoard, type Occasion, createFaultBoard } from './faults.ts'
import { type History, type View, append, latest, seenBy } from './history.ts'
import { type LatencyProfile, type Span, draw } from './latency.ts'
import { found } from './refusal.ts'
import type { Space } from './space.ts'
import type { Instance, Nic, SecurityGroup, Subnet, Vpc } from './types.ts'
import type { Traits } from '#emulator/platform.ts'

/** Everything that is fixed for the life of a world: whose cloud it is, and how it goes. */
export interface WorldOptions extends Traits {
  readonly seed: number
  readonly clock: Clock
  readonly latency: LatencyProfile
}

export type IdKind = 'vpc' | 'subnet' | 'group' | 'instance' | 'nic' | 'attachment'

/** One emulated cloud. Only the functions of this folder change it. */
export interface World {
  readonly options: WorldOptions
  readonly clock: Clock
  readonly chance: Chance
  readonly vpcs: Map<string, Vpc>
  readonly subnets: Map<string, Subnet>
  /** Address accounting by subnet id; `six` is undefined for a subnet without IPv6. */
  readonly spaces: Map<string, { readonly four: Space; readonly six: Space | undefined }>
  readonly groups: Map<string, SecurityGroup>
  readonly instances: Map<string, Instance>
  readonly nics: Map<string, History<Nic>>
  /** When a new id becomes known to calls. */
  readonly knownAt: Map<string, number>
  readonly faults: FaultBoard
  /** Called after every change of a NIC or instance, with its id. */
  readonly listeners: Set<(change: Change) => void>
  isClosed: boolean
}

/** What a listener is told; it looks up the new state itself. */
export type Change =
  | { readonly kind: 'nic'; readonly id: string }
  | { readonly kind: 'instance'; readonly id: string }

/** A cloud with nothing in it. */
export const createWorld = (options: WorldOptions): World => {
  const chance = chanceOf(options.seed)
  return { ...emptyMaps(), options, clock: options.clock, chance, faults: createFaultBoard(chance) }
}

const emptyMaps = (): Omit<World, 'options' | 'clock' | 'chance' | 'faults'> => ({
  vpcs: new Map(),
  subnets: new Map(),
  spaces: new Map(),
  groups: new Map(),
  instances: new Map(),
  nics: new Map(),
  knownAt: new Map(),
  listeners: new Set(),
  isClosed: false,
})

/** A fresh id; the n-th of its kind depends on the seed only. */
export const newId = (world: World, kind: IdKind): string =>
  world.options.nameId(kind, world.chance.hex(`id/${kind}`, 64))

/** Draws one of the profile's delays. */
export const delay = (world: World, name: keyof LatencyProfile): number =>
  draw(world.chance, `latency/${name}`, world.options.latency[name] as Span)

/** Does something after a delay, unless the world was closed; without delay, at once. */
export const later = (world: World, ms: number, act: () => void): void => {
  if (!(ms > 0)) return act()
  void world.clock.sleep(ms).then(() => {
    if (!world.isClosed) act()
  })
}

/** The true NIC; refuses ids that do not exist or are too new to be known. */
export const nicOf = (world: World, id: string): Nic => {
  const known = (world.knownAt.get(id) ?? 0) <= world.clock.now()
  return found(known ? latest(world.nics.get(id) ?? []) : undefined, 'nic', id)
}

/** The true NICs, without those that were deleted. */
export const allNics = (world: World): readonly Nic[] =>
  [...world.nics.values()].map(history => latest(history)).filter(nic => nic !== undefined)

/** The NICs as an observer sees them now. */
export const nicsSeen = (world: World, view: View): readonly Nic[] => {
  const now = world.clock.now()
  return [...world.nics.entries()]
    .filter(([id]) => (world.knownAt.get(id) ?? 0) <= now)
    .map(([, history]) => seenBy(history, view, now))
    .filter(nic => nic !== undefined)
}

/** The instance; refuses ids that do not exist or are too new to be known. */
export const instanceOf = (world: World, id: string): Instance => {
  const known = (world.knownAt.get(id) ?? 0) <= world.clock.now()
  return found(known ? world.instances.get(id) : undefined, 'instance', id)
}

/** True when things of that place can be in that zone: it is the zone, or the zone's region. */
export const spans = (world: World, place: string, zone: string): boolean =>
  place === zone || place === world.options.regionOf(zone)

/** The NICs attached to an instance, in any state of attachment, by device index. */
export const nicsOfInstance = (world: World, instanceId: string): readonly Nic[] =>
  allNics(world)
    .filter(nic => nic.attachment?.instanceId === instanceId)
    .toSorted((a, b) => (a.attachment?.deviceIndex ?? 0) - (b.attachment?.deviceIndex ?? 0))

/** Records a NIC's new state; each observer sees it when its own lag is over. */
export const putNic = (world: World, id: string, value: Nic | undefined): void => {
  const now = world.clock.now()
  const isNew = !world.nics.has(id)
  const metadata = now + delay(world, 'metadataMs') + lateness(world, value)
  const from = {
    describe: isNew ? now : now + delay(world, 'staleMs'),
    metadata,
    metadataBlocks: metadata + delay(world, 'metadataBlocksMs'),
  }
  if (isNew) world.knownAt.set(id, now + delay(world, 'newIdMs'))
  world.nics.set(id, append(world.nics.get(id) ?? [], { value, from }, now))
  tell(world, { kind: 'nic', id })
}

/** Records a NIC's state as if it had been so for long: every observer sees it at once. */
export const settleNic = (world: World, nic: Nic): void => {
  const now = world.clock.now()
  world.knownAt.set(nic.id, now)
  const from = { describe: now, metadata: now, metadataBlocks: now }
  world.nics.set(nic.id, [{ value: nic, from }])
  tell(world, { kind: 'nic', id: nic.id })
}

/** Replaces an instance. */
export const putInstance = (world: World, instance: Instance): void => {
  world.instances.set(instance.id, instance)
  tell(world, { kind: 'instance', id: instance.id })
}

/** What faults may strike when something happens to an instance. */
export const occasionOf = (world: World, instanceId: string | undefined): Occasion => {
  const instance = world.instances.get(instanceId ?? '')
  return instance === undefined ? {} : { instance: [instance.id, instance.name] }
}

const lateness = (world: World, nic: Nic | undefined): number =>
  world.faults
    .strike(['metadataLate'], occasionOf(world, nic?.attachment?.instanceId))
    .reduce((sum, effect) => sum + effect.ms, 0)

const tell = (world: World, change: Change): void => {
  for (const listener of world.listeners) listener(change)
}

/** Every block of a NIC: addresses as /32 and /128, and prefixes; the primary address first. */
export const blocksOf = (nic: Nic): readonly Cidr[] => [
  ...[nic.primaryAddress, ...nic.addresses].map((address: Ip) => hostCidr(address)),
  ...nic.prefixes,
  ...nic.addresses6.map((address: Ip) => hostCidr(address)),
  ...nic.prefixes6,
]
