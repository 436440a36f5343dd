// A small CNI plugin that does everything right, but for the one fault it is started with: what the
// conformance suite is tried on. With the role "ipam" it only keeps addresses.

import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'

// Its own input, which it takes as it comes.
// oxlint-disable-next-line typescript/no-explicit-any
type Json = Record<string, any>

const env = process.env
const [fault = '', role = '', state = ''] = process.argv.slice(2)
const has = (name: string): boolean => fault === name
const all = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0']
const at = (version: string): number => all.indexOf(version)

class Refusal extends Error {
  readonly code: number
  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

const refuse = (code: number, message: string): never => {
  throw new Refusal(code, message)
}

const verb = env['CNI_COMMAND'] ?? ''
const containerId = env['CNI_CONTAINERID'] ?? ''
const netns = env['CNI_NETNS'] ?? ''
const wantedName = env['CNI_IFNAME'] ?? ''
const isBadName = wantedName.length > 15 || /[/:\s]/.test(wantedName) || /^\.\.?$/.test(wantedName)
const ifName = isBadName && has('takes any CNI_IFNAME') ? 'ewany0' : wantedName

const ip = (...argv: readonly string[]): string =>
  execFileSync('ip', argv, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
const inPod = (...argv: readonly string[]): string => ip('-n', basename(netns), ...argv)

const namespaceOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.ino ?? 0
const isOwn = (): boolean => namespaceOf(netns) === namespaceOf('/proc/self/ns/net')

const checkVariables = (): void => {
  const needed: Readonly<Record<string, readonly string[]>> = {
    ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
    CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME'],
    DEL: ['CNI_CONTAINERID', 'CNI_IFNAME'],
  }
  const missing = (needed[verb] ?? []).filter(name => (env[name] ?? '') === '')
  if (missing.length > 0) {
    refuse(4, `missing ${has('names the first missing only') ? missing[0] : missing.join(', ')}`)
  }
  if (needed[verb] === undefined) return
  if (!/^\w[\w.-]*$/.test(containerId)) refuse(4, 'bad CNI_CONTAINERID')
  if (isBadName && !has('takes any CNI_IFNAME')) refuse(4, 'bad CNI_IFNAME')
}

const readConfig = (): Json => {
  let text = ''
  try {
    text = readFileSync(0, 'utf8')
  } catch {
    refuse(5, 'cannot read stdin')
  }
  try {
    return JSON.parse(text) as Json
  } catch {
    return refuse(has('code 9 for bad JSON') ? 9 : 6, 'cannot decode')
  }
}

const introduced: Json = {
  ADD: '0.1.0',
  DEL: '0.1.0',
  CHECK: '0.4.0',
  STATUS: '1.1.0',
  GC: '1.1.0',
}

const checkConfig = (config: Json): void => {
  if (!/^\w[\w.-]*$/.test(String(config['name'] ?? ''))) refuse(7, 'bad name')
  const known = has('takes lower case') ? verb.toUpperCase() : verb
  if (introduced[known] === undefined) refuse(4, `unknown command ${verb}`)
  const isKnown = all.includes(config['cniVersion'])
  const isOld = at(config['cniVersion']) < at(introduced[known]) && !has('CHECK in any version')
  if (!isKnown || isOld) refuse(1, 'incompatible version')
  const unknown = Object.keys(config).find(key => key.startsWith('eniway-conform'))
  if (unknown !== undefined && has('refuses unknown keys')) refuse(7, `unknown key ${unknown}`)
  const ports: unknown = config['runtimeConfig']?.portMappings ?? []
  if (!Array.isArray(ports) && !has('takes any capability')) refuse(7, 'bad portMappings')
}

// Addresses: one directory per address, holding who has it.

const owner = `${containerId}:${ifName}`
const book = join(state, 'addresses')
const held = (): readonly string[] => (existsSync(book) ? readdirSync(book) : [])
const ownerOf = (address: string): string => {
  try {
    return readFileSync(join(book, address, 'owner'), 'utf8')
  } catch {
    return ''
  }
}
const wantedIp = (): string => /(?:^|;)IP=([^;]*)/.exec(env['CNI_ARGS'] ?? '')?.[1] ?? ''

const take = (): string => {
  mkdirSync(book, { recursive: true })
  if (has('gives everybody one address')) return '10.89.0.2'
  const wanted = wantedIp()
  const candidates =
    wanted === '' ? Array.from({ length: 250 }, (_, i) => `10.89.0.${i + 2}`) : [wanted]
  for (const address of candidates) {
    try {
      mkdirSync(join(book, address))
    } catch {
      continue
    }
    writeFileSync(join(book, address, 'owner'), owner)
    return address
  }
  return refuse(11, 'no address is free')
}

const release = (whose: (owner: string) => boolean): void => {
  for (const address of held()) {
    if (whose(ownerOf(address))) rmSync(join(book, address), { recursive: true, force: true })
  }
}

// The delegate, when the configuration names one.

const delegate = (config: Json, command: string, previous = config): Json | undefined => {
  const type: unknown = config['ipam']?.type
  if (typeof type !== 'string' || role === 'ipam') return undefined
  if (type.includes('/')) refuse(7, 'a slash in ipam.type')
  const directory = (env['CNI_PATH'] ?? '').split(':').find(path => existsSync(join(path, type)))
  if (directory === undefined) return refuse(7, `no ${type} in CNI_PATH`)
  const given = has('gives its delegate ipam only')
    ? { cniVersion: config['cniVersion'], name: config['name'], ipam: config['ipam'] }
    : previous
  const { status, stdout, stderr } = spawnSync(join(directory, type), [], {
    input: JSON.stringify(given),
    env: { ...env, CNI_COMMAND: command },
    encoding: 'utf8',
  })
  if (!has('swallows stderr')) process.stderr.write(stderr)
  if (status === 0) return stdout === '' ? {} : (JSON.parse(stdout) as Json)
  const error = JSON.parse(stdout) as Json
  return refuse(Number(error['code']), String(error['msg']))
}

const hostName = (who = owner): string =>
  `ewf${createHash('sha256').update(who).digest('hex').slice(0, 10)}`

// What is written down of an attachment, for GC.
const notes = (network: string): string => join(state, 'attachments', network)

const add = (config: Json): string => {
  if (isOwn() && !has('acts before the guard')) refuse(8, 'CNI_NETNS is the own namespace')
  if (role === 'ipam') return render(config, ipamResult(take()))
  const isDelegated = config['ipam'] !== undefined
  try {
    const answer = delegate(config, 'ADD')
    const given = answer?.['ips']?.[0]?.address ?? answer?.['ip4']?.ip
    if (isDelegated && given === undefined && !has('needs no address')) refuse(7, 'no address')
    const address = String(given ?? (isDelegated ? '10.89.1.1' : take())).replace(/\/.*/, '')
    const result = wire(address)
    mkdirSync(notes(config['name']), { recursive: true })
    writeFileSync(join(notes(config['name']), owner), '')
    if (isOwn()) refuse(8, 'CNI_NETNS is the own namespace')
    return render(config, merge(config, result))
  } catch (error) {
    if (has('does not roll back') || has('acts before the guard')) throw error
    spawnSync('ip', ['link', 'delete', hostName()], { stdio: 'ignore' })
    if (isDelegated) delegate(config, 'DEL')
    release(who => who === owner)
    throw error
  }
}

const ipamResult = (address: string): Json => ({
  ...(has('IPAM names interfaces') ? { interfaces: [{ name: ifName }] } : {}),
  ips: [{ address: `${address}/32`, gateway: '169.254.1.1' }],
})

const wire = (address: string): Json => {
  const name = hostName()
  const peer = ['peer', 'name', ifName, 'netns', basename(netns)]
  if (has('takes over a taken name')) {
    spawnSync('ip', ['-n', basename(netns), 'link', 'delete', ifName], { stdio: 'ignore' })
  }
  ip('link', 'add', name, 'type', 'veth', ...peer)
  inPod('address', 'add', `${address}/32`, 'dev', ifName)
  inPod('link', 'set', ifName, 'up')
  inPod('route', 'add', '169.254.1.1', 'dev', ifName)
  inPod('route', 'add', 'default', 'via', '169.254.1.1', 'dev', ifName)
  ip('link', 'set', name, 'up')
  ip('route', 'replace', `${address}/32`, 'dev', name)
  return {
    interfaces: [
      ...(has('hides its host interface')
        ? []
        : [{ name, mac: macOf(ip('-j', 'link', 'show', name)) }]),
      { name: ifName, mac: macOf(inPod('-j', 'link', 'show', ifName)), sandbox: netns },
    ],
    ips: [
      {
        address: has('gives no prefix length') ? address : `${address}/32`,
        gateway: '169.254.1.1',
        interface: has('hides its host interface') ? 0 : 1,
      },
    ],
    routes: [{ dst: has('names a route of nobody') ? '203.0.113.0/24' : '0.0.0.0/0' }],
  }
}

const macOf = (text: string): string => (JSON.parse(text) as Json[])[0]?.['address'] ?? ''

const merge = (config: Json, ours: Json): Json => {
  const before = config['prevResult'] as Json | undefined
  const dns = config['dns'] ?? before?.['dns']
  if (before === undefined || has('drops prevResult')) return { ...ours, ...(dns ? { dns } : {}) }
  const shift = before['interfaces']?.length ?? 0
  const ips = ours['ips'].map((entry: Json) => ({
    ...entry,
    interface: entry['interface'] + shift,
  }))
  const join = (key: string, list: Json[]): Json[] =>
    has('puts its own first')
      ? [...list, ...(before[key] ?? [])]
      : [...(before[key] ?? []), ...list]
  return {
    interfaces: join('interfaces', ours['interfaces']),
    ips: join('ips', ips),
    routes: join('routes', ours['routes']),
    ...(dns ? { dns } : {}),
  }
}

const render = (config: Json, result: Json): string => {
  const asked: string = has('answers in 1.0.0 always') ? '1.0.0' : config['cniVersion']
  if (at(asked) >= at('1.0.0')) return JSON.stringify({ cniVersion: asked, ...result })
  if (at(asked) >= at('0.3.0')) {
    const ips = result['ips'].map((entry: Json) => ({ ...entry, version: '4' }))
    return JSON.stringify({ cniVersion: asked, ...result, ips })
  }
  const [first] = result['ips']
  const ip4 = { ip: first.address, gateway: first.gateway, routes: result['routes'] ?? [] }
  return JSON.stringify({ cniVersion: asked, ip4, dns: result['dns'] ?? {} })
}

const del = (config: Json): string => {
  if (isOwn() && !/^(?:1|true)$/i.test(env['CNI_NETNS_OVERRIDE'] ?? '')) refuse(8, 'own namespace')
  if (has('DEL needs prevResult') && !config['prevResult']) refuse(7, 'no prevResult')
  if (has('DEL needs a namespace') && namespaceOf(netns) === 0) refuse(100, 'no namespace')
  if (role === 'ipam' && has('IPAM needs a namespace') && namespaceOf(netns) === 0) return ''
  const file = join(notes(config['name']), owner)
  if (has('DEL works once') && role === '' && !existsSync(file)) refuse(3, 'unknown container')
  try {
    delegate(config, 'DEL')
  } catch (error) {
    if (!has('loses the error of its delegate')) throw error
  }
  if (has('DEL leaves a link'))
    spawnSync('ip', ['link', 'add', `ewl${process.pid}`, 'type', 'veth'])
  spawnSync('ip', ['link', 'delete', hostName()], { stdio: 'ignore' })
  rmSync(file, { force: true })
  release(who => who === owner)
  if (has('DEL frees by address')) freeByAddress(config)
  return has('DEL talks') ? 'done' : ''
}

const freeByAddress = (config: Json): void => {
  for (const { address } of (config['prevResult']?.ips ?? []) as Json[]) {
    spawnSync('ip', ['route', 'delete', address], { stdio: 'ignore' })
    rmSync(join(book, String(address).replace(/\/.*/, '')), { recursive: true, force: true })
  }
}

const check = (config: Json): string => {
  if (has('CHECK says yes')) return ''
  const before = config['prevResult'] as Json | undefined
  if (before === undefined) return refuse(7, 'no prevResult')
  if (config['daemon'] !== undefined) refuse(100, 'no daemon')
  if (role === 'ipam')
    return held().some(address => ownerOf(address) === owner) ? '' : refuse(100, 'gone')
  if (has('CHECK repairs')) ip('address', 'replace', '192.0.2.9/32', 'dev', hostName())
  const [link] = JSON.parse(inPod('-j', 'address', 'show', ifName)) as Json[]
  const here = ((link?.['addr_info'] ?? []) as Json[]).map(
    ({ local, prefixlen }) => `${local}/${prefixlen}`,
  )
  const routes = JSON.parse(inPod('-j', 'route', 'show')) as Json[]
  const [ours] = before['ips'] as Json[]
  const host = ip('route', 'show', 'dev', hostName())
  const [hostLink] = JSON.parse(ip('-j', 'link', 'show', hostName())) as Json[]
  if (!here.includes(ours?.['address'])) refuse(100, 'the address is not there')
  if (!routes.some(({ dst }) => dst === 'default')) refuse(100, 'the route is not there')
  if (!host.includes(String(ours?.['address']).replace(/\/.*/, ''))) refuse(100, 'no host route')
  if (!hostLink?.['flags'].includes('UP')) refuse(100, 'the host end is down')
  if (has('CHECK tolerates nothing') && before['routes'].length > 1) refuse(100, 'unknown route')
  delegate(config, 'CHECK')
  return ''
}

const status = (config: Json): string => {
  if (has('STATUS is slow')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500)
  if (has('STATUS says yes')) return ''
  if (config['daemon'] !== undefined) refuse(has('STATUS uses code 7') ? 7 : 50, 'no daemon')
  if (!has('keeps STATUS to itself')) delegate(config, 'STATUS')
  return ''
}

const gc = (config: Json): string => {
  const list = config['cni.dev/valid-attachments'] as Json[] | undefined
  if (has('GC does nothing') || (list === undefined && !has('GC needs no list'))) return ''
  const valid = new Set((list ?? []).map(entry => `${entry['containerID']}:${entry['ifname']}`))
  const networks = has('GC of every network')
    ? readdirSync(join(state, 'attachments'))
    : [config['name']]
  for (const network of networks) collect(notes(network), valid)
  delegate(config, 'GC')
  return has('GC talks') ? '{}' : ''
}

const collect = (directory: string, valid: ReadonlySet<string>): void => {
  for (const who of existsSync(directory) ? readdirSync(directory) : []) {
    if (valid.has(who)) continue
    spawnSync('ip', ['link', 'delete', hostName(who)], { stdio: 'ignore' })
    release(other => other === who)
    rmSync(join(directory, who), { force: true })
  }
}

const version = (): string =>
  JSON.stringify({
    cniVersion: '1.1.0',
    supportedVersions: has('VERSION is a text') ? all.join() : all,
  })

const run = (): string => {
  if (verb === '') return refuse(4, 'missing CNI_COMMAND')
  if (verb === 'VERSION') return version()
  checkVariables()
  const config = readConfig()
  checkConfig(config)
  const verbs: Readonly<Record<string, (config: Json) => string>> = {
    ADD: add,
    DEL: del,
    CHECK: check,
    STATUS: status,
    GC: gc,
  }
  return verbs[verb.toUpperCase()]?.(config) ?? ''
}

try {
  process.stdout.write(run())
} catch (error) {
  const code = error instanceof Refusal ? error.code : 100
  const text = JSON.stringify({ code, msg: (error as Error).message })
  const isHidden = has('errors go to stderr')
  ;(isHidden ? process.stderr : process.stdout).write(text)
  process.exitCode = has('exit 0 on errors') ? 0 : 1
}
