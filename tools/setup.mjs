// Makes a clone ready to run: npm packages, Debian packages, the two C pieces and the bundle.
// Runs on whatever Node the machine has; does nothing when nothing is missing. Prints to stderr
// only.
//
//   node tools/setup.mjs [--npm-only] [GROUP…]
//
// Groups of Debian packages beyond what the program itself needs: runtime, peer (tools/debian.mjs).

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

const say = text => process.stderr.write(`eniway set-up: ${text}\n`)

const fail = text => {
  say(text)
  process.exit(1)
}

// npm writes this file last; it names what is installed.
const installed = join(root, 'node_modules', '.package-lock.json')

const arePackagesFresh = () => {
  if (!existsSync(installed) || !existsSync(join(root, 'node_modules', '.bin', 'node')))
    return false
  return statSync(installed).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs
}

const installPackages = () => {
  if (arePackagesFresh()) return
  say('installing npm packages (npm ci)')
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], {
    cwd: root,
    // Standard output belongs to the command that follows.
    stdio: ['ignore', 2, 2],
  })
  if (status !== 0) fail('npm ci failed; see above, then run the command again')
}

const checkNode = () => {
  const node = join(root, 'node_modules', '.bin', 'node')
  const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' })
  const wanted = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).devDependencies.node
  if (stdout?.trim() !== `v${wanted}`) {
    fail(
      `Node ${wanted} did not come with npm ci (found ${stdout?.trim() ?? 'none'}); allow the ` +
        'install script of the npm package "node", or run: npm rebuild node',
    )
  }
}

const options = process.argv.slice(2)
if (process.platform !== 'linux') fail('eniway runs on Linux only')
installPackages()
checkNode()
if (!options.includes('--npm-only')) {
  const { ensureDebianPackages } = await import('./debian.mjs')
  ensureDebianPackages(['network', 'certificates', 'compile', ...options])
  const { buildNative } = await import('./native.mjs')
  const { buildShim } = await import('./shim.mjs')
  const { buildBundle } = await import('./bundle.mjs')
  buildNative()
  buildShim()
  if (await buildBundle()) say('bundle built')
  if (options.includes('runtime')) {
    const { containerd2 } = await import('./newer.mjs')
    const newer = containerd2({ again: true })
    // No reason to stop: the tests of it say the same and leave it at that.
    if (newer.kind === 'missing') say(`no containerd 2 for the tests: ${newer.reason}`)
  }
}
