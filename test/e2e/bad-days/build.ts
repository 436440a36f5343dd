// Builds what these tests run: addon, executable, bundle. Nothing happens when they are fresh.

import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { nodeBinary } from '#emulator/fabric/node.ts'

/** The project's directory. */
export const root = join(import.meta.dirname, '../../..')

/** Each tool does nothing when its product is newer than its sources. */
export const buildAll = (): void => {
  for (const tool of ['native', 'shim', 'bundle']) {
    execFileSync(nodeBinary(), [`tools/${tool}.mjs`], { cwd: root, stdio: 'ignore' })
  }
}
