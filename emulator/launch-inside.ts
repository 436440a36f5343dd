// The program that `launch.ts` starts inside the fabric's namespace: opens the fabric, serves the
// cloud's API and metadata there, reports itself, and ends with the channel to its parent.
import { apiHost } from './fabric/layout.ts'
import { openFabric } from './fabric/fabric.ts'
import type { PacketFabric } from './fabric/fabric.ts'
import { openInternet } from './fabric/internet.ts'
import type { Internet } from './fabric/internet.ts'
import { instanceNetns } from './fabric/layout.ts'
import { startEmulator } from './emulator.ts'
import type { Emulator, EmulatorOptions } from './emulator.ts'
import type { InsideMessage, InsideOptions, Launched, LaunchedNode } from './launch.ts'
import type { Platform } from './platform.ts'
import { loadPlatform } from './platforms.ts'

interface Running {
  readonly launched: Launched
  readonly close: () => Promise<void>
}

const open = async (options: InsideOptions): Promise<Running> => {
  const closers: (() => Promise<void>)[] = []
  const close = async (): Promise<void> => {
    for (const closer of closers.splice(0).toReversed()) await closer()
  }
  try {
    const platform = await loadPlatform(options.cloud)
    const packets = options.hasFabric ? await openPackets(options.run, closers) : undefined
    const emulator = await startEmulator(emulatorOptions(options, platform, packets?.fabric))
    closers.push(() => emulator.close())
    const launched = await report(options, { platform, emulator, packets })
    return { launched, close }
  } catch (error) {
    await close()
    throw error
  }
}

interface Packets {
  readonly fabric: PacketFabric
  readonly internet: Internet
}

const openPackets = async (run: string, closers: (() => Promise<void>)[]): Promise<Packets> => {
  const fabric = await openFabric(run)
  closers.push(() => fabric.close())
  const internet = await openInternet(run)
  closers.push(() => internet.close())
  return { fabric, internet }
}

const emulatorOptions = (
  options: InsideOptions,
  { name, traits }: Platform,
  fabric: PacketFabric | undefined,
): EmulatorOptions => {
  const { run, layout, limits, seed, latency, adminSocket } = options
  const netnsOf = (name: string): string => instanceNetns(run, name)
  // Said for each: `netnsOf` only names instances that are launched later.
  const instances = layout.instances.map(it => ({ ...it, netns: netnsOf(it.name) }))
  const vpc = { ...layout, instances }
  const files = { adminSocket, authorityFile: options.authorityFile }
  const common = { ...limits, ...files, platform: name, seed, latency, netnsOf, vpc }
  if (fabric === undefined) return common
  return {
    ...common,
    api: { host: apiHost },
    metadata: { host: traits.metadataHost, port: 80 },
    fabric,
    onFabricError: error => process.stderr.write(`fabric: ${reason(error)}\n`),
  }
}

interface Parts {
  readonly platform: Platform
  readonly emulator: Emulator
  readonly packets: Packets | undefined
}

const report = async (options: InsideOptions, parts: Parts): Promise<Launched> => {
  const { emulator, packets } = parts
  const names = options.layout.instances.map(({ name }) => name)
  const nodes = await Promise.all(names.map(name => nodeOf(parts, name)))
  return {
    run: options.run,
    cloud: options.cloud,
    pid: process.pid,
    netns: packets?.fabric.netns,
    nodes,
    endpoint: emulator.endpoint,
    env: await emulator.environment(nodes[0]?.instanceId),
    internet: packets && {
      netns: packets.internet.netns,
      address: packets.internet.address,
      address6: packets.internet.address6,
      udpPort: packets.internet.udpPort,
      tcpPort: packets.internet.tcpPort,
    },
    admin: { socket: options.adminSocket },
  }
}

const nodeOf = async (
  { platform, emulator, packets }: Parts,
  name: string,
): Promise<LaunchedNode> => {
  const { instances, nics } = emulator.state()
  const instance = instances.find(other => other.name === name)
  if (instance === undefined) throw new Error(`instance ${name} was not launched`)
  const nic = nics.find(
    ({ attachment }) => attachment?.instanceId === instance.id && attachment.deviceIndex === 0,
  )
  return {
    name,
    instanceId: instance.id,
    instanceType: instance.type,
    netns: instance.netns,
    primaryAddress: nic?.primaryAddress ?? '',
    metadataEndpoint:
      packets === undefined
        ? await emulator.metadataEndpoint(instance.id)
        : `http://${platform.traits.metadataHost}`,
    env: await emulator.environment(instance.id),
  }
}

const reason = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message}: ${reason(error.cause)}`
}

const say = (message: InsideMessage): void => {
  // The parent may be gone already; then nobody needs to know.
  if (process.connected) process.send?.(message, () => undefined)
}

const main = (): void => {
  let running: Promise<Running> | undefined
  let isEnding = false
  const end = async (): Promise<void> => {
    if (isEnding) return
    isEnding = true
    await (await running?.catch(() => undefined))?.close()
    process.exit(0)
  }
  process.once('message', (options: InsideOptions) => {
    running = open(options)
    running.then(
      ({ launched }) => say({ kind: 'ready', launched }),
      (error: unknown) => say({ kind: 'failed', message: reason(error) }),
    )
  })
  process.on('disconnect', () => void end())
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => void end())
}

main()
