// A later plugin of the chain, such as `tuning`, gives the pod another MAC. The kernel then forgets
// the pod's gateways and the node sends to a MAC that nobody has: the next look at the host gives
// both back, for both families, and a CHECK in between has nothing to complain of.

import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PodWiring } from '#core/wiring.ts'
import { until } from '../e2e/containerd/process.ts'
import { desired6, insideHost, insideHost6, makeLab, podOf, startHost } from './host-lab.ts'
import { type HostProcess, type Lab } from './host-lab.ts'
import { makeNamespace, prepare, runIn, type Namespace } from './netlink-lab.ts'

let lab: Lab
let host: HostProcess
let netns: Namespace
let pod: PodWiring

beforeAll(async () => {
  prepare(['ip', 'nft', 'ping'])
  lab = makeLab({ hasIpv6: true })
  host = startHost(lab)
  netns = makeNamespace()
  pod = podOf([4, 6], 1, { number: 5, netns: netns.path })
  await host.reconcile(desired6([]))
  expect(await host.wire(pod)).toEqual([{ kind: 'ok' }])
  for (const address of everybody) await until(`${address} answers`, () => reaches(address))
})

afterAll(() => host?.end())

const everybody = [insideHost, insideHost6]

const reaches = async (address: string): Promise<boolean> => {
  try {
    return runIn(netns, 'ping', '-c1', '-W1', address) !== ''
  } catch {
    return false
  }
}

const neighbours = (where: Namespace): readonly string[] =>
  ['-4', '-6'].flatMap(family =>
    runIn(where, 'ip', family, 'neighbour', 'show', 'nud', 'permanent').split('\n').filter(Boolean),
  )

const macs = ['02:00:00:00:00:09', '02:00:00:00:00:0a', '0a:58:0a:00:01:05']

test.each(macs)('the pod has the MAC %s', async mac => {
  const before = neighbours(netns)
  expect(before).toHaveLength(2)
  runIn(netns, 'ip', 'link', 'set', 'eth0', 'address', mac)
  expect(neighbours(netns)).toEqual([])
  expect(await reaches(insideHost)).toBe(false)
  const report = await host.reconcile(desired6([pod]))
  expect(report.failures).toEqual([])
  expect(report.repaired).toContain('gateway of eth0 in c1-5/eth0')
  expect(neighbours(netns)).toEqual(before)
  const known = neighbours(lab.node).filter(line => pod.ips.some(ip => line.startsWith(`${ip} `)))
  expect(known).toHaveLength(2)
  for (const line of known) expect(line).toContain(` lladdr ${mac} `)
  for (const address of everybody) expect(await reaches(address)).toBe(true)
  // Nothing is left to do.
  expect((await host.reconcile(desired6([pod]))).repaired).toEqual([])
})
