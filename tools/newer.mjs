// Brings containerd 2 to a machine whose own Debian has an older one, for the tests: the package of
// a newer suite, from the mirror that the machine itself is configured with, unpacked into dist/
// and installed nowhere. Plain JavaScript, because it runs before Node 24 is there.

import { spawnSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const place = join(root, 'dist', 'debian')
const unpacked = join(place, 'containerd')
const programs = join(unpacked, 'usr', 'bin')
const recordFile = join(place, 'containerd.json')

/** Names of suites that every mirror has, whatever they are called this year. */
const suites = ['testing', 'unstable']

const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg'
const majorMin = 2

// A mirror that does not answer must not hold up the tests for long.
const updateMs = 60_000
const downloadMs = 120_000

/**
 * Where containerd 2 is, or why there is none. A found one is not asked for again, a failure only
 * with `again`: whoever sets up tries, and tests take what that came to.
 */
export const containerd2 = ({ again = false } = {}) => {
  const own = versionIn('/usr/bin')
  if (own !== undefined && majorOf(own) >= majorMin) {
    return { kind: 'found', directory: '/usr/bin', origin: "this machine's own package" }
  }
  const known = readRecord()
  // The clone may have been moved since.
  if (known?.kind === 'found' && existsSync(programs)) return { ...known, directory: programs }
  if (known?.kind === 'missing' && !again) return known
  const record = fetchNewer()
  mkdirSync(place, { recursive: true })
  writeFileSync(recordFile, `${JSON.stringify(record)}\n`)
  return record
}

const readRecord = () => {
  try {
    return JSON.parse(readFileSync(recordFile, 'utf8'))
  } catch {
    return undefined
  }
}

const versionIn = directory =>
  runQuietly(join(directory, 'containerd'), ['--version']).stdout?.split(' ')[2]

const majorOf = version => Number(/^v?(\d+)\./.exec(version)?.[1] ?? 0)

const missing = reason => ({ kind: 'missing', reason })

const fetchNewer = () => {
  const mirror = mirrorOfMachine()
  if (mirror === undefined) return missing('apt on this machine names no Debian mirror')
  const reasons = []
  for (const suite of suites) {
    const outcome = fetchFrom(mirror, suite)
    if (outcome.kind === 'found') return outcome
    reasons.push(`${suite}: ${outcome.reason}`)
  }
  return missing(reasons.join('; '))
}

// The suite that carries the name of the release is Debian's own; its security updates and packages
// of others come from other places. What is printed is what would be loaded; nothing is.
const mirrorOfMachine = () => {
  const release = /^VERSION_CODENAME=(\w+)$/m.exec(osRelease())?.[1]
  const { stdout } = runQuietly('apt-get', ['update', '--print-uris'])
  return new RegExp(`^'(\\S+)/dists/${release}/InRelease'`, 'm').exec(stdout ?? '')?.[1]
}

const osRelease = () =>
  existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : ''

const fetchFrom = (mirror, suite) => {
  rmSync(place, { recursive: true, force: true })
  for (const directory of ['lists/partial', 'cache/archives/partial', 'new']) {
    mkdirSync(join(place, directory), { recursive: true })
  }
  const signed = existsSync(keyring) ? `[signed-by=${keyring}] ` : ''
  writeFileSync(join(place, 'sources.list'), `deb ${signed}${mirror} ${suite} main\n`)
  try {
    return unpackFrom(suite)
  } finally {
    for (const name of ['lists', 'cache', 'new', 'sources.list']) {
      rmSync(join(place, name), { recursive: true, force: true })
    }
  }
}

const unpackFrom = suite => {
  const updated = apt(['update', '-q'], updateMs)
  if (updated.status !== 0) return missing(`apt-get update failed: ${lastWords(updated)}`)
  const offered = versionOffered()
  if (!(majorOf(offered) >= majorMin)) {
    return missing(`it offers containerd ${offered || 'in no version'}, not ${majorMin} or newer`)
  }
  const loaded = apt(['download', '-q', 'containerd'], downloadMs)
  const archive = readdirSync(join(place, 'new')).find(name => name.endsWith('.deb'))
  if (archive === undefined) return missing(`apt-get download failed: ${lastWords(loaded)}`)
  return takePrograms(join(place, 'new', archive), `Debian ${suite}, containerd ${offered}`)
}

// It was built for a newer C library: only running it tells whether this machine's will do.
const takePrograms = (archive, origin) => {
  const whole = join(place, 'new', 'whole')
  const opened = runQuietly('dpkg-deb', ['-x', archive, whole])
  if (opened.status !== 0) return missing(`dpkg-deb failed: ${lastWords(opened)}`)
  const tried = runQuietly(join(whole, 'usr', 'bin', 'containerd'), ['--version'])
  if (tried.status !== 0) return missing(`${origin} does not run here: ${lastWords(tried)}`)
  mkdirSync(dirname(programs), { recursive: true })
  renameSync(join(whole, 'usr', 'bin'), programs)
  return { kind: 'found', directory: programs, origin }
}

// Of the private root: nothing that is installed, configured or preferred here counts.
const aptOptions = () =>
  [
    ['Dir::Etc::sourcelist', join(place, 'sources.list')],
    ['Dir::Etc::sourceparts', '/dev/null'],
    ['Dir::Etc::preferences', '/dev/null'],
    ['Dir::Etc::preferencesparts', '/dev/null'],
    ['Dir::State::lists', join(place, 'lists')],
    ['Dir::State::status', '/dev/null'],
    ['Dir::Cache', join(place, 'cache')],
    ['Acquire::Languages', 'none'],
    ['Acquire::IndexTargets::deb::DEP-11::DefaultEnabled', 'false'],
    ['Acquire::http::Timeout', '10'],
    ['Acquire::Retries', '1'],
    // Otherwise a mirror that does not answer is a warning.
    ['APT::Update::Error-Mode', 'any'],
    ['APT::Sandbox::User', 'root'],
  ].flatMap(([key, value]) => ['-o', `${key}=${value}`])

const apt = (words, timeout) =>
  runQuietly('apt-get', [...aptOptions(), ...words], { cwd: join(place, 'new'), timeout })

const versionOffered = () => {
  const words = [...aptOptions(), 'show', '--no-all-versions', 'containerd']
  return /^Version: (.*)$/m.exec(runQuietly('apt-cache', words).stdout ?? '')?.[1] ?? ''
}

const runQuietly = (command, words, more = {}) =>
  spawnSync(command, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...more })

// The whole story is long; apt says why in its first line of errors, others in their last.
const lastWords = ({ error, stderr, stdout }) => {
  const lines = `${stdout ?? ''}\n${stderr ?? ''}`.split('\n').filter(line => line.trim() !== '')
  const line = lines.find(each => each.startsWith('E: ')) ?? lines.at(-1)
  return error?.message ?? line?.trim() ?? 'it said nothing'
}
