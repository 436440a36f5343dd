// Finds the system programs that building, showing and testing need, and installs the Debian
// packages of those that are missing. Plain JavaScript, because it runs before Node 24 is there.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * What is needed for what: a program found on the path, or a file by its absolute name, and the
 * Debian package that brings it.
 */
const groups = {
  network: { ip: 'iproute2', nft: 'nftables', nsenter: 'util-linux' },
  // The emulated Azure API speaks TLS with a certificate that is made at its start.
  certificates: { openssl: 'openssl' },
  // stdio.h stands for libc6-dev, which also brings the static libc.
  compile: { gcc: 'gcc', '/usr/include/stdio.h': 'libc6-dev', 'musl-gcc': 'musl-tools' },
  // Package busybox installs the same file name, but linked dynamically: useless in an image.
  runtime: {
    containerd: 'containerd',
    runc: 'runc',
    podman: 'podman',
    '/var/lib/dpkg/info/busybox-static.list': 'busybox-static',
  },
  // libFuzzer and the sanitizers are in a package of their own, named after clang's version.
  fuzz: {
    clang: 'clang',
    'llvm-cov': 'llvm',
    '/usr/lib/llvm-14/lib/clang/14.0.6/lib': 'libclang-rt-14-dev',
  },
  afl: { 'afl-fuzz': 'afl++' },
  peer: { '/usr/lib/cni/ptp': 'containernetworking-plugins' },
}

const groupNames = Object.keys(groups)

// Fast when nothing is missing, because it only looks at files.
const missingPackages = names => {
  const needs = names.flatMap(name => Object.entries(groupOf(name)))
  const missing = needs.filter(([what]) => !isHere(what)).map(([, package_]) => package_)
  return [...new Set(missing)]
}

/**
 * Makes the programs of the groups available: does nothing when all are there, installs what is
 * missing as root, and otherwise says in one sentence what to install and exits with 1.
 */
export const ensureDebianPackages = names => {
  const packages = missingPackages(names)
  if (packages.length === 0) return
  if (process.getuid?.() !== 0) giveUp(packages, 'not running as root')
  if (!isHere('apt-get')) giveUp(packages, 'there is no apt-get on this system')
  console.error(`installing Debian packages: ${packages.join(' ')}`)
  // The package lists of a fresh machine are empty or old: after a failure, once more with new
  // ones.
  const installed = install(packages) || (aptGet(['update', '-q']) && install(packages))
  if (!installed) giveUp(packages, 'apt-get failed, see above')
  const still = missingPackages(names)
  if (still.length > 0) giveUp(still, 'apt-get installed them but their programs are not found')
}

const groupOf = name => {
  const group = groups[name]
  if (group === undefined) throw new Error(`no group "${name}"; there are ${groupNames.join(', ')}`)
  return group
}

// Root's path on Debian may lack the sbin directories when it was inherited from a user.
const directories = () => [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin']

const isHere = what =>
  what.startsWith('/') ? existsSync(what) : directories().some(path => existsSync(join(path, what)))

const install = packages =>
  aptGet(['install', '-q', '--yes', '--no-install-recommends', ...packages])

// Its output goes to stderr: stdout may be promised to one JSON object.
const aptGet = args =>
  spawnSync('apt-get', args, {
    stdio: ['ignore', 2, 2],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  }).status === 0

const giveUp = (packages, why) => {
  const command = `apt-get install --no-install-recommends ${packages.join(' ')}`
  console.error(`cannot set up: ${packages.join(', ')} missing and ${why}; run as root: ${command}`)
  process.exit(1)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const names = process.argv.slice(2)
  ensureDebianPackages(names.length === 0 ? groupNames : names)
}
