// `eniway max-pods`: how many pods a machine type has addresses for, with the arithmetic. Exit code
// 0 with a number, 1 when the cloud could not be asked, 2 when it was called wrongly.

import { Command, Option } from 'commander'
import { outputOption } from '../ask.ts'
import { paragraph } from '../demo/text.ts'
import { CountError, maxPodsOf } from './arithmetic.ts'
import { figuresOf, type Figures } from './figures.ts'
import { OptionsError, unknownType, wantedOf, type Flags } from './options.ts'
import type { Answer } from './question.ts'

/** The command, for the `eniway` program to add to its own. */
export const maxPodsCommand = (): Command =>
  new Command('max-pods')
    .description("Say how many pods a machine has addresses for: the value of kubelet's maxPods.")
    .requiredOption('--cloud <name>', 'aws, azure or alibaba')
    .requiredOption('--instance-type <type>', 'such as m5.large, Standard_D4s_v5, ecs.g7.large')
    .option('--block-size <length>', '32 for single addresses, 28 or auto for blocks of 16', '32')
    .option('--ip-families <names>', 'of which every pod gets an address: ipv4, ipv6', 'ipv4')
    .option('--reserve <amount>', 'addresses kept spare for cooling: 10, or a rate: 20/min', '0')
    .option('--cooling-seconds <number>', 'how long a released address rests, for a rate', '30')
    .option('--host-network <count>', 'pods without an address (default: 2 on aws, else 0)')
    .option('--nics-max <count>', 'NICs used at most, as nicsMaximum of the daemon')
    .option('--live', "ask the cloud instead of eniway's own figures, with your credentials")
    .option('--region <name>', 'where --live asks (default: of the environment, or this machine)')
    .addOption(
      new Option('--subscription <id>', "Azure's, for --live").env('AZURE_SUBSCRIPTION_ID'),
    )
    .addOption(outputOption())
    .action(async (flags: Flags) => {
      process.exitCode = await run(flags)
    })

const run = async (flags: Flags): Promise<number> => {
  try {
    const wanted = wantedOf(flags)
    const found = await find(flags, wanted.cloud)
    if (typeof found === 'string') return refuse(found, 1)
    const answer = maxPodsOf({ ...wanted, figures: found })
    process.stdout.write(flags.output === 'json' ? `${JSON.stringify(answer)}\n` : textOf(answer))
    return 0
  } catch (error) {
    if (!(error instanceof OptionsError || error instanceof CountError)) throw error
    return refuse(error.message, 2)
  }
}

/** Figures, or one sentence why the cloud gave none. */
const find = async (flags: Flags, cloud: Answer['cloud']): Promise<Figures | string> => {
  const { instanceType, region, subscription } = flags
  if (flags.live !== true) {
    const figures = figuresOf(cloud, instanceType)
    if (figures !== undefined) return figures
    throw new OptionsError(unknownType(cloud, instanceType))
  }
  const { liveFigures } = await import('./live.ts')
  const answer = await liveFigures({ cloud, instanceType, region, subscription })
  switch (answer.kind) {
    case 'known':
      return answer.figures
    case 'failed':
      return answer.message
    case 'unknown':
      throw new OptionsError(unknownType(cloud, instanceType))
  }
}

const refuse = (why: string, code: number): number => {
  process.stderr.write(`cannot count pods: ${why}\n`)
  return code
}

/** The answer for people. */
export const textOf = (answer: Answer): string => {
  const { instanceType, maxPods, arithmetic, notes, source } = answer
  return [
    `${instanceType}: maxPods ${maxPods}\n\n`,
    ...arithmetic.map(line => `  ${line}\n`),
    '\n',
    ...notes.map(paragraph),
    paragraph(`Figures: ${source}.`),
  ].join('')
}
