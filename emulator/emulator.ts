// Composes one emulated cloud: the model, the faces that speak the platform's protocols, and, when
// given, the packet fabric. A test starts it in process; main.ts starts it as a program.
import { chmod } from 'node:fs/promises'
import type { Server } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { ListenOptions } from 'node:net'
import type { Account } from './accounts.ts'
import { createAdminServer } from './admin.ts'
import { newAuthority } from './authority.ts'
import { instanceByAddress } from './askers.ts'
import { type Built, type DescribedInstance, type Description } from './description.ts'
import { buildVpc, defaultNetns, launch } from './description.ts'
import { type CallCounts, type CallLog, createCallLog } from './model/calls.ts'
import { type Clock, systemClock } from './model/clock.ts'
import type { Fault, FaultBoard } from './model/faults.ts'
import { maintain } from './model/devices.ts'
import { instanceByName, terminateInstance } from './model/instances.ts'
import { type LatencyName, type LatencyProfile, latencyProfile } from './model/latency.ts'
import { type Instance, type Nic, nicStatus } from './model/types.ts'
import { type World, allNics, createWorld } from './model/world.ts'
import type { Platform, PlatformName, PlatformParts, PlatformServers } from './platform.ts'
import { loadPlatform } from './platforms.ts'
import type { Fabric } from './ports.ts'
import { type Wires, connectFabric } from './wires.ts'

export { defaultAccount } from './aws/account.ts'

/** Where a face listens; port 0 chooses a free one. */
interface ListenAddress {
  readonly host: string
  readonly port: number
}

export interface EmulatorOptions {
  /** Left out: `aws`. */
  readonly platform?: PlatformName
  readonly seed: number
  readonly vpc: Description
  /** Left out: `fast`. */
  readonly latency?: LatencyName | LatencyProfile
  /** Left out: the platform's own, whose key `environment` carries. */
  readonly accounts?: readonly Account[]
  /** Actions that instance roles may not call, by role name. */
  readonly deniedToRoles?: Readonly<Record<string, readonly string[]>>
  /** Multiplies every documented request limit. */
  readonly throttleFactor?: number
  /** NICs per region; left out: as documented. */
  readonly nicsMax?: number
  /** Left out: a free loopback port. Port left out: the scheme's own, 80 or 443. */
  readonly api?: { readonly host: string; readonly port?: number }
  /** One metadata server for all instances, told apart by their addresses: inside the fabric. */
  readonly metadata?: ListenAddress
  /** Path of the admin face's unix socket; left out: none. */
  readonly adminSocket?: string
  /** Path for the certificate that clients of an https API must trust; left out: a new one. */
  readonly authorityFile?: string
  readonly clock?: Clock
  readonly fabric?: Fabric
  /** Namespace of an instance that is launched later and names none; left out: `ew-` and name. */
  readonly netnsOf?: (name: string) => string
  /** The fabric could not do something; left out: the error ends the process. */
  readonly onFabricError?: (error: unknown) => void
}

/** A running emulator. */
export interface Emulator {
  readonly platform: PlatformName
  /** URL of the cloud's API. */
  readonly endpoint: string
  readonly region: string
  readonly ids: Built
  /** URL of a loopback server that takes every caller for this instance (id or name). */
  readonly metadataEndpoint: (instance: string) => Promise<string>
  /**
   * What leads an official SDK here, credentials included; with an instance (id or name) that has
   * no metadata service at its real address, to that instance's `metadataEndpoint` too.
   */
  readonly environment: (instance?: string) => Promise<Readonly<Record<string, string>>>
  /** Calls by action. */
  readonly calls: () => Readonly<Record<string, number>>
  /** Calls by action and result. */
  readonly results: () => CallCounts
  readonly faults: FaultBoard
  readonly addFault: (fault: Fault) => string
  readonly state: () => EmulatorState
  readonly runInstance: (instance: DescribedInstance) => Instance
  /** Takes the fast path from an accelerated machine (id or name) for some milliseconds. */
  readonly maintain: (instance: string, ms: number) => void
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

/** Starts all faces; rejects when an address cannot be listened on. */
export const startEmulator = async (options: EmulatorOptions): Promise<Emulator> => {
  const platform = await loadPlatform(options.platform ?? 'aws')
  const world = worldOf(options, platform)
  const ids = buildVpc(world, options.vpc)
  const wires = wiresOf(options, world)
  const authority = newAuthority(options.authorityFile)
  const parts = partsOf(options, { platform, world, ids, writeAuthority: authority.write })
  const faces = await platform.open(parts)
  const servers: AnyServer[] = [faces.api]
  const endpoint = await openApi(options, faces)
  if (options.metadata !== undefined) {
    const server = faces.createMetadata(address => instanceByAddress(world, address))
    await listen(server, options.metadata)
    servers.push(server)
  }
  const metadataEndpoint = metadataEndpoints(world, faces, servers)
  const isReal = options.metadata !== undefined
  const emulator: Emulator = {
    ...steering(parts),
    platform: platform.name,
    endpoint,
    region: parts.region,
    metadataEndpoint,
    environment: async instance => {
      const isNeeded = instance !== undefined && !isReal
      const metadata = isNeeded ? await metadataEndpoint(instance) : undefined
      return faces.environment({ api: endpoint, metadata })
    },
    settled: async () => wires?.idle(),
    close: async () => {
      await close(world, servers, wires)
      await authority.remove()
    },
  }
  if (options.adminSocket !== undefined) {
    servers.push(await openAdmin(emulator, options.adminSocket))
  }
  await wires?.idle()
  return emulator
}

type AnyServer = Server | HttpsServer

const loopback: ListenAddress = { host: '127.0.0.1', port: 0 }

const worldOf = (options: EmulatorOptions, { traits }: Platform): World => {
  const { seed, latency = 'fast', clock = systemClock } = options
  const { nicsMax = traits.quotas.nicsMax } = options
  return createWorld({
    ...traits,
    quotas: { ...traits.quotas, nicsMax },
    seed,
    clock,
    latency: typeof latency === 'string' ? latencyProfile(latency, traits.pace) : latency,
  })
}

const partsOf = (
  options: EmulatorOptions,
  made: { readonly platform: Platform } & Pick<PlatformParts, 'world' | 'ids' | 'writeAuthority'>,
): PlatformParts => {
  const { platform, ...rest } = made
  const { defaults, regionOf } = platform.traits
  return {
    ...rest,
    accounts: options.accounts ?? [defaults.account],
    calls: createCallLog(),
    throttleFactor: options.throttleFactor,
    deniedToRoles: options.deniedToRoles ?? {},
    netnsOf: options.netnsOf ?? defaultNetns,
    region: regionOf(options.vpc.subnets[0]?.zone ?? defaults.zone),
    apiHost: options.api?.host ?? loopback.host,
  }
}

const openApi = async (options: EmulatorOptions, faces: PlatformServers): Promise<string> => {
  const { host, port = faces.scheme === 'https' ? 443 : 80 } = options.api ?? loopback
  return `${faces.scheme}://${host}:${await listen(faces.api, { host, port })}`
}

const openAdmin = async (emulator: Emulator, path: string): Promise<Server> => {
  const admin = createAdminServer(emulator)
  await listen(admin, { path })
  await chmod(path, 0o600)
  return admin
}

const wiresOf = (options: EmulatorOptions, world: World): Wires | undefined => {
  const fail = (error: unknown): never => {
    throw error
  }
  return options.fabric && connectFabric(world, options.fabric, options.onFabricError ?? fail)
}

const steering = (
  parts: Pick<PlatformParts, 'world' | 'ids' | 'netnsOf'> & { readonly calls: CallLog },
) => {
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
    maintain: (instance: string, ms: number) => maintain(world, idOf(world, instance), ms),
    terminateInstance: (instance: string) => terminateInstance(world, idOf(world, instance)),
  }
}

const idOf = (world: World, instance: string): string =>
  world.instances.has(instance) ? instance : instanceByName(world, instance).id

const metadataEndpoints = (
  world: World,
  faces: PlatformServers,
  servers: AnyServer[],
): Emulator['metadataEndpoint'] => {
  const endpoints = new Map<string, Promise<string>>()
  const start = async (id: string): Promise<string> => {
    const server = faces.createMetadata(() => ({ instanceId: id, hops: 1 }))
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

const listen = async (server: AnyServer, at: ListenOptions | ListenAddress): Promise<number> => {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...at }, resolve)
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

const close = async (
  world: World,
  servers: readonly AnyServer[],
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
