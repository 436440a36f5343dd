// The program that `launch.ts` starts inside the fabric's namespace: opens the fabric, serves the
// cloud's API and metadata there, reports itself, and ends with the channel to its parent.
import { apiHost } from './fabric/layout.ts'
import { openFabric } from './fabric/fabric.ts'
import type { PacketFabric } from './fabric/fabric.ts'
import { openInternet } from './fabric/internet.ts'
import type { Internet } from './fabric/internet.ts'
import { instanceNetns } from './fabric/layout.ts'
import { defaultAccount, startEmulator } from './emulator.ts'
import type { Emulator, EmulatorOptions } from './emulator.ts'
import type { InsideMessage, InsideOptions, Launched, LaunchedNode } from './launch.ts'
import type { LaunchLimits } from './launch-layout.ts'

/** Where nodes ask for metadata: the address every AWS client knows. */
const metadataHost = '169.254.169.254'

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
    const world = options.hasFabric ? await openPackets(options.run, closers) : undefined
    const emulator = await startEmulator(emulatorOptions(options, world?.fabric))
    closers.push(() => emulator.close())
    const launched = await report(options, emulator, world)
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
  fabric: PacketFabric | undefined,
): EmulatorOptions => {
  const { run, layout, limits, seed, latency, adminSocket } = options
  const netnsOf = (name: string): string => instanceNetns(run, name)
  // Said for each: `netnsOf` only names instances that are launched later.
  const instances = layout.instances.map(it => ({ ...it, netns: netnsOf(it.name) }))
  const common = { ...limits, seed, latency, adminSocket, netnsOf, vpc: { ...layout, instances } }
  if (fabric === undefined) return common
  return {
    ...common,
    ec2: { host: apiHost, port: 80 },
    metadata: { host: metadataHost, port: 80 },
    fabric,
    onFabricError: error => process.stderr.write(`fabric: ${reason(error)}\n`),
  }
}

const report = async (
  options: InsideOptions,
  emulator: Emulator,
  packets: Packets | undefined,
): Promise<Launched> => {
  const nodes = await Promise.all(
    options.layout.instances.map(({ name }) => nodeOf(emulator, name, packets !== undefined)),
  )
  const loopback = nodes[0] === undefined ? {} : metadataEnv(nodes[0].metadataEndpoint)
  return {
    run: options.run,
    pid: process.pid,
    netns: packets?.fabric.netns,
    nodes,
    endpoint: emulator.endpoint,
    env: { ...apiEnv(emulator, options.limits), ...(packets === undefined ? loopback : {}) },
    internet: packets && {
      netns: packets.internet.netns,
      address: packets.internet.address,
      udpPort: packets.internet.udpPort,
      tcpPort: packets.internet.tcpPort,
    },
    admin: { socket: options.adminSocket },
  }
}

const nodeOf = async (
  emulator: Emulator,
  name: string,
  hasPackets: boolean,
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
    metadataEndpoint: hasPackets
      ? `http://${metadataHost}`
      : await emulator.metadataEndpoint(instance.id),
  }
}

const apiEnv = (emulator: Emulator, limits: LaunchLimits): Readonly<Record<string, string>> => {
  const key = limits.accounts?.[0]?.keys[0] ?? defaultAccount.keys[0]
  return {
    AWS_ENDPOINT_URL_EC2: emulator.endpoint,
    AWS_REGION: emulator.region,
    AWS_ACCESS_KEY_ID: key.accessKeyId,
    // A key without a secret is not verified, but clients insist on having one.
    AWS_SECRET_ACCESS_KEY: key.secretAccessKey ?? 'any',
  }
}

const metadataEnv = (endpoint: string): Readonly<Record<string, string>> => ({
  AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint,
})

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
