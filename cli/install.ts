// `eniway install`: what the daemon does when it is ready, by hand: executable and conflist.

import { join } from 'node:path'
import { Command, Option } from 'commander'
import { chosenVersion, conflist, versionChoices, type VersionChoice } from '#cni/conflist.ts'
import { installConflist, installExecutable } from '#cni/install.ts'
import { outputOption } from './ask.ts'

type InstallOptions = {
  readonly binDir: string
  readonly confDir: string
  readonly socket: string
  readonly cniVersion: VersionChoice
  readonly output: 'text' | 'json'
}

export const installCommand = (): Command =>
  new Command('install')
    .description('Put the CNI executable and the configuration list where the runtime looks.')
    .option('--bin-dir <directory>', "the runtime's plugin directory", '/opt/cni/bin')
    .option('--conf-dir <directory>', "the runtime's configuration directory", '/etc/cni/net.d')
    .option('--socket <path>', 'where the daemon listens', '/run/eniway/cni.sock')
    .addOption(
      new Option(
        '--cni-version <version>',
        'CNI version of the list; auto: the runtime chooses, and one that cannot uses 1.0.0',
      )
        .choices(versionChoices)
        .default('auto'),
    )
    .addOption(outputOption())
    .action(async ({ binDir, confDir, socket, cniVersion, output }: InstallOptions) => {
      const source = join(import.meta.dirname, '..', 'dist', 'bin', 'eniway')
      const text = conflist({ socket, ...chosenVersion(cniVersion) })
      try {
        const files = [
          await installExecutable({ source, binDirectory: binDir }),
          await installConflist({ configDirectory: confDir, text }),
        ]
        const lines = files.map(({ path, change }) => `${path} ${change}`)
        process.stdout.write(
          output === 'json' ? `${JSON.stringify({ files })}\n` : `${lines.join('\n')}\n`,
        )
      } catch (error) {
        process.stderr.write(
          `eniway install: ${error instanceof Error ? error.message : String(error)}\n`,
        )
        process.exitCode = 1
      }
    })
