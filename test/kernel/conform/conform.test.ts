// The conformance suite against a plugin that is right and against the same plugin with one fault
// each: a suite that lets everything pass is worthless.

import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { transformSync } from 'esbuild'
import { describe, test } from 'vitest'
import { parseSubject } from '#cni/conform/subject.ts'
import type { Report } from '#cni/conform/report.ts'
import { conform } from '#cni/conform/suite.ts'

const source = readFileSync(join(import.meta.dirname, 'plugin-program.ts'), 'utf8')
// A case starts it some hundred times, and plain CommonJS starts twice as fast.
const program = transformSync(source, { loader: 'ts', format: 'cjs' }).code

let runs = 0

type Written = { readonly fault: string; readonly role: string }

const writePlugin = (directory: string, type: string, { fault, role }: Written): void => {
  const file = join(directory, type)
  writeFileSync(`${file}.cjs`, program)
  const argv = [process.execPath, `${file}.cjs`, fault, role, join(directory, 'state')]
  writeFileSync(file, `#!/bin/sh\nexec ${argv.map(text => `'${text}'`).join(' ')}\n`)
  chmodSync(file, 0o755)
}

type Setup = {
  /** The plugin with the fault: makes interfaces, with or without a delegate, or is an IPAM. */
  readonly kind?: 'delegating' | 'alone' | 'ipam'
  readonly parts?: readonly string[]
}

const run = async (fault: string, setup: Setup): Promise<Report> => {
  const directory = mkdtempSync(join(tmpdir(), 'ew-conform-test-'))
  try {
    return await judged(directory, fault, setup)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const judged = async (
  directory: string,
  fault: string,
  { kind = 'alone', parts }: Setup,
): Promise<Report> => {
  writePlugin(directory, 'ewfake', { fault: kind === 'ipam' ? '' : fault, role: '' })
  writePlugin(directory, 'ewfake-ipam', { fault: kind === 'ipam' ? fault : '', role: 'ipam' })
  const ipam = kind === 'alone' ? {} : { ipam: { type: 'ewfake-ipam' } }
  const type = kind === 'ipam' ? 'ewfake-ipam' : 'ewfake'
  const plugin = { type, capabilities: { portMappings: true }, ...ipam }
  const conflist = JSON.stringify({ cniVersion: '1.0.0', name: 'ewfake', plugins: [plugin] })
  const subject = parseSubject({ conflist, binDirectory: directory })
  if (subject.kind === 'failed') throw new Error(subject.message)
  return conform({
    subject: subject.value,
    ifName: 'eth0',
    prefix: `ew-ct${process.pid}-${++runs}`,
    daemonDown: { daemon: 'gone' },
    // A tenth: the plugin is finished when it answers.
    waiting: { sleep: milliseconds => sleep(milliseconds / 10) },
    ...(parts === undefined ? {} : { parts }),
  })
}

const failing = ({ points }: Report): string =>
  points
    .filter(({ status }) => status === 'fail')
    .map(({ id, evidence }) => `${id} ${evidence}`)
    .join('\n')

const numbers = (text: string): readonly number[] =>
  text === '' ? [] : text.split('\n').map(line => Number.parseInt(line, 10))

// Most of a case is starting processes, so some go side by side.
describe.concurrent('a right plugin', { timeout: 400_000 }, () => {
  test.for(['alone', 'delegating', 'ipam'] as const)(
    'fails nothing: %s',
    async (kind, { expect }) => {
      const report = await run('', { kind })
      const wanted = { alone: 'interface', delegating: 'interface', ipam: 'ipam' }[kind]
      expect(report.role).toBe(wanted)
      // Its own CHECK does not look at prevResult, as host-local's does not.
      expect(numbers(failing(report))).toEqual(kind === 'ipam' ? [85] : [])
      expect(report.points.length).toBe(76)
    },
  )
})

type Case = readonly [fault: string, part: string, points: readonly number[], kind?: Setup['kind']]

// A fault often shows at several points, and all of them are told. What a GC leaves of a pod whose
// namespace went is gone by itself where it is a link, hence no 114 for a GC that does nothing.
const cases: readonly Case[] = [
  ['names the first missing only', 'environment', [32]],
  ['takes any CNI_IFNAME', 'environment', [29]],
  ['takes lower case', 'environment', [26, 42]],
  ['acts before the guard', 'environment', [35]],
  ['code 9 for bad JSON', 'process', [40, 41, 44]],
  ['exit 0 on errors', 'process', [39, 40, 41, 42]],
  ['errors go to stderr', 'process', [40, 41, 43]],
  ['DEL talks', 'process', [42]],
  ['refuses unknown keys', 'config', [6]],
  ['takes any capability', 'config', [129]],
  ['takes over a taken name', 'add', [61]],
  ['gives everybody one address', 'add', [69]],
  ['answers in 1.0.0 always', 'add', [109, 139]],
  ['drops prevResult', 'chained', [60, 144]],
  ['puts its own first', 'chained', [144]],
  ['hides its host interface', 'add', [140]],
  ['gives no prefix length', 'add', [90, 109, 141]],
  ['names a route of nobody', 'add', [142]],
  ['DEL needs prevResult', 'del', [73, 74, 75, 83]],
  ['DEL needs a namespace', 'del', [28, 73, 75, 78]],
  ['DEL works once', 'del', [73, 75, 78, 83]],
  ['DEL leaves a link', 'none', [72]],
  ['DEL frees by address', 'del', [78]],
  ['CHECK says yes', 'check', [85, 87, 88, 89]],
  ['CHECK tolerates nothing', 'check', [86]],
  ['CHECK repairs', 'none', [97]],
  ['CHECK in any version', 'check', [84]],
  ['STATUS says yes', 'status', [99, 100, 101]],
  ['STATUS uses code 7', 'status', [101]],
  ['STATUS is slow', 'status', [105]],
  ['GC does nothing', 'gc', [122]],
  ['GC needs no list', 'gc', [114, 122]],
  ['GC of every network', 'gc', [114]],
  ['GC talks', 'gc', [42, 118]],
  ['VERSION is a text', 'none', [107]],
  ['does not roll back', 'delegation', [67], 'delegating'],
  ['gives its delegate ipam only', 'delegation', [90, 134], 'delegating'],
  ['swallows stderr', 'delegation', [135], 'delegating'],
  ['loses the error of its delegate', 'delegation', [77, 136], 'delegating'],
  ['keeps STATUS to itself', 'delegation', [101, 103], 'delegating'],
  ['needs no address', 'delegation', [138], 'delegating'],
  ['IPAM needs a namespace', 'del', [76], 'ipam'],
  ['IPAM names interfaces', 'none', [137], 'ipam'],
]

describe.concurrent('a plugin with a fault', { timeout: 400_000 }, () => {
  test.for(cases)('%s: seen by %s', async ([fault, part, points, kind = 'alone'], { expect }) => {
    const found = failing(await run(fault, { parts: [part], kind }))
    expect(numbers(found), found).toEqual(points)
  })
})
