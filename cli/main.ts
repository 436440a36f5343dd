// The eniway command: one sub-command per program, each in a folder that knows how to run it.

import { Command } from 'commander'

const version = '0.1.0'

const program = new Command('eniway')
  .description('One VPC-native CNI for Kubernetes on every cloud.')
  .version(version)
  .showHelpAfterError('(see eniway --help)')
  .exitOverride()

program
  .command('ipamd')
  .description('Run the node daemon, which keeps addresses warm and wires pods.')
  .option('--config <file>', 'YAML configuration; see docs/configuration.md')
  .option('--seed <text>', 'makes every random choice repeatable')
  .action(async ({ config, seed }: { config?: string; seed?: string }) => {
    const { runDaemon } = await import('#ipamd/main.ts')
    process.exit(await runDaemon({ config, seed }))
  })

program
  .command('version')
  .description('Print the version of eniway.')
  .action(() => void process.stdout.write(`eniway ${version}\n`))
