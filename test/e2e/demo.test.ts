// The demonstration as its users start it: a process with options, an object on stdout, and nothing
// left, also when it is interrupted half-way.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { expect, test } from 'vitest'
import { nodeBinary } from '#emulator/fabric/node.ts'
import { netnsNames } from '#emulator/fabric/netns.ts'
import type { DemoOptions } from '#cli/demo/main.ts'
import { endableRuns, endRun } from '#cli/demo/record.ts'
import { processesWith, until } from './containerd/process.ts'

const options: DemoOptions = {
  cloud: 'aws',
  nodes: 2,
  pods: 6,
  instanceType: 't3.medium',
  seed: 11,
  output: 'json',
  keep: false,
  down: false,
}

const demo = new URL('../../cli/demo/main.ts', import.meta.url).href

const start = (changes: Partial<DemoOptions>) => {
  const script =
    `const { runDemo } = await import('${demo}')\n` +
    `process.exit(await runDemo(${JSON.stringify({ ...options, ...changes })}))`
  const child = spawn(nodeBinary(), ['--input-type=module', '--eval', script])
  const output = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
  const ended = new Promise<{ readonly code: number | null } & typeof output>(resolve => {
    child.on('close', code => resolve({ code, ...output }))
  })
  return { child, output, ended }
}

// The ids of other runs on this machine are other than ours.
const runOf = (text: string): string => /ew-(d[0-9a-f]{8})-/.exec(text)?.[1] ?? ''

const tracesOf = async (run: string): Promise<readonly string[]> => [
  ...(await netnsNames()).filter(name => name.includes(run)),
  ...(await processesWith(run)).map(({ command }) => command),
  ...[`/run/eniway-demo/${run}`, `/run/eniway-emulator/${run}.json`].filter(existsSync),
]

type Printed = {
  readonly nodes: readonly { readonly netns: string; readonly pool: object }[]
  readonly addMs: { readonly count: number; readonly p50: number; readonly p99: number }
  readonly apiCalls: Readonly<Record<string, number>>
}

test('two nodes of another type: one object, all reached, nothing left', async () => {
  const { code, stdout, stderr } = await start({}).ended
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const report = JSON.parse(stdout) as Printed
  expect(report).toMatchObject({
    ok: true,
    cloud: 'aws',
    seed: 11,
    reachability: {
      podToPod: { checked: 132, failed: 0 },
      podToInternet: { checked: 12, failed: 0 },
      spoofed: { delivered: 0 },
    },
    addMs: { count: 12 },
    delMs: { count: 12 },
    leftovers: [],
  })
  expect(report.nodes).toHaveLength(2)
  for (const node of report.nodes) {
    // A t3.medium has five addresses for pods on each NIC.
    expect(node).toMatchObject({ instanceType: 't3.medium', nics: 2, pods: 6 })
    expect(node.pool).toMatchObject({ assigned: 6, cooling: 0 })
  }
  expect(report.addMs.p50).toBeLessThanOrEqual(report.addMs.p99)
  expect(report.apiCalls['AttachNetworkInterface']).toBeGreaterThanOrEqual(2)
  expect(await tracesOf(runOf(stdout))).toEqual([])
})

type Everything = Printed & { readonly nodes: readonly { readonly podsOnPrimaryNic: number }[] }

// Each brings pods to the primary NIC and to a secondary one.
const others = [
  { cloud: 'azure', instanceType: 'Standard_D8s_v5', pods: 12, onPrimary: 10 },
  { cloud: 'alibaba', instanceType: 'ecs.c7.large', pods: 9, onPrimary: 5 },
] as const

test.each(others)('$cloud: pods of both families reach each other and the internet', async of => {
  const { cloud, instanceType, pods } = of
  const play = { cloud, instanceType, pods, ipFamilies: 'ipv4,ipv6', latency: 'fast' } as const
  const { code, stdout, stderr } = await start({ ...play, seed: 15 }).ended
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const all = pods * 2
  const family = {
    podToPod: { checked: all * (all - 1), failed: 0 },
    podToInternet: { checked: all, failed: 0 },
    spoofed: { delivered: 0 },
  }
  const report = JSON.parse(stdout) as Everything
  expect(report).toMatchObject({
    ok: true,
    cloud,
    ipFamilies: ['ipv4', 'ipv6'],
    reachability: {
      podToPod: { checked: 2 * all * (all - 1), failed: 0 },
      podToInternet: { checked: 2 * all, failed: 0 },
      families: { ipv4: family, ipv6: family },
    },
    addMs: { count: all },
    leftovers: [],
  })
  for (const node of report.nodes) {
    expect(node).toMatchObject({ instanceType, pods, podsOnPrimaryNic: of.onPrimary })
    expect(node.pool).toMatchObject({ assigned: pods, cooling: 0 })
  }
  expect(Object.keys(report.apiCalls).length).toBeGreaterThan(3)
  expect(await tracesOf(runOf(stdout))).toEqual([])
})

test('Ctrl-C while pods run ends it with nothing left', async () => {
  const { child, output, ended } = start({ output: 'text', seed: 12 })
  await until('the pods', async () => output.stdout.includes('Reachability'), 60_000)
  const run = runOf(output.stdout)
  expect(await tracesOf(run)).not.toEqual([])
  child.kill('SIGINT')
  const { code, stderr } = await ended
  expect(stderr).toBe('demonstration interrupted by SIGINT; everything is removed\n')
  expect(code).toBe(130)
  expect(await tracesOf(run)).toEqual([])
})

test('a killed command leaves nothing either, some seconds later', async () => {
  const { child, output, ended } = start({ output: 'text', seed: 13 })
  await until('the nodes', async () => output.stdout.includes('Warm pools'), 60_000)
  const run = runOf(output.stdout)
  child.kill('SIGKILL')
  await ended
  await until('the clean-up', async () => (await tracesOf(run)).length === 0, 30_000)
})

// Not by `--down`, which would also end what somebody keeps on this machine.
test('kept, it goes on until it is ended', async () => {
  const { code, stdout } = await start({ keep: true, latency: 'fast', seed: 14 }).ended
  const run = runOf(stdout)
  try {
    expect(code).toBe(0)
    expect(await tracesOf(run)).not.toEqual([])
    expect(await endableRuns()).toContain(run)
  } finally {
    expect(await endRun(run)).toEqual([])
  }
  expect(await tracesOf(run)).toEqual([])
})

test('what cannot be done is one sentence and exit code 2', async () => {
  const { code, stdout, stderr } = await start({ instanceType: 't3.small', pods: 30 }).ended
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  expect(stderr).toMatch(/^cannot start the demonstration: --pods is 30, but t3.small .*\n$/)
})
