// Writes docs/conformance.md: the suite against our own executable, Debian's reference plugins as
// they are on this machine, and our own runtime. Needs root, and containernetworking-plugins.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JudgedPoint, Report } from '#cni/conform/report.ts'
import { conform } from '#cni/conform/suite.ts'
import { parseSubject } from '#cni/conform/subject.ts'
import { conformOwnRuntime, surroundings } from '#cli/conform/command.ts'
import { conformOurs } from '#cli/conform/ours.ts'
import { version } from '#cli/version.ts'

const page = join(import.meta.dirname, '..', 'docs', 'conformance.md')
const binDirectory = '/usr/lib/cni'
const seed = 1

const ipam = { type: 'host-local', subnet: '10.88.0.0/24', routes: [{ dst: '0.0.0.0/0' }] }

/** Plugin objects of one list each, and the interface name runtimes give them. */
const references: readonly (readonly [Readonly<Record<string, unknown>>, string])[] = [
  [{ type: 'ptp', ipam }, 'eth0'],
  [{ type: 'bridge', bridge: 'ewbridge0', isGateway: true, ipam }, 'eth0'],
  [{ type: 'loopback' }, 'lo'],
  [{ type: 'host-local', ipam }, 'eth0'],
]

const judgeReference = async (
  plugin: Readonly<Record<string, unknown>>,
  ifName: string,
): Promise<Report> => {
  const directory = mkdtempSync(join(tmpdir(), 'ew-conformance-'))
  try {
    const store = 'ipam' in plugin ? { ipam: { ...ipam, dataDir: directory } } : {}
    const list = { cniVersion: '1.0.0', name: 'conform', plugins: [{ ...plugin, ...store }] }
    const subject = parseSubject({ conflist: JSON.stringify(list), binDirectory })
    if (subject.kind === 'failed') throw new Error(subject.message)
    return await conform({ subject: subject.value, ifName, ...surroundings })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

const output = (command: string, ...argv: readonly string[]): string =>
  spawnSync(command, argv, { encoding: 'utf8' }).stdout?.trim() ?? ''

// Names that differ from run to run would make every page new.
const steady = (text: string): string =>
  text
    .replaceAll(/ew-conform-\d+-(?:p\d+|host)/g, 'POD')
    .replaceAll(/\bew-\w+-node-a\b/g, 'NODE')
    .replaceAll(/\b(?:veth|ewy)[0-9a-f]{8,}\b/g, 'HOST-END')
    .replaceAll(/\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, 'MAC')
    .replaceAll(/\/tmp\/[\w./-]+/g, 'DIRECTORY')
    .replaceAll('|', String.raw`\|`)

const marks = { pass: 'pass', fail: '**fail**', 'n/a': 'n/a' } as const

const pointAt = ({ points }: Report, id: number): JudgedPoint => {
  const found = points.find(point => point.id === id)
  if (found === undefined) throw new Error(`no point has number ${id}`)
  return found
}

const table = (reports: readonly Report[]): string => {
  const [first] = reports
  const rows = (first?.points ?? []).map(({ id, level, text }) => {
    const cells = reports.map(report => marks[pointAt(report, id).status])
    return `| ${[id, level, text, ...cells].join(' | ')} |`
  })
  const totals = (['pass', 'fail', 'n/a'] as const).map(
    status => `| | | ${status} | ${reports.map(({ totals }) => totals[status]).join(' | ')} |`,
  )
  return [
    `| | level | requirement | ${reports.map(({ plugin }) => plugin).join(' | ')} |`,
    `| --- | --- | --- |${' --- |'.repeat(reports.length)}`,
    ...rows,
    ...totals,
  ].join('\n')
}

const evidence = (report: Report, status: JudgedPoint['status']): string =>
  report.points
    .filter(point => point.status === status)
    .map(({ id, evidence }) => `- ${id}: ${steady(evidence)}`)
    .join('\n')

const pageOf = (reports: readonly Report[], runtime: Report): string => {
  const [ours] = reports
  const debian = output('dpkg-query', '-W', '-f=${Version}', 'containernetworking-plugins')
  const failures = reports.map(report => {
    const text = evidence(report, 'fail')
    return `### ${report.plugin}\n\n${text === '' ? 'None.' : text}\n`
  })
  return `# Conformance to CNI

<!-- Written by tools/conformance.ts; run it as root: node tools/conformance.ts -->

The CNI specification 1.1.0, its conventions and its reference library, as ${ours?.points.length} points that a
plugin executable passes or fails, and ${runtime.points.length} for runtimes, which call plugins.

\`\`\`
eniway cni conform --bin-dir /usr/lib/cni --conflist FILE [--plugin TYPE] [--ifname lo] [--output json|junit]
eniway cni conform --runtime [--output json|junit]     # the library eniway/cni/runtime
npm run -s conform                 # our own executable, with its daemon on an emulated node
npm run -s conform -- --as ipam    # the same as an IPAM plugin; ptp: below Debian's ptp
npm run -s conform -- --runtime    # the same as the second
\`\`\`

With \`--output json\` each prints \`{plugin, versions, points: [{id, level, status, evidence, …}], totals}\`;
the exit code is 1 when a point fails. Numbers are the same everywhere and stay the same; those that
are missing in one table concern the other side.

## Plugins

\`eniway cni conform\` starts any plugin as a runtime does, in fresh network namespaces, and judges what
it answers and what the kernel then looks like.

A point is **n/a** when the plugin has nothing it is about, or when no run from outside can decide it;
the reason is its evidence. Nothing that was not run counts as a pass. Levels: MUST, SHOULD and MAY of
the text; REFERENCE, what the reference library does and runtimes rely on; CONVENTION, the document of
conventions; ENGINEERING, a rule of our own where the text is silent, such as that a late DEL harms
nobody. To see DEL, CHECK and STATUS without a daemon, \`--daemon-down '{"socket": "/nowhere.sock"}'\`
names the keys that cut the plugin from its own. In the plugin's place of its IPAM delegate comes a
script that notes what it is asked.

Here: eniway ${version} on an emulated AWS node (seed ${seed}), once more as an IPAM plugin under the
name eniway-ipam ([chaining](chaining.md)); the others are Debian's
containernetworking-plugins ${debian}, which know CNI up to 1.0.0 and so neither STATUS nor GC. ptp and
bridge delegate to host-local, which is judged on its own too; loopback is called with \`lo\`.

${table(reports)}

## Why points fail

${failures.join('\n')}
## Why points do not apply to eniway

${ours === undefined ? '' : evidence(ours, 'n/a')}

## Runtimes

Who calls plugins has duties too: which version to choose, what to tell whom, what to remember, what
must not run side by side. The library that \`eniway cni\` is made of is judged by real processes: each
trial has a fresh directory with plugins that write down how they were called, real configuration
files and a cache. Nothing of it needs root. That the points notice something is tested with copies
of the library that have one fault each (\`test/kernel/conform/runtime-faults.ts\`).

${table([runtime])}

### Why points fail

${evidence(runtime, 'fail') || 'None.'}

### Why points do not apply

${evidence(runtime, 'n/a')}
`
}

if (!existsSync(join(binDirectory, 'ptp'))) {
  throw new Error(`${binDirectory}/ptp is missing; install containernetworking-plugins`)
}
const reports = [
  await conformOurs({ cloud: 'aws', seed }),
  await conformOurs({ cloud: 'aws', seed, as: 'ipam' }),
]
for (const [plugin, ifName] of references) reports.push(await judgeReference(plugin, ifName))
writeFileSync(page, pageOf(reports, await conformOwnRuntime()))
