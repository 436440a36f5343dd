// Runs short JavaScript inside a node's namespace with the emulator's environment, as a program on
// that machine would.
import { fileURLToPath } from 'node:url'
import { runCommand } from '#emulator/fabric/command.ts'
import { nodeBinary } from '#emulator/fabric/node.ts'

/** Runs a module's text inside a namespace and returns what it prints, parsed as JSON. */
export const evaluate = async (
  netns: string,
  env: Readonly<Record<string, string>>,
  script: string,
): Promise<unknown> => {
  const pairs = Object.entries(env).map(([key, value]) => `${key}=${value}`)
  // From stdin and from the project's root, so that `import` finds its packages.
  const root = fileURLToPath(new URL('../../..', import.meta.url))
  const argv = ['env', '-C', root, ...pairs, nodeBinary(), '--input-type=module', '-']
  return JSON.parse(await runCommand({ netns, argv, input: script })) as unknown
}
