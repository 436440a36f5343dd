// The configuration: defaults, files, environment, and mistakes in words a user can act on.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { defaultConfig } from '#core/initial.ts'
import { defaultPool } from '#core/names.ts'
import { ConfigError, coreConfig, leafKeys, loadConfig, schema, variableName } from './config.ts'

const directory = mkdtempSync(join(tmpdir(), 'eniway-config-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

type Environment = Readonly<Record<string, string | undefined>>

const fileOf = (text: string): string => {
  const file = join(directory, 'config.yaml')
  writeFileSync(file, text)
  return file
}
const load = (text: string, environment: Environment = {}) => loadConfig(fileOf(text), environment)

/** The message of the refusal, without the name of the file. */
const refusal = (text: string, environment: Environment = {}): string => {
  try {
    load(text, environment)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    return (error as Error).message.replace(join(directory, 'config.yaml'), 'FILE')
  }
  return 'accepted'
}
const check = (text: string, want: string | RegExp) =>
  typeof want === 'string' ? expect(refusal(text)).toBe(want) : expect(refusal(text)).toMatch(want)

test('nothing said: the defaults of the core', () => {
  const { rates, ...plain } = coreConfig(loadConfig(undefined, {}))
  expect(plain).toEqual({
    ...defaultConfig,
    rates: undefined,
    ...plain,
    pools: defaultConfig.pools,
  })
  expect(plain.coolingMs).toBe(defaultConfig.coolingMs)
  expect(rates).toEqual(defaultConfig.rates)
})

test.each(['', '# only a comment\n', '{}', 'null'])('an empty file (%j) is as none', text =>
  expect(load(text)).toEqual(loadConfig(undefined, {})),
)

test('every value reaches the core in its unit', () => {
  const config = coreConfig(
    load(`
ipFamilies: [ipv6]
pool: { warmTarget: 3, minimum: 2, maximum: 50, blockSize: auto, coolingSeconds: 1.5 }
nat: { enabled: false, exclude: [172.16.9.9/12, '2001:DB8::1/32'] }
podMtu: 1400
nicsMaximum: 2
intervals: { observeSeconds: 30, appearWithinSeconds: 90 }
budget: { lend: { burst: 3, perSecond: 0.25 } }
`),
  )
  expect(config).toMatchObject({
    families: [6],
    blockLength: 'auto',
    coolingMs: 1_500,
    observeEveryMs: 30_000,
    appearWithinMs: 90_000,
    nat: { isEnabled: false, exclusions: ['172.16.0.0/12', '2001:db8::/32'] },
    podMtu: 1_400,
    nicsMax: 2,
  })
  expect(config.pools.get(defaultPool)).toEqual({ warmTarget: 3, minimum: 2, maximum: 50 })
  expect(config.rates.lend).toEqual({ capacity: 3, perSecond: 0.25 })
  expect(config.rates.create).toEqual(defaultConfig.rates.create)
})

test.each([
  ['[ipv4]', [4]],
  ['[ipv6]', [6]],
  ['[ipv4, ipv6]', [4, 6]],
  ['[ipv6, ipv4]', [4, 6]],
])('families %s: IPv4 comes first', (text, families) =>
  expect(coreConfig(load(`ipFamilies: ${text}`)).families).toEqual(families),
)

test('unset and 0 differ', () => {
  const pool = (text: string) => coreConfig(load(text)).pools.get(defaultPool)
  expect(pool('pool: {}')?.maximum).toBeUndefined()
  expect(pool('pool: { maximum: 0 }')?.maximum).toBe(0)
  expect(pool('pool: { warmTarget: 0 }')?.warmTarget).toBe(0)
  expect(pool('pool: {}')?.warmTarget).toBe(5)
})

test.each([
  ['warmTarget: 5', 'unknown key warmTarget; see docs/configuration.md for the keys there are'],
  ['pool: { warm: 5 }', 'unknown key pool.warm; see docs/configuration.md for the keys there are'],
  ['pool: { warmTarget: -1 }', /^pool\.warmTarget is -1, but /],
  ['pool: { warmTarget: 1.5 }', /^pool\.warmTarget is 1\.5, but /],
  ['pool: { warmTarget: many }', /^pool\.warmTarget is "many", but /],
  ['pool: { warmTarget: }', /^pool\.warmTarget is null, but /],
  ['pool: { blockSize: 24 }', /^pool\.blockSize is 24, but /],
  ['pool: 5', /^pool is 5, but /],
  ['ipFamilies: [ipv6, ipv6]', 'ipFamilies is ["ipv6","ipv6"], but must name each family once'],
  ['ipFamilies: []', 'ipFamilies is [], but must name ipv4, ipv6 or both'],
  ['ipFamilies: [ipv5]', /^ipFamilies\.0 is "ipv5", but /],
  ['cloud: azur', /^cloud is "azur", but /],
  ['aws: { subnets: [vsw-1] }', 'aws.subnets.0 is "vsw-1", but must be a subnet id, subnet-…'],
  ['alibaba: { subnets: [subnet-1] }', /^alibaba\.subnets\.0 is "subnet-1", but must be a vSwitch/],
  ['azure: { subnets: [a] }', /^unknown key azure; /],
  ['nat: { exclude: [10.0.0.300/8] }', /^nat\.exclude\.0 is "10\.0\.0\.300\/8", but "10/],
  ['socket: cni.sock', 'socket is "cni.sock", but must be an absolute path'],
  ['aws: { subnets: [vpc-1] }', 'aws.subnets.0 is "vpc-1", but must be a subnet id, subnet-…'],
  ['budget: { lend: { perSecond: 0 } }', /^budget\.lend\.perSecond is 0, but /],
  ['nicsMaximum: 128', /^nicsMaximum is 128, but /],
])('%s is refused in one sentence', (text, want) => {
  const message = refusal(text)
  expect(message.startsWith('cannot use the configuration FILE: ')).toBe(true)
  const sentence = message.slice('cannot use the configuration FILE: '.length)
  if (typeof want === 'string') expect(sentence).toBe(want)
  else expect(sentence).toMatch(want)
})

test('every mistake is told, not the first only', () =>
  expect(
    refusal('pool: { warmTarget: -1, minimum: -2 }\nfoo: 1').split('; ').length,
  ).toBeGreaterThan(2))

test('text that is no YAML, or no mapping', () => {
  check('pool: [', /^cannot use the configuration FILE: it is not YAML: /)
  check('- a\n- b', 'cannot use the configuration FILE: it must hold keys and values')
  check('just words', 'cannot use the configuration FILE: it must hold keys and values')
})

test('a file that is not there', () =>
  expect(() => loadConfig(join(directory, 'none.yaml'), {})).toThrow(
    /^cannot read the configuration .*none\.yaml: ENOENT; name an existing file$/,
  ))

test('the environment outweighs the file', () => {
  const environment = {
    ENIWAY_POOL_WARM_TARGET: '9',
    ENIWAY_POOL_COOLING_SECONDS: '0.5',
    ENIWAY_NAT_ENABLED: 'false',
    ENIWAY_CLOUD: 'aws',
    ENIWAY_NODE: 'worker-1',
    OTHER: 'x',
  }
  const config = load('pool: { warmTarget: 1, minimum: 2 }', environment)
  expect(config.pool).toMatchObject({ warmTarget: 9, minimum: 2, coolingSeconds: 0.5 })
  expect(config.nat.enabled).toBe(false)
  expect(config.node).toBe('worker-1')
})

test('lists in the environment are separated by commas; one item is a list too', () => {
  const list = (text: string) => load('', { ENIWAY_AWS_SUBNETS: text }).aws.subnets
  expect(list('subnet-1,subnet-2')).toEqual(['subnet-1', 'subnet-2'])
  expect(list('subnet-1')).toEqual(['subnet-1'])
})

test('text stays text, also when it looks like a number', () =>
  expect(load('', { ENIWAY_NODE: '42' }).node).toBe('42'))

test('an empty variable is as unset', () =>
  expect(load('', { ENIWAY_POOL_WARM_TARGET: '' }).pool.warmTarget).toBe(5))

test('an unknown ENIWAY_ variable is refused', () =>
  expect(refusal('', { ENIWAY_POOL_WARM: '1' })).toBe(
    'the environment variable ENIWAY_POOL_WARM is unknown; see docs/configuration.md',
  ))

test('a mistake in a variable is told by its key', () =>
  expect(refusal('', { ENIWAY_POOL_WARM_TARGET: 'x' })).toMatch(/pool\.warmTarget is "x", but /))

test('the environment cannot hide that a section of the file is wrong', () =>
  expect(refusal('pool: 5', { ENIWAY_POOL_WARM_TARGET: '1' })).toMatch(/pool is 5, but /))

test('a file is not changed by what the environment says of the same section', () => {
  const first = load('pool: { minimum: 2 }', { ENIWAY_POOL_WARM_TARGET: '1' })
  const second = load('pool: { minimum: 2 }')
  expect([first.pool.warmTarget, second.pool.warmTarget]).toEqual([1, 5])
})

test('each key has one variable, and no two share one', () => {
  const names = leafKeys(schema.shape).map(variableName)
  expect(new Set(names).size).toBe(names.length)
  expect(names).toContain('ENIWAY_BUDGET_LEND_PER_SECOND')
  expect(names).toContain('ENIWAY_AWS_SUBNET_TAGS')
  for (const name of names) expect(name).toMatch(/^ENIWAY_[A-Z0-9_]+$/)
})

// docs/configuration.md is made from these.
test('every value says what it is for', () => {
  const silent = leafKeys(schema.shape).filter(keys => {
    let shape: Readonly<Record<string, unknown>> = schema.shape
    let field: unknown
    for (const key of keys) {
      field = shape[key]
      const inner = field as { shape?: typeof shape; unwrap?: () => { shape?: typeof shape } }
      shape = inner.shape ?? inner.unwrap?.().shape ?? {}
    }
    return (field as { description?: string }).description === undefined
  })
  expect(silent.map(keys => keys.join('.')).filter(key => !key.startsWith('budget.'))).toEqual([])
})
