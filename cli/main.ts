// The eniway command: one sub-command per program, each in a folder that knows how to run it.
// Exit codes: 0 all well, 1 it failed, 2 it was called wrongly.

import { Command, CommanderError } from 'commander'
import { emulatorCommand } from '#emulator/main.ts'
import { demoCommand } from './demo/command.ts'
import { outputOption } from './ask.ts'
import { cniCommand } from './cni/command.ts'
import { conformCommand } from './conform/command.ts'
import { installCommand } from './install.ts'
import { ipamdCommand } from './ipamd.ts'
import { maxPodsCommand } from './max-pods/command.ts'
import { statusCommand } from './status.ts'
import { whyCommand } from './why.ts'
import { version } from './version.ts'

const versionCommand = (): Command =>
  new Command('version')
    .description('Print the version of eniway.')
    .addOption(outputOption())
    .action(({ output }: { output: 'text' | 'json' }) => {
      const text = output === 'json' ? JSON.stringify({ version }) : `eniway ${version}`
      process.stdout.write(`${text}\n`)
    })

const program = new Command('eniway')
  .description('One VPC-native CNI for Kubernetes on every cloud.')
  .version(version)
  .showHelpAfterError('Run it with --help to see what there is.')

const commands = [
  ipamdCommand(),
  statusCommand(),
  whyCommand(),
  demoCommand(),
  emulatorCommand(),
  installCommand(),
  maxPodsCommand(),
  cniCommand().addCommand(conformCommand()),
  versionCommand(),
]

for (const command of commands) {
  program.addCommand(command.copyInheritedSettings(program).exitOverride())
}

try {
  await program.exitOverride().parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  // Help and version were asked for; everything else is a mistake of the caller.
  process.exitCode = error.exitCode === 0 ? 0 : 2
}
