// Packets through what the Host makes, in a VPC that drops what a NIC may not send: pods reach
// everybody through the right NIC, answers go back where the question came from, nobody lies about
// its address, and a restart disturbs none of it.

import { afterAll, beforeAll, expect, test } from 'vitest'
import { probe, startEcho } from '#emulator/fabric/node.ts'
import type { PodWiring } from '#core/wiring.ts'
import { startTraffic } from '../e2e/bad-days/helper.ts'
import {
  batch,
  desired,
  dumpNode,
  insideHost,
  makeLab,
  nicAddress,
  outsideHost,
  podOn,
  startHost,
  type HostProcess,
  type Lab,
} from './host-lab.ts'
import { makeNamespace, prepare, run, runIn, type Namespace } from './netlink-lab.ts'

const port = 7007

let lab: Lab
let host: HostProcess
let first: PodWiring
let second: PodWiring
const closers: (() => Promise<void>)[] = []

beforeAll(async () => {
  prepare(['ip', 'nft'])
  lab = makeLab()
  host = startHost(lab)
  first = podOn(1, 5, makeNamespace().path)
  second = podOn(2, 5, makeNamespace().path)
  await host.reconcile(desired([]))
  expect(await host.wire(first, second)).toEqual([{ kind: 'ok' }, { kind: 'ok' }])
  await listen(lab.vpc.name, insideHost, outsideHost)
  await listen(lab.node.name, nicAddress[1], nicAddress[2])
  for (const pod of [first, second]) await listen(nameOf(pod), ...pod.ips)
})

afterAll(async () => {
  for (const close of closers) await close()
  await host?.end()
})

const nameOf = (pod: PodWiring): string => pod.netns.split('/').at(-1) ?? ''

const listen = async (netns: string, ...addresses: readonly string[]): Promise<void> => {
  const echo = await startEcho({ netns, port, addresses })
  closers.push(() => echo.close())
}

type Question = {
  readonly to: string
  readonly from?: string
  readonly port?: number
  readonly ms?: number
}

// Who the other side saw, over both protocols, or why there was no answer.
const ask = async (netns: string, question: Question): Promise<readonly string[]> => {
  const options = { netns, port, ms: 1500, ...question }
  const results = await Promise.all([
    probe({ ...options, protocol: 'udp' }),
    probe({ ...options, protocol: 'tcp' }),
  ])
  return results.map(result => (result.ok ? result.reply.from : result.error))
}

const twice = (text: string) => [text, text]

test('pods reach hosts of the VPC with their own addresses, each through its NIC', async () => {
  for (const pod of [first, second]) {
    expect(await ask(nameOf(pod), { to: insideHost })).toEqual(twice(pod.ips[0] ?? ''))
  }
})

test('hosts of the VPC reach pods', async () => {
  for (const pod of [first, second]) {
    const question = { to: pod.ips[0] ?? '', from: insideHost }
    expect(await ask(lab.vpc.name, question)).toEqual(twice(insideHost))
  }
})

test('outside the VPC both appear as the primary address of the node', async () => {
  for (const pod of [first, second]) {
    expect(await ask(nameOf(pod), { to: outsideHost })).toEqual(twice(nicAddress[1]))
  }
})

test('pods of one node reach each other, and the node, and the node them', async () => {
  expect(await ask(nameOf(first), { to: '10.0.2.5' })).toEqual(twice('10.0.1.5'))
  expect(await ask(nameOf(second), { to: '10.0.1.5' })).toEqual(twice('10.0.2.5'))
  for (const pod of [first, second]) {
    const [address = ''] = pod.ips
    expect(await ask(nameOf(pod), { to: nicAddress[1] })).toEqual(twice(address))
    expect(await ask(lab.node.name, { to: address })).toEqual(twice(nicAddress[1]))
  }
})

test('the node answers on a secondary NIC’s own address through that NIC', async () => {
  const question = { to: nicAddress[2], from: insideHost }
  expect(await ask(lab.vpc.name, question)).toEqual(twice(insideHost))
})

test('a pod that takes another address is heard by nobody', async () => {
  const others = ['10.0.2.66', '10.0.1.5', '192.0.2.66']
  const inside = { path: second.netns } as Namespace
  batch(
    inside,
    others.map(address => `address add ${address}/32 dev lo`),
  )
  const questions = others.flatMap(from =>
    [insideHost, nicAddress[1], outsideHost].map(to => ({ from, to, ms: 600 })),
  )
  const heard = await Promise.all(questions.map(question => ask(nameOf(second), question)))
  expect(heard).toEqual(questions.map(() => twice('timeout')))
  batch(
    inside,
    others.map(address => `address delete ${address}/32 dev lo`),
  )
  const counted = runIn(lab.node, 'nft', 'list', 'chain', 'inet', 'eniway', 'from_pods')
  expect(counted).toMatch(/counter packets [1-9]\d* .* comment "spoofed"/)
})

test('NodePort: the answer leaves through the NIC that was asked', async () => {
  run(
    'nsenter',
    [`--net=${lab.node.path}`, 'nft', '-f', '-'],
    `table ip nodeport {
       chain pre {
         type nat hook prerouting priority -100;
         ip daddr ${nicAddress[1]} tcp dport 30080 dnat to 10.0.2.5:${port}
         ip daddr ${nicAddress[1]} udp dport 30080 dnat to 10.0.2.5:${port}
       }
     }`,
  )
  for (const from of [insideHost, outsideHost]) {
    const question = { to: nicAddress[1], port: 30_080, from }
    expect(await ask(lab.vpc.name, question)).toEqual(twice(from))
  }
  // Also when it is asked on the secondary NIC, for a pod of the primary one.
  runIn(
    lab.node,
    'nft',
    'add rule ip nodeport pre ip daddr',
    nicAddress[2],
    'tcp dport 30081 dnat to 10.0.1.5:7007',
  )
  runIn(
    lab.node,
    'nft',
    'add rule ip nodeport pre ip daddr',
    nicAddress[2],
    'udp dport 30081 dnat to 10.0.1.5:7007',
  )
  const question = { to: nicAddress[2], port: 30_081, from: insideHost }
  expect(await ask(lab.vpc.name, question)).toEqual(twice(insideHost))
})

// kube-proxy marks packets in nat PREROUTING and OUTPUT (0x4000: masquerade, 0x8000: drop).
test('mark bits of others survive, and ours do not disturb theirs', async () => {
  run(
    'nsenter',
    [`--net=${lab.node.path}`, 'nft', '-f', '-'],
    `table ip marks {
       chain pre {
         type filter hook prerouting priority -95;
         ip saddr 10.0.2.5 meta mark set meta mark | 0x00004000
         ip saddr 10.0.2.5 ct mark set ct mark | 0x00008000
       }
       chain post {
         type filter hook postrouting priority 200;
         oif eth1 ip saddr 10.0.2.5 meta mark & 0x7f00c000 == 0x02004000 counter comment "both"
         oif eth1 ip saddr 10.0.2.5 meta mark & 0x0000c000 != 0x00004000 counter comment "lost"
         ip saddr ${insideHost} ct mark & 0x0000c000 == 0x00008000 counter comment "kept"
       }
     }`,
  )
  expect(await ask(nameOf(second), { to: insideHost })).toEqual(twice('10.0.2.5'))
  const asked = { to: '10.0.2.5', from: insideHost }
  expect(await ask(lab.vpc.name, asked)).toEqual(twice(insideHost))
  const counted = runIn(lab.node, 'nft', 'list', 'chain', 'ip', 'marks', 'post')
  expect(counted).toMatch(/counter packets [1-9]\d* bytes \d+ comment "both"/)
  expect(counted).toMatch(/counter packets 0 bytes 0 comment "lost"/)
  expect(counted).toMatch(/counter packets [1-9]\d* bytes \d+ comment "kept"/)
})

test('a new process and a table that is loaded anew lose no packet', async () => {
  const pods = [first, second]
  await host.reconcile(desired(pods))
  const before = dumpNode(lab)
  const traffic = await Promise.all([
    startTraffic(first.netns, { netns: lab.vpc.path, address: insideHost }, 7008),
    startTraffic(second.netns, { netns: lab.vpc.path, address: outsideHost }, 7009),
    startTraffic(first.netns, { netns: second.netns, address: '10.0.2.5' }, 7010),
  ])
  for (let i = 0; i < 3; i++) {
    await host.end()
    host = startHost(lab)
    const report = await host.reconcile(desired(pods))
    expect([report.repaired, report.failures, report.strays]).toEqual([[], [], []])
    // The rules change, and change back.
    await host.reconcile(desired(pods, { nat: { isEnabled: true, insideCidrs: [] } }))
    await host.reconcile(desired(pods))
  }
  for (const end of traffic) {
    const { sent, answered } = await end()
    expect(sent).toBeGreaterThan(10)
    expect(answered).toBe(sent)
  }
  expect(dumpNode(lab)).toBe(before)
})
