// Speaks the Kubernetes container runtime interface to one runtime, as kubelet does.

import { join } from 'node:path'
import { credentials, loadPackageDefinition, type makeClientConstructor } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

/** A pod as kubelet would ask for it. */
export type Pod = {
  readonly name: string
  readonly uid: string
  readonly cgroupParent: string
  readonly dns?: { readonly servers: readonly string[]; readonly searches: readonly string[] }
  readonly ports?: readonly { readonly containerPort: number; readonly hostPort: number }[]
  readonly annotations?: Readonly<Record<string, string>>
}

/** NetworkReady as the runtime reports it; reason and message are empty when it is true. */
export type NetworkCondition = {
  readonly status: boolean
  readonly reason: string
  readonly message: string
}

/** What the runtime knows of a sandbox's network; `netns` is a path. */
type SandboxNetwork = {
  readonly ip: string
  /** Those of further families. */
  readonly more: readonly string[]
  readonly netns: string
}

type Executed = {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/** The calls that the tests need; a rejected promise carries the runtime's words. */
export type Cri = {
  /** The runtime's own name and version. */
  readonly version: () => Promise<string>
  readonly networkReady: () => Promise<NetworkCondition>
  /** The network configuration that the runtime has loaded, as text. */
  readonly networkConfig: () => Promise<string>
  readonly runSandbox: (pod: Pod) => Promise<string>
  readonly sandboxNetwork: (id: string) => Promise<SandboxNetwork>
  readonly listSandboxes: () => Promise<readonly string[]>
  /** Sends a DEL with the namespace. */
  readonly stopSandbox: (id: string) => Promise<void>
  /** Sends a second DEL, without a namespace. */
  readonly removeSandbox: (id: string) => Promise<void>
  /** Creates and starts a container in the sandbox; returns its id. */
  readonly startContainer: (id: string, container: Container) => Promise<string>
  readonly execute: (containerId: string, command: readonly string[]) => Promise<Executed>
  readonly close: () => void
}

type Container = {
  readonly pod: Pod
  readonly image: string
  readonly command: readonly string[]
}

type Call = <T>(method: string, request: object) => Promise<T>

const executeSeconds = 10

/** Connects to the runtime's unix socket; no call is made yet. */
export const connectCri = (socket: string): Cri => {
  const { call, close } = openClient(socket)
  return {
    version: async () => {
      type Reply = { runtimeName: string; runtimeVersion: string }
      const { runtimeName, runtimeVersion } = await call<Reply>('version', {})
      return `${runtimeName} ${runtimeVersion}`
    },
    networkReady: () => askNetworkReady(call),
    networkConfig: async () =>
      (await call<{ info: { cniconfig?: string } }>('status', { verbose: true })).info.cniconfig ??
      '',
    runSandbox: async pod =>
      (await call<{ podSandboxId: string }>('runPodSandbox', { config: configOf(pod) }))
        .podSandboxId,
    sandboxNetwork: id => askNetwork(call, id),
    listSandboxes: async () =>
      (await call<{ items: { id: string }[] }>('listPodSandbox', {})).items.map(item => item.id),
    stopSandbox: id => call('stopPodSandbox', { podSandboxId: id }),
    removeSandbox: id => call('removePodSandbox', { podSandboxId: id }),
    startContainer: (id, container) => startContainer(call, id, container),
    execute: (containerId, command) => execute(call, containerId, command),
    close,
  }
}

const openClient = (socket: string): { readonly call: Call; readonly close: () => void } => {
  const definition = loadSync(join(import.meta.dirname, 'runtime.proto'), {
    defaults: true,
    longs: Number,
  })
  const service = loadPackageDefinition(definition)['runtime']
  const Client = (service as unknown as { v1: { RuntimeService: Constructor } }).v1.RuntimeService
  // Without it the path would become the :authority header, which Go's HTTP/2 server refuses.
  const client = new Client(`unix://${socket}`, credentials.createInsecure(), {
    'grpc.default_authority': 'localhost',
  })
  const methods = client as unknown as Record<string, Method>
  const call: Call = (method, request) =>
    new Promise((resolve, reject) => {
      methods[method]?.call(client, request, (error, reply) => {
        if (error === null) resolve(reply as never)
        else reject(new Error(`${method}: ${error.message}`))
      })
    })
  return { call, close: () => client.close() }
}

type Constructor = ReturnType<typeof makeClientConstructor>
type Method = (request: object, done: (error: Error | null, reply: unknown) => void) => void

const configOf = (pod: Pod) => ({
  metadata: { name: pod.name, uid: pod.uid, namespace: 'default', attempt: 0 },
  hostname: pod.name,
  dnsConfig: pod.dns,
  portMappings: pod.ports,
  annotations: pod.annotations,
  linux: { cgroupParent: pod.cgroupParent },
})

type Condition = NetworkCondition & { readonly type: string }

const askNetworkReady = async (call: Call): Promise<NetworkCondition> => {
  const reply = await call<{ status: { conditions: Condition[] } }>('status', {})
  const found = reply.status.conditions.find(({ type }) => type === 'NetworkReady')
  const { status = false, reason = '', message = 'the runtime does not say' } = found ?? {}
  return { status, reason, message }
}

// The path of the namespace is only in the verbose part, a JSON text of containerd's own making.
const askNetwork = async (call: Call, id: string): Promise<SandboxNetwork> => {
  type Network = { ip: string; additionalIps: { ip: string }[] }
  type Reply = { status: { network: Network }; info: { info: string } }
  const reply = await call<Reply>('podSandboxStatus', { podSandboxId: id, verbose: true })
  const info = JSON.parse(reply.info.info) as {
    runtimeSpec: { linux: { namespaces: { type: string; path?: string }[] } }
  }
  const network = info.runtimeSpec.linux.namespaces.find(({ type }) => type === 'network')
  const { ip, additionalIps } = reply.status.network
  return { ip, more: additionalIps.map(further => further.ip), netns: network?.path ?? '' }
}

const startContainer = async (call: Call, id: string, container: Container): Promise<string> => {
  const { containerId } = await call<{ containerId: string }>('createContainer', {
    podSandboxId: id,
    config: {
      metadata: { name: 'main', attempt: 0 },
      image: { image: container.image },
      command: container.command,
    },
    sandboxConfig: configOf(container.pod),
  })
  await call('startContainer', { containerId })
  return containerId
}

const execute = async (
  call: Call,
  containerId: string,
  command: readonly string[],
): Promise<Executed> => {
  type Reply = { stdout: Uint8Array; stderr: Uint8Array; exitCode: number }
  const request = { containerId, cmd: command, timeout: executeSeconds }
  const { stdout, stderr, exitCode } = await call<Reply>('execSync', request)
  return { exitCode, stdout: textOf(stdout), stderr: textOf(stderr) }
}

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
