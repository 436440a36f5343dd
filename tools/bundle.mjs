// Bundles the daemon into dist/: one file for it, one for its cloud process and one per provider,
// so that only the active cloud's SDK is ever read. Runs only when a source is newer than that.

import { existsSync, readdirSync, statSync } from 'node:fs'
import { mkdir, rename, writeFile, chmod } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { shaken } from './shaken.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const sources = ['cni', 'core', 'ipamd', 'linux', 'providers', 'runtime', 'tools']
const outputs = {
  'ipamd.cjs': 'ipamd/program.ts',
  'cloud.cjs': 'ipamd/remote/program.ts',
  'provider-aws.cjs': 'providers/aws/cloud.ts',
  'provider-azure.cjs': 'providers/azure/cloud.ts',
  'provider-alibaba.cjs': 'providers/alibaba/cloud.ts',
}

/** True when something was built. */
export const buildBundle = async () => {
  if (isFresh()) return false
  const { build } = await import('esbuild')
  await mkdir(join(root, 'dist', 'bin'), { recursive: true })
  for (const [name, entry] of Object.entries(outputs)) {
    const outfile = join(root, 'dist', `.${name}.new`)
    await build({
      entryPoints: [join(root, entry)],
      outfile,
      bundle: true,
      minify: true,
      keepNames: false,
      platform: 'node',
      target: 'node24',
      format: 'cjs',
      // The ES modules of the SDK can be shaken, its CommonJS build cannot.
      mainFields: ['module', 'main'],
      logOverride: { 'empty-import-meta': 'silent' },
      logLevel: 'warning',
      plugins: [providersApart(name), fewerMetrics, shaken(join(root, 'providers', 'alibaba'))],
    })
    await rename(outfile, join(root, 'dist', name))
  }
  await writeLauncher()
  return true
}

// import('#providers/aws/cloud.ts') becomes require('./provider-aws.cjs') in the cloud process.
const providersApart = name => ({
  name: 'providers-apart',
  setup: build => {
    if (name.startsWith('provider-')) return
    build.onResolve({ filter: /^#providers\/[a-z]+\/cloud\.ts$/ }, ({ path }) => ({
      path: `./provider-${path.split('/')[1]}.cjs`,
      external: true,
    }))
  },
})

// Parts of prom-client that nobody here calls and that load TLS and the cluster module with them:
// 9 MiB of the daemon's memory.
const fewerMetrics = {
  name: 'fewer-metrics',
  setup: build => {
    const filter = /^\.\/lib\/(pushgateway|cluster|defaultMetrics)$/
    build.onResolve({ filter }, ({ path, resolveDir }) =>
      resolveDir.endsWith(join('node_modules', 'prom-client'))
        ? { path, namespace: 'left-out' }
        : undefined,
    )
    build.onLoad({ filter: /.*/, namespace: 'left-out' }, () => ({ contents: '' }))
  },
}

// What the CNI executable runs when somebody calls it with arguments.
const writeLauncher = async () => {
  const path = join(root, 'dist', 'bin', 'eniway-cli')
  const text = `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
node="$here/../../node_modules/.bin/node"
[ -x "$node" ] || node=node
exec "$node" "$here/../../cli/main.ts" "$@"
`
  await writeFile(`${path}.new`, text)
  await chmod(`${path}.new`, 0o755)
  await rename(`${path}.new`, path)
}

const isFresh = () => {
  const built = Object.keys(outputs).map(name => join(root, 'dist', name))
  if (!built.every(path => existsSync(path))) return false
  const oldest = Math.min(...built.map(path => statSync(path).mtimeMs))
  return newestSource() < oldest
}

const newestSource = () => {
  let newest = statSync(join(root, 'package.json')).mtimeMs
  for (const folder of sources.filter(name => existsSync(join(root, name)))) {
    for (const file of readdirSync(join(root, folder), { recursive: true })) {
      const path = join(root, folder, String(file))
      if (/\.(ts|mjs|json)$/.test(path)) newest = Math.max(newest, statSync(path).mtimeMs)
    }
  }
  return newest
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log((await buildBundle()) ? 'bundle built' : 'bundle is up to date')
}
