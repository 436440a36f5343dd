// Composes one emulated cloud: the model, the faces that speak AWS's protocols, the metadata
// service and, when given, the packet fabric. A test starts it in process; main.ts starts it as a
// program.
import { chmod } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { ListenOptions } from 'node:net'
import { createAdminServer } from './admin.ts'
import { type CallCounts, type CallLog, createCallLog } from './model/calls.ts'
import { createFace } from './aws/face.ts'
import { type KeyRing, createKeyRing } from './aws/keys.ts'
import { type MetadataOptions, createMetadataServer, instanceByAddress } from './aws/metadata.ts'
import { createEc2Server } from './aws/server.ts'
import { regionOf } from './aws/shapes.ts'
import { createThrottle } from './aws/throttle.ts'
import { typeLimits } from './aws/types.ts'
import type { Account } from './accounts.ts'
import { type Built, type DescribedInstance, type Description } from './description.ts'
import { buildVpc, defaultNetns, launch } from './description.ts'
import { type Clock, systemClock } from './model/clock.ts'
import type { Fault, FaultBoard } from './model/faults.ts'
import { instanceByName, terminateInstance } from './model/instances.ts'
import { type LatencyName, type LatencyProfile, latencyProfiles } from './model/latency.ts'
import { type Instance, type Nic, nicStatus } from './model/types.ts'
import { type World, allNics, createWorld } from './model/world.ts'
import type { Fabric } from './ports.ts'
import { type Wires, connectFabric } from './wires.ts'

/** Where a face listens; port 0 chooses a free one. */
interface ListenAddress {
  readonly host: string
  readonly port: number
}

export interface EmulatorOptions {
  readonly seed: number
  readonly vpc: Description
  /** Left out: `fast`. */
  readonly latency?: LatencyName | LatencyProfile
  /** Left out: one account, key `AKIAEMULATOR00000000`, secret `emulator-secret`. */
  readonly accounts?: readonly Account[]
  /** Actions that instance roles may not call, by role name. */
  readonly deniedToRoles?: Readonly<Record<string, readonly string[]>>
  /** Multiplies every documented token bucket. */
  readonly throttleFactor?: number
  /** NICs per Region; left out: 5000. */
  readonly nicsMax?: number
  /** Left out: a free loopback port. */
  readonly ec2?: ListenAddress
  /** One metadata server for all instances, told apart by their addresses: inside the fabric. */
  readonly metadata?: ListenAddress
  /** Path of the admin face's unix socket; left out: none. */
  readonly adminSocket?: string
  readonly clock?: Clock
  readonly fabric?: Fabric
  /** Namespace of an instance that is launched later and names none; left out: `ew-` and name. */
  readonly netnsOf?: (name: string) => string
  /** The fabric could not do something; left out: the error ends the process. */
  readonly onFabricError?: (error: unknown) => void
}

/** A running emulator. */
export interface Emulator {
  /** URL for `AWS_ENDPOINT_URL_EC2`. */
  readonly endpoint: string
  readonly region: string
  readonly ids: Built
  /** URL for `AWS_EC2_METADATA_SERVICE_ENDPOINT`: a loopback server that takes every caller for
   * this instance (id or name). */
  readonly metadataEndpoint: (instance: string) => Promise<string>
  /** Calls by action. */
  readonly calls: () => Readonly<Record<string, number>>
  /** Calls by action and result. */
  readonly results: () => CallCounts
  readonly faults: FaultBoard
  readonly addFault: (fault: Fault) => string
  readonly state: () => EmulatorState
  readonly runInstance: (instance: DescribedInstance) => Instance
  /** Id or name. */
  readonly terminateInstance: (instance: string) => Instance
  /** The model, for tests that look behind the faces. */
  readonly world: World
  /** Resolves when the fabric has caught up with the model. */
  readonly settled: () => Promise<void>
  readonly close: () => Promise<void>
}

/** The true state, without any lag. */
interface EmulatorState {
  readonly instances: readonly Instance[]
  readonly nics: readonly (Nic & { readonly status: string })[]
  readonly ids: Built
}

/** Used when no accounts are given. */
export const defaultAccount = {
  id: '123456789012',
  keys: [{ accessKeyId: 'AKIAEMULATOR00000000', secretAccessKey: 'emulator-secret' }],
} as const satisfies Account

/** Starts all faces; rejects when an address cannot be listened on. */
export const startEmulator = async (options: EmulatorOptions): Promise<Emulator> => {
  const world = worldOf(options)
  const ids = buildVpc(world, options.vpc)
  const parts = partsOf(options, world)
  const wires = wiresOf(options, world)
  const ec2 = createEc2Server(createFace({ ...parts, world }))
  const port = await listen(ec2, options.ec2 ?? loopback)
  const servers = [ec2]
  if (options.metadata !== undefined) {
    const ask = (address: string) => instanceByAddress(world, address)
    const server = createMetadataServer({ ...parts.metadata, ask })
    await listen(server, options.metadata)
    servers.push(server)
  }
  const emulator: Emulator = {
    ...steering({ ...parts, world, ids }),
    endpoint: `http://${options.ec2?.host ?? loopback.host}:${port}`,
    region: parts.metadata.region,
    metadataEndpoint: metadataEndpoints(world, parts.metadata, servers),
    settled: async () => wires?.idle(),
    close: () => close(world, servers, wires),
  }
  if (options.adminSocket !== undefined) {
    const admin = createAdminServer(emulator)
    await listen(admin, { path: options.adminSocket })
    await chmod(options.adminSocket, 0o600)
    servers.push(admin)
  }
  await wires?.idle()
  return emulator
}

const loopback: ListenAddress = { host: '127.0.0.1', port: 0 }

const worldOf = (options: EmulatorOptions): World => {
  const { seed, latency = 'fast', nicsMax = 5000, clock = systemClock } = options
  return createWorld({
    seed,
    clock,
    latency: typeof latency === 'string' ? latencyProfiles[latency] : latency,
    // Documented defaults: EC2 "NICs per Region", VPC "Security groups per NIC", tags.
    quotas: { nicsMax, groupsPerNicMax: 5, tagsMax: 50 },
    typeLimits,
    nameId: (kind, hex) => `${idPrefixes[kind]}-${hex.slice(0, 17)}`,
  })
}

const idPrefixes = {
  vpc: 'vpc',
  subnet: 'subnet',
  group: 'sg',
  instance: 'i',
  nic: 'eni',
  attachment: 'eni-attach',
} as const

interface Parts {
  readonly keys: KeyRing
  readonly throttle: ReturnType<typeof createThrottle>
  readonly calls: CallLog
  readonly ownerId: string
  readonly netnsOf: (name: string) => string
  readonly metadata: Omit<MetadataOptions, 'ask'>
}

const partsOf = (options: EmulatorOptions, world: World): Parts => {
  const accounts = options.accounts ?? [defaultAccount]
  const ownerId = accounts[0]?.id ?? defaultAccount.id
  const keys = createKeyRing(world.chance, accounts.flatMap(accountKeys))
  const zone = options.vpc.subnets[0]?.zone ?? 'us-east-1a'
  const metadata = {
    world,
    keys,
    ownerId,
    region: regionOf(zone),
    deniedToRoles: options.deniedToRoles ?? {},
  }
  return {
    keys,
    throttle: createThrottle(options.throttleFactor),
    calls: createCallLog(),
    ownerId,
    netnsOf: options.netnsOf ?? defaultNetns,
    metadata,
  }
}

const accountKeys = (account: Account): Parameters<typeof createKeyRing>[1] =>
  account.keys.map(key => ({
    accessKeyId: key.accessKeyId,
    accountId: account.id,
    secretAccessKey: key.secretAccessKey,
    sessionToken: undefined,
    expiresAt: undefined,
    deniedActions: key.deniedActions ?? [],
    instanceId: undefined,
    arn: `arn:aws:iam::${account.id}:user/${key.accessKeyId}`,
  }))

const wiresOf = (options: EmulatorOptions, world: World): Wires | undefined => {
  const fail = (error: unknown): never => {
    throw error
  }
  return options.fabric && connectFabric(world, options.fabric, options.onFabricError ?? fail)
}

const steering = (parts: Parts & { readonly world: World; readonly ids: Built }) => {
  const { world, ids, calls, netnsOf } = parts
  const now = (): number => world.clock.now()
  return {
    world,
    ids,
    calls: calls.totals,
    results: calls.counts,
    faults: world.faults,
    addFault: (fault: Fault) => world.faults.add(fault),
    state: () => ({
      ids,
      instances: [...world.instances.values()],
      nics: allNics(world).map(nic => ({ ...nic, status: nicStatus(nic, now()) })),
    }),
    runInstance: (instance: DescribedInstance) =>
      launch(world, { netns: netnsOf(instance.name), ...instance }, { ...ids, isBooted: false }),
    terminateInstance: (instance: string) => terminateInstance(world, idOf(world, instance)),
  }
}

const idOf = (world: World, instance: string): string =>
  world.instances.has(instance) ? instance : instanceByName(world, instance).id

const metadataEndpoints = (
  world: World,
  options: Omit<MetadataOptions, 'ask'>,
  servers: Server[],
): Emulator['metadataEndpoint'] => {
  const endpoints = new Map<string, Promise<string>>()
  const start = async (id: string): Promise<string> => {
    const server = createMetadataServer({ ...options, ask: () => ({ instanceId: id, hops: 1 }) })
    servers.push(server)
    return `http://${loopback.host}:${await listen(server, loopback)}`
  }
  return instance => {
    const id = idOf(world, instance)
    const endpoint = endpoints.get(id) ?? start(id)
    endpoints.set(id, endpoint)
    return endpoint
  }
}

const listen = async (server: Server, at: ListenOptions | ListenAddress): Promise<number> => {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...at }, resolve)
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

const close = async (
  world: World,
  servers: readonly Server[],
  wires: Wires | undefined,
): Promise<void> => {
  world.isClosed = true
  await Promise.all(
    servers.map(server => {
      const closed = new Promise(resolve => server.close(resolve))
      server.closeAllConnections()
      return closed
    }),
  )
  await wires?.close()
}
