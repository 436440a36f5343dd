// The emulator as its users start it: what a node sees, and that nothing stays behind, however the
// processes end.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { runCommand } from '#emulator/fabric/command.ts'
import { cleanup, netnsNames, recordedRuns } from '#emulator/fabric/netns.ts'
import { nodeBinary, probe } from '#emulator/fabric/node.ts'
import { launchEmulator } from '#emulator/launch.ts'
import type { Launched, LaunchedEmulator } from '#emulator/launch.ts'
import { platformNames } from '#emulator/platforms.ts'
import { newRun } from '#test/kernel/support/fabric.ts'
import { evaluate } from '#test/kernel/support/guest.ts'

const ofRun = async (run: string): Promise<readonly string[]> =>
  (await netnsNames()).filter(name => name.startsWith(`ew-${run}-`))

const expectNothingLeft = async (run: string): Promise<void> => {
  expect(await ofRun(run)).toEqual([])
  expect(await recordedRuns()).not.toContain(run)
}

// Ends of processes and namespaces are seen by looking; the test's own limit is the deadline.
const until = async (isTrue: () => Promise<boolean>): Promise<void> => {
  while (!(await isTrue())) await sleep(50)
}

describe('a node', () => {
  let emulator: LaunchedEmulator

  beforeAll(async () => {
    emulator = await launchEmulator({ run: newRun(), nodes: 2, latency: 'none' })
  })

  afterAll(async () => {
    expect(await emulator?.close()).toEqual([])
    await expectNothingLeft(emulator.run)
  })

  const node = (index: number) => {
    const found = emulator.nodes[index]
    if (found === undefined) throw new Error(`no node ${index}`)
    return found
  }

  test('is told who it is by the metadata service', async () => {
    const script = `
      const at = 'http://169.254.169.254/latest/'
      const life = { 'x-aws-ec2-metadata-token-ttl-seconds': '60' }
      const token = await (await fetch(at + 'api/token', { method: 'PUT', headers: life })).text()
      const headers = { 'x-aws-ec2-metadata-token': token }
      const id = await (await fetch(at + 'meta-data/instance-id', { headers })).text()
      console.log(JSON.stringify(id))`
    for (const { netns, instanceId } of emulator.nodes) {
      expect(await evaluate(netns, {}, script)).toBe(instanceId)
    }
  })

  test('gets a device when it attaches a NIC through the SDK', async () => {
    const { netns, instanceId } = node(0)
    const script = `
      import { EC2 } from '@aws-sdk/client-ec2'
      const ec2 = new EC2()
      const InstanceIds = ['${instanceId}']
      const { Reservations } = await ec2.describeInstances({ InstanceIds })
      const SubnetId = Reservations[0].Instances[0].SubnetId
      const { NetworkInterface } = await ec2.createNetworkInterface({ SubnetId })
      const { NetworkInterfaceId, MacAddress } = NetworkInterface
      const place = { InstanceId: InstanceIds[0], DeviceIndex: 1 }
      await ec2.attachNetworkInterface({ NetworkInterfaceId, ...place })
      console.log(JSON.stringify(MacAddress))`
    const mac = await evaluate(netns, emulator.env, script)
    const show = async (): Promise<string> =>
      runCommand({ netns, argv: ['ip', '-o', 'link', 'show'] })
    await until(async () => (await show()).includes(String(mac)))
    expect(await show()).toMatch(new RegExp(`eth1@.* state DOWN .* link/ether ${String(mac)} `))
  })

  test('comes and goes through the SDK, and its namespace with it', async () => {
    const { netns } = node(0)
    const before = await ofRun(emulator.run)
    const script = (step: string): string => `
      import { EC2 } from '@aws-sdk/client-ec2'
      const ec2 = new EC2()
      const { Subnets } = await ec2.describeSubnets({})
      ${step}
      console.log(JSON.stringify(id))`
    const launched = await evaluate(
      netns,
      emulator.env,
      script(`const { Instances } = await ec2.runInstances({ ImageId: 'ami-1', MinCount: 1,
        MaxCount: 1, InstanceType: 'm5.large', SubnetId: Subnets[0].SubnetId })
        const id = Instances[0].InstanceId`),
    )
    await until(async () => (await ofRun(emulator.run)).length === before.length + 1)
    const end = `const id = '${String(launched)}'
      await ec2.terminateInstances({ InstanceIds: [id] })`
    await evaluate(netns, emulator.env, script(end))
    await until(async () => (await ofRun(emulator.run)).length === before.length)
  })

  test('reaches the internet with its own address', async () => {
    const { netns, primaryAddress } = node(1)
    const { address: to, tcpPort: port } = emulator.internet ?? { address: '', tcpPort: 0 }
    const result = await probe({ netns, protocol: 'tcp', to, port })
    expect(result).toMatchObject({ ok: true, reply: { from: primaryAddress } })
    expect((await emulator.counters()).delivered).toBeGreaterThan(0)
  })
})

describe('nothing stays behind', () => {
  const run = newRun()

  afterEach(async () => {
    await cleanup(run)
  })

  test('when a launch fails half-way', async () => {
    await expect(launchEmulator({ run, nodes: 1, instanceType: 'x9.none' })).rejects.toThrow(
      /cannot start the emulator/,
    )
    await expectNothingLeft(run)
  })

  test.each(platformNames)('when the emulator of %s is killed', async cloud => {
    const emulator = await launchEmulator({ run, cloud, nodes: 1, latency: 'none' })
    process.kill(emulator.pid, 'SIGKILL')
    await emulator.ended
    await expectNothingLeft(run)
    const authority = emulator.env['NODE_EXTRA_CA_CERTS']
    expect(authority !== undefined && existsSync(authority)).toBe(false)
  })

  const startProgram = async () => {
    const main = fileURLToPath(new URL('../../emulator/main.ts', import.meta.url))
    const options = ['--run', run, '--nodes', '1', '--latency', 'none', '--output', 'json']
    const child = spawn(nodeBinary(), [main, ...options], { stdio: ['ignore', 'pipe', 'inherit'] })
    const printed = once(createInterface({ input: child.stdout }), 'line')
    const died = once(child, 'exit').then(([code]) => [`"ended with ${code}"`])
    const [line] = await Promise.race([printed, died])
    return { child, launched: JSON.parse(String(line)) as Launched }
  }

  test('when the program gets SIGTERM', async () => {
    const { child, launched } = await startProgram()
    expect(launched).toMatchObject({ run, netns: `ew-${run}-vpc` })
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
    await expectNothingLeft(run)
  })

  test('when the program is killed', async () => {
    const { child } = await startProgram()
    child.kill('SIGKILL')
    await until(async () => (await ofRun(run)).length === 0)
    await until(async () => !(await recordedRuns()).includes(run))
  })

  test('when all its processes are killed and its run is cleaned up', async () => {
    const { child, launched } = await startProgram()
    child.kill('SIGSTOP')
    process.kill(launched.pid, 'SIGKILL')
    child.kill('SIGKILL')
    await once(child, 'exit')
    await expect(launchEmulator({ run, nodes: 1 })).rejects.toThrow(/--cleanup/)
    expect((await cleanup(run)).toSorted()).toEqual(
      ['net', 'node-a', 'vpc'].map(name => `ew-${run}-${name}`),
    )
    await expectNothingLeft(run)
  })
})
