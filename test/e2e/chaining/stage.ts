// Two emulated nodes on which chains of plugins run, ours and Debian's together, as our own runtime
// runs them: each plugin is started in the namespace of the first node, as on a real one.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startNodes, type DemoNode, type NodesOptions } from '#cli/demo/nodes.ts'
import { parseNetwork, type Network } from '#cni/runtime/network.ts'
import { createRuntime, type Runtime } from '#cni/runtime/runtime.ts'
import type { Parsed } from '#cni/spec/failure.ts'
import type { JsonObject } from '#cni/spec/json.ts'
import { inNetns, runCommand } from '#emulator/fabric/command.ts'
import { internetPort, netnsPath, vpcNetns } from '#emulator/fabric/layout.ts'
import { nodeBinary, probe, startEcho } from '#emulator/fabric/node.ts'
import { tableName } from '#emulator/fabric/ruleset.ts'
import { createClock } from '#runtime/clock.ts'

/** Where Debian's containernetworking-plugins lie. */
export const installed = '/usr/lib/cni'

const others = [
  'bandwidth',
  'bridge',
  'firewall',
  'loopback',
  'macvlan',
  'portmap',
  'ptp',
  'tuning',
] as const

export type Pod = {
  readonly netns: string
  readonly containerId: string
  /** What a runtime tells at every call, not at ADD alone. */
  capabilities: JsonObject
  /** What the last ADD gave; empty before. */
  result: JsonObject
  ips: readonly string[]
}

export type Stage = {
  readonly near: DemoNode
  readonly far: DemoNode
  readonly runtime: Runtime
  /** For files of plugins; goes with the stage. */
  readonly directory: string
  /** The network of these plugins; ours knows its daemon. */
  network(name: string, plugins: readonly JsonObject[], cniVersion?: string): Network
  /** A host of the internet that answers. */
  readonly internet: { readonly netns: string; readonly address: string; readonly tcpPort: number }
  /** As with a rule in every security group that lets the internet in. */
  letInternetIn(): Promise<void>
  /** Our keys, wherever they stand. */
  readonly ours: JsonObject
  /** Calls ours in 1.1.0 with the configuration of the network's first plugin, as that would. */
  callIpam(verb: 'GC' | 'STATUS' | 'VERSION', network: Network, keys?: JsonObject): Promise<Called>
  /** A further plugin, as a shell script. */
  addPlugin(type: string, script: string): Promise<void>
  makePod(): Promise<Pod>
  /** ADD; the result is kept in the pod. */
  add(network: Network, pod: Pod, capabilities?: JsonObject): Promise<JsonObject>
  check(network: Network, pod: Pod): Promise<string>
  del(network: Network, pod: Pod): Promise<string>
  removeNamespace(pod: Pod): Promise<void>
  /** A command in a namespace. */
  run(netns: string, ...argv: readonly string[]): Promise<string>
  /** Answers on a port over both protocols, until the stage closes. */
  listen(place: Pick<Pod, 'netns' | 'ips'>, port: number): Promise<void>
  close(): Promise<readonly string[]>
}

export type Called = { readonly exitCode: number | null; readonly stdout: string }

/** Starts the nodes; the pool of each is as the options say. */
export const openStage = async (options: Partial<NodesOptions> = {}): Promise<Stage> => {
  const pool = { warmTarget: 3, blockSize: 32, coolingSeconds: 1 } as const
  const common = { nodes: 2, instanceType: 't3.small', seed: 1, latency: 'fast', pool } as const
  const nodes = await startNodes({ ...common, ...options })
  const [near, far] = nodes.nodes
  if (near === undefined || far === undefined) throw new Error('two nodes were asked for')
  const directory = await mkdtemp(join(tmpdir(), 'ew-chain-'))
  const runtime = createRuntime({
    pluginPath: [await binariesOn(near, directory)],
    cacheDirectory: join(directory, 'cache'),
    environment: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    clock: createClock(),
    timeoutMs: 30_000,
  })
  const { internet } = nodes.emulator
  if (internet === undefined) throw new Error('the emulator has no internet')
  const ours = { socket: near.socket, timeoutSeconds: 20 }
  const ears: { readonly netns: string; close(): Promise<void> }[] = []
  // A process in it would keep a namespace that has no name any more.
  const deafen = async (netns?: string): Promise<void> => {
    for (const ear of ears) if (netns === undefined || ear.netns === netns) await ear.close()
  }
  const pods: Pod[] = []
  let made = 0
  const run = (netns: string, ...argv: readonly string[]) => runCommand({ netns, argv })
  const removeNamespace = async (pod: Pod): Promise<void> => {
    await deafen(pod.netns)
    await runCommand({ netns: undefined, argv: ['ip', 'netns', 'delete', pod.netns] })
    pods.splice(pods.indexOf(pod), 1)
  }
  return {
    near,
    far,
    runtime,
    directory,
    ours,
    internet,
    letInternetIn: async () => {
      const rule = `insert rule ${tableName} receiving iifname ${internetPort} accept`
      await run(vpcNetns(nodes.run), 'nft', ...rule.split(' '))
    },
    callIpam: (verb, network, keys = {}) => {
      const { raw } = network.plugins[0] ?? { raw: {} }
      const config = { ...raw, cniVersion: '1.1.0', name: network.name, ...keys }
      return call(join(directory, 'bin'), verb, JSON.stringify(config))
    },
    network: (name, plugins, cniVersion = '1.0.0') =>
      unwrap(parseNetwork(JSON.stringify({ cniVersion, name, plugins }), 'the test')),
    addPlugin: (type, script) =>
      writeFile(join(directory, 'bin', type), `#!/bin/sh\n${script}\n`, { mode: 0o755 }),
    makePod: async () => {
      const netns = `ew-${nodes.run}-chain-${++made}`
      await runCommand({ netns: undefined, argv: ['ip', 'netns', 'add', netns] })
      const pod: Pod = { netns, containerId: `c-${netns}`, capabilities: {}, result: {}, ips: [] }
      pods.push(pod)
      return pod
    },
    add: async (network, pod, capabilities = {}) => {
      pod.capabilities = capabilities
      const result = unwrap(await runtime.add(network, attachmentOf(pod)))
      pod.result = result
      pod.ips = ipsOf(result)
      return result
    },
    check: async (network, pod) => told(await runtime.check(network, attachmentOf(pod))),
    del: async (network, pod) => told(await runtime.del(network, attachmentOf(pod))),
    removeNamespace,
    run,
    listen: async ({ netns, ips }, port) => {
      const echo = await startEcho({ netns, port, addresses: ips })
      ears.push({ netns, close: () => echo.close() })
    },
    close: async () => {
      await deafen()
      for (const pod of pods.slice()) await removeNamespace(pod)
      await rm(directory, { recursive: true, force: true })
      return nodes.close()
    },
  }
}

const call = async (bin: string, verb: string, stdin: string): Promise<Called> => {
  const env = { CNI_COMMAND: verb, CNI_PATH: bin }
  const child = spawn(join(bin, 'eniway'), [], { env, stdio: ['pipe', 'pipe', 'inherit'] })
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stdin.end(stdin)
  const [exitCode] = (await once(child, 'close')) as [number | null]
  return { exitCode, stdout }
}

// A plugin works on the namespace it is started in: this machine's own stays as it is.
const binariesOn = async (node: DemoNode, directory: string): Promise<string> => {
  const bin = join(directory, 'bin')
  await mkdir(bin)
  const blind = join(directory, 'blind')
  await mkdir(blind)
  for (const tool of ['iptables', 'iptables-save']) {
    await symlink(`/usr/sbin/${tool}`, join(blind, tool))
  }
  const enter = `exec /usr/bin/nsenter --net=${netnsPath(node.netns)} --`
  const paths = [...others.map(type => join(installed, type)), join(node.cniBinDir, 'eniway')]
  for (const path of paths) {
    const name = path.slice(path.lastIndexOf('/') + 1)
    const before = name === 'portmap' ? portmapOnCheck(blind) : ''
    await writeFile(join(bin, name), `#!/bin/sh\n${before}${enter} ${path}\n`, { mode: 0o755 })
  }
  return bin
}

// Debian's portmap 1.1.1 looks for the rules of IPv4 in ip6tables as well, and so fails every CHECK
// on a machine that has it: it is not to find it then.
const portmapOnCheck = (path: string): string => `[ "$CNI_COMMAND" = CHECK ] && PATH='${path}'\n`

const attachmentOf = ({ netns, containerId, capabilities }: Pod) => ({
  containerId,
  ifName: 'eth0',
  netns: netnsPath(netns),
  args: [],
  capabilityArgs: capabilities,
})

const unwrap = <T>(outcome: Parsed<T>): T => {
  if (outcome.kind === 'parsed') return outcome.value
  throw new Error(`${outcome.code} ${outcome.message}; ${outcome.details}`)
}

const told = (outcome: Parsed<unknown>): string =>
  outcome.kind === 'parsed' ? 'ok' : `${outcome.code} ${outcome.message}`

const ipsOf = (result: JsonObject): readonly string[] =>
  ((result['ips'] ?? []) as readonly { readonly address: string }[]).map(
    ({ address }) => address.split('/', 1)[0] ?? '',
  )

/** Asks over UDP and TCP; an answer is the address the other side saw, or why there is none. */
export const ask = async (netns: string, to: string, port: number): Promise<readonly string[]> => {
  const results = await Promise.all(
    (['udp', 'tcp'] as const).map(protocol => probe({ netns, protocol, to, port, ms: 1500 })),
  )
  return results.map(result => (result.ok ? result.reply.from : result.error))
}

export const twice = (text: string): readonly string[] => [text, text]

const flow = join(import.meta.dirname, 'flow-program.ts')

/** Sends so many bytes to a place in another namespace; the answer is bits per second. */
export const rateOf = async (
  from: string,
  to: { readonly netns: string; readonly address: string },
  bytes: number,
): Promise<number> => {
  const port = '7100'
  const argv = inNetns(to.netns, [nodeBinary(), flow, 'serve', to.address, port])
  const server = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(server, 'exit')
  try {
    await once(createInterface({ input: server.stdout }), 'line')
    const command = [nodeBinary(), flow, 'send', to.address, port, String(bytes)]
    const sent = JSON.parse(await runCommand({ netns: from, argv: command })) as {
      readonly bytes: number
      readonly seconds: number
    }
    if (sent.bytes !== bytes) throw new Error(`${sent.bytes} of ${bytes} bytes arrived`)
    return (sent.bytes * 8) / sent.seconds
  } finally {
    server.stdin.end()
    await ended
  }
}
