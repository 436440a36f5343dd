// `eniway ipamd`: this process becomes the built daemon, which is ready in half the time and holds
// half the memory of the sources and the command line together.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { nodeFlags } from '#runtime/memory.ts'

type Options = { readonly config?: string; readonly seed?: string }

const bundle = join(import.meta.dirname, '..', 'dist', 'ipamd.cjs')

export const ipamdCommand = (): Command =>
  new Command('ipamd')
    .description('Run the node daemon, which keeps addresses warm and wires pods.')
    .option('--config <file>', 'YAML configuration; see docs/configuration.md')
    .option('--seed <text>', 'makes every random choice repeatable')
    .action(async ({ config, seed }: Options) => {
      if (existsSync(bundle)) become({ config, seed })
      const { runDaemon } = await import('#ipamd/main.ts')
      process.exit(await runDaemon({ config, seed }))
    })

// Never returns: signals, standard error and process id stay as they are.
const become = (options: Readonly<Record<keyof Options, string | undefined>>): void => {
  const args = Object.entries(options).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, value],
  )
  process.execve?.(process.execPath, [process.execPath, ...nodeFlags, bundle, ...args])
}
