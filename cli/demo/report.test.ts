// The keys are a promise to programs; this is where a change of them is seen.

import { expect, test } from 'vitest'
import { howToLookAround } from './keep.ts'
import { demoDefaults, playOf } from './options.ts'
import { emptyReport, poolCountsOf, type NodeReport } from './report.ts'

const play = playOf('run', {
  ...demoDefaults,
  pods: undefined,
  output: 'json',
  keep: false,
  down: false,
})

const node: NodeReport = {
  name: 'node-a',
  instanceType: 'm5.large',
  netns: '/run/netns/ew-run-node-a',
  socket: '/run/eniway-demo/run/node-a/cni.sock',
  cniBinDir: '/run/eniway-demo/run/node-a/bin',
  cniConfDir: '/run/eniway-demo/run/node-a/net.d',
  stateDir: '/run/eniway-demo/run/node-a/state',
  daemonPid: 42,
  nics: 2,
  pods: 12,
  podsOnPrimaryNic: 9,
  pool: { warm: 2, assigned: 12, cooling: 0, settling: 0 },
}

test('a report has every key from its beginning', () => {
  expect(emptyReport(play)).toEqual({
    ok: false,
    cloud: 'aws',
    ipFamilies: ['ipv4'],
    seed: 1,
    nodes: [],
    reachability: {
      podToPod: { checked: 0, failed: 0 },
      podToInternet: { checked: 0, failed: 0 },
      spoofed: { sent: 0, delivered: 0 },
      families: {},
    },
    addMs: { count: 0, p50: 0, p99: 0 },
    delMs: { count: 0, p50: 0, p99: 0 },
    apiCalls: {},
    leftovers: [],
  })
})

test('a node counts the addresses of all its pools', () => {
  const pool = { warm: 1, assigned: 2, cooling: 3, settling: 4 }
  const twice = { warm: 2, assigned: 4, cooling: 6, settling: 8 }
  expect(poolCountsOf({ pools: [pool, pool] })).toEqual(twice)
})

test('who keeps it is told commands that can be copied', () => {
  const text = howToLookAround({ ...emptyReport(play), nodes: [node] })
  for (const command of ['ip rule', 'nft list table inet eniway']) {
    expect(text).toContain(`  nsenter --net=/run/netns/ew-run-node-a ${command}\n`)
  }
  expect(text).toContain('npm run -s demo -- --down')
})
