// Runs the simulation for many seeds, or replays one. Standard output carries one JSON object and
// nothing else; exit code 1 when a checker failed, 2 when the command line is wrong.

import { parseArgs } from 'node:util'
import { type SimFailure, type SimResult, simulate } from '#test/sim/run.ts'

const usage = `usage: sim [--seeds N] [--from S] [--seed S] [--output json]
  --seeds N  simulate N days (default 100)
  --from S   the first of them has seed S (default 1)
  --seed S   replay one seed and print its trace on standard error`

type Report = {
  readonly seeds: number
  events: number
  readonly faults: Record<string, number>
  readonly failures: SimFailure[]
}

const main = async (): Promise<number> => {
  const options = readOptions()
  if (options === undefined) {
    process.stderr.write(`${usage}\n`)
    return 2
  }
  const { first, count, isReplay } = options
  const report: Report = { seeds: count, events: 0, faults: {}, failures: [] }
  for (let seed = first; seed < first + count; seed++) {
    const print = (line: string): void => void process.stderr.write(`${line}\n`)
    const result = await simulate(isReplay ? { seed, print } : { seed })
    add(report, result)
    if (isReplay) print(`trace hash ${result.hash}`)
    for (const failure of result.failures) {
      print(`seed ${failure.seed}: ${failure.checker}: ${failure.message}`)
    }
  }
  process.stdout.write(`${JSON.stringify(report)}\n`)
  return report.failures.length > 0 ? 1 : 0
}

const readOptions = () => {
  try {
    const { values } = parseArgs({
      options: {
        seeds: { type: 'string', default: '100' },
        from: { type: 'string', default: '1' },
        seed: { type: 'string' },
        output: { type: 'string', default: 'json' },
      },
    })
    const isReplay = values.seed !== undefined
    const first = Number(values.seed ?? values.from)
    const count = isReplay ? 1 : Number(values.seeds)
    const isValid = Number.isSafeInteger(first) && Number.isSafeInteger(count) && count > 0
    return isValid && values.output === 'json' ? { first, count, isReplay } : undefined
  } catch {
    return undefined
  }
}

const add = (report: Report, result: SimResult): void => {
  report.events += result.events
  report.failures.push(...result.failures)
  for (const [kind, count] of Object.entries(result.faults)) {
    report.faults[kind] = (report.faults[kind] ?? 0) + count
  }
}

process.exitCode = await main()
