// `eniway why NAMESPACE/NAME`: why a pod waits for its address, or which one it has.

import { Command } from 'commander'
import { ask, type AskOptions, outputOption, portOption } from './ask.ts'

export const whyCommand = (): Command =>
  new Command('why')
    .description('Say why a pod of this node waits for its address, or which one it has.')
    .argument('<pod>', 'NAMESPACE/NAME')
    .addOption(portOption())
    .addOption(outputOption())
    .action(async (pod: string, options: AskOptions) => {
      const asked = await ask(`/v1/why?pod=${encodeURIComponent(pod)}`, options)
      if (asked.kind !== 'answered') {
        process.stderr.write(`eniway why: ${asked.message}\n`)
        process.exitCode = 1
        return
      }
      const { state, why } = asked.value as { readonly state: string; readonly why: string }
      const text = options.output === 'json' ? JSON.stringify(asked.value) : `${state}: ${why}`
      process.stdout.write(`${text}\n`)
    })
