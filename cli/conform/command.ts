// `eniway cni conform`: runs the conformance suite against any plugin executable, or against our
// own runtime. Exit code 0 when no point fails, 1 when one does or the suite cannot run, 2 when it
// was called wrongly.

import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { Command, Option } from 'commander'
import { reportJunit, reportText } from '#cni/conform/report.ts'
import { ownRuntime } from '#cni/conform/runtime/own.ts'
import { conformRuntime } from '#cni/conform/runtime/suite.ts'
import { parseSubject } from '#cni/conform/subject.ts'
import type { Report } from '#cni/conform/report.ts'
import { conform, type SuiteOptions } from '#cni/conform/suite.ts'
import { parseObject } from '#cni/spec/json.ts'
import { createClock } from '#runtime/clock.ts'

export type ConformFlags = {
  readonly binDir?: string
  readonly conflist?: string
  readonly runtime?: true
  readonly plugin?: string
  readonly ifname: string
  readonly hostNetns?: string
  readonly daemonDown?: string
  readonly output: OutputFormat
}

export type OutputFormat = 'text' | 'json' | 'junit'

/** The command, for `eniway cni` to add to its own. */
export const conformCommand = (): Command =>
  new Command('conform')
    .description(
      'Judge any CNI plugin executable by the 76 points for plugins, or, with --runtime, ' +
        'eniway cni itself by the 61 for runtimes.',
    )
    .option('--bin-dir <directory>', 'where the plugin and its delegates are')
    .option('--conflist <file>', 'the configuration list that names the plugin')
    .option('--runtime', 'judge the runtime behind eniway cni; no other option but --output counts')
    .option('--plugin <type>', 'which plugin of the list is judged (default: the first)')
    .option('--ifname <name>', 'CNI_IFNAME of the attachments', 'eth0')
    .option('--host-netns <path>', "the host's network namespace (default: a fresh one)")
    .option('--daemon-down <json>', "keys that make the plugin's own daemon unreachable")
    .addOption(
      new Option('--output <format>', 'for people, for programs, or for test reports')
        .choices(['text', 'json', 'junit'])
        .default('text'),
    )
    .action(async (flags: ConformFlags) => {
      process.exitCode = await run(flags)
    })

const run = async (flags: ConformFlags): Promise<number> => {
  const options = flags.runtime === true ? 'runtime' : await optionsOf(flags)
  if (typeof options !== 'string') return tell(() => conform(options), flags.output)
  return options === 'runtime' ? tell(conformOwnRuntime, flags.output) : refuse(options, 2)
}

/** Judges, prints, and answers the exit code. */
export const tell = async (judge: () => Promise<Report>, output: OutputFormat): Promise<number> => {
  try {
    const report = await judge()
    process.stdout.write(written(report, output))
    return report.totals.fail === 0 ? 0 : 1
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error), 1)
  }
}

/** Judges our own runtime. */
export const conformOwnRuntime = (): Promise<Report> =>
  conformRuntime({
    subject: ownRuntime,
    clock: createClock(),
    progress: id => process.stderr.write(`eniway cni conform: point ${id}\n`),
  })

/** The report in that format, with its final line break. */
const written = (report: Report, format: OutputFormat): string => {
  switch (format) {
    case 'text':
      return reportText(report)
    case 'json':
      return `${JSON.stringify(report)}\n`
    case 'junit':
      return reportJunit(report)
  }
}

/** Options of the suite, or one sentence about what is wrong with the flags. */
const optionsOf = async (flags: ConformFlags): Promise<SuiteOptions | string> => {
  const { binDir: binDirectory, conflist: file, plugin } = flags
  if (binDirectory === undefined || file === undefined) {
    return 'name a plugin with --bin-dir and --conflist, or use --runtime; see --help'
  }
  const conflist = await readFile(file, 'utf8').catch((error: Error) => error)
  if (conflist instanceof Error) return `cannot read the list: ${conflist.message}`
  const subject = parseSubject({
    conflist,
    binDirectory,
    ...(plugin === undefined ? {} : { plugin }),
  })
  if (subject.kind === 'failed') return subject.message
  const down = parseObject(flags.daemonDown ?? '{}', '--daemon-down')
  if (down.kind === 'failed') return down.message
  return {
    subject: subject.value,
    ifName: flags.ifname,
    ...surroundings,
    ...(flags.hostNetns === undefined ? {} : { hostNetns: flags.hostNetns }),
    ...(flags.daemonDown === undefined ? {} : { daemonDown: down.value }),
  }
}

/** What the suite needs of this process: waiting, names of its own, and a word on its progress. */
export const surroundings = {
  prefix: `ew-conform-${process.pid}`,
  waiting: {
    sleep: async (milliseconds: number) => {
      await sleep(milliseconds)
    },
  },
  progress: (part: string) => process.stderr.write(`eniway cni conform: ${part}\n`),
} as const

const refuse = (why: string, code: number): number => {
  process.stderr.write(`eniway cni conform: ${why}\n`)
  return code
}
