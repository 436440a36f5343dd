// A later plugin of the chain, such as `tuning`, gives the pod another MAC. The kernel then forgets
// the pod's gateways, and the MAC that the node knows is nobody's: the pod asks and is answered,
// the node hears of the new one, for both families and at once, and repairs leave that alone.

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
  for (const address of everybody) await until(`${address} answers`, () => reaches(netns, address))
})

afterAll(() => host?.end())

const everybody = [insideHost, insideHost6]

const reaches = async (from: Namespace, address: string): Promise<boolean> => {
  try {
    return runIn(from, 'ping', '-c1', '-W1', address) !== ''
  } catch {
    return false
  }
}

const neighbours = (where: Namespace, ...kind: readonly string[]): readonly string[] =>
  ['-4', '-6'].flatMap(family =>
    runIn(where, 'ip', family, 'neighbour', 'show', ...kind)
      .split('\n')
      .filter(Boolean),
  )

const macs = ['02:00:00:00:00:09', '02:00:00:00:00:0a', '0a:58:0a:00:01:05']

test.each(macs)('the pod has the MAC %s', async mac => {
  runIn(netns, 'ip', 'link', 'set', 'eth0', 'address', mac)
  expect(neighbours(netns, 'nud', 'permanent')).toEqual([])
  // The node first: it must not wait until the pod says something.
  for (const address of pod.ips) expect(await reaches(lab.node, address), address).toBe(true)
  for (const address of everybody) expect(await reaches(netns, address), address).toBe(true)
  for (let look = 0; look < 2; look++) {
    const report = await host.reconcile(desired6([pod]))
    expect([report.repaired, report.failures]).toEqual([[], []])
    const known = neighbours(lab.node, 'nud', 'all').filter(line =>
      pod.ips.some(ip => line.startsWith(`${ip} `)),
    )
    expect(known).toHaveLength(2)
    for (const line of known) expect(line).toContain(` lladdr ${mac} `)
    for (const address of everybody) expect(await reaches(netns, address), address).toBe(true)
  }
})
