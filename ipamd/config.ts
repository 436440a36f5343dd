// The daemon's configuration: one schema with defaults and limits beside each field, read once from
// a YAML file and ENIWAY_* variables. docs/configuration.md is generated from it.

import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { parse } from 'yaml'
import { z } from 'zod'
import { versionChoices } from '#cni/conflist.ts'
import { defaultConfig } from '#core/initial.ts'
import { bothFamilies, type Cidr, parseCidr } from '#core/ip.ts'
import { defaultPool } from '#core/names.ts'
import type { CoreConfig } from '#core/state.ts'
import { logLevels } from '#runtime/log.ts'
import { cloudSections } from './clouds.ts'

const count = (limits: { readonly min: number; readonly max: number }) =>
  z.number().int().min(limits.min).max(limits.max)

const seconds = (defaultMs: number, limits: { readonly min: number; readonly max: number }) =>
  z
    .number()
    .min(limits.min)
    .max(limits.max)
    .default(defaultMs / 1000)

const addressesMax = 65_536
const rate = defaultConfig.rates

const path = z.string().startsWith('/', 'must be an absolute path').max(107)

const cidrText = z.string().transform((text, context): Cidr => {
  const parsed = parseCidr(text)
  if (parsed !== undefined) return parsed
  context.addIssue(`"${text}" is not a prefix such as 10.0.0.0/8`)
  return z.NEVER
})

const budget = (name: keyof typeof rate) =>
  z
    .strictObject({
      burst: z.number().min(1).max(1000).default(rate[name].capacity),
      perSecond: z.number().positive().max(1000).default(rate[name].perSecond),
    })
    .prefault({})
    .describe(`Calls this node may make to ${callWords[name]}.`)

const callWords = {
  describe: 'describe the instance, its NICs and subnets',
  lend: 'lend addresses or prefixes to a NIC',
  return: 'return addresses or prefixes',
  create: 'create NICs',
  attach: 'attach NICs',
  detach: 'detach NICs',
  delete: 'delete NICs',
} as const

const poolSchema = z
  .strictObject({
    warmTarget: count({ min: 0, max: addressesMax })
      .default(5)
      .describe('Addresses kept ready beyond those in use and waited for. 0 keeps none.'),
    minimum: count({ min: 0, max: addressesMax })
      .default(0)
      .describe('Addresses held at least, in use or not.'),
    maximum: count({ min: 0, max: addressesMax })
      .optional()
      .describe('Addresses held at most. Unset: what the instance type allows.'),
    blockSize: z
      .union([z.literal(32), z.literal(28), z.literal('auto')])
      .default(32)
      .describe(
        'Single addresses (32), /28 prefixes (28), or /28 where they can be had (auto). /28 falls ' +
          'back to single addresses in subnets without a free /28.',
      ),
    coolingSeconds: seconds(defaultConfig.coolingMs, { min: 0, max: 3600 }).describe(
      'How long a released address rests before another pod gets it.',
    ),
    settleSeconds: seconds(defaultConfig.settleMs, { min: 0, max: 600 }).describe(
      'How long a lent block rests before packets are sure to flow.',
    ),
    releaseAfterSeconds: seconds(defaultConfig.releaseAfterMs, { min: 0, max: 86_400 }).describe(
      'How long a surplus lasts before addresses are returned.',
    ),
  })
  .refine(({ minimum, maximum }) => maximum === undefined || minimum <= maximum, {
    path: ['minimum'],
    message: 'must be at most pool.maximum',
  })

export const schema = z.strictObject({
  node: z
    .string()
    .min(1)
    .max(253)
    .default(() => hostname())
    .describe("Name of the node. Unset: the machine's host name."),
  cloud: z
    .enum(['aws', 'azure', 'alibaba'])
    .default('aws')
    .describe('Which cloud this node runs in.'),
  socket: path
    .default('/run/eniway/cni.sock')
    .describe('Where the CNI executable finds the daemon.'),
  stateDirectory: path
    .default('/run/eniway')
    .describe('Where the ledger is kept. It must not outlive a reboot unless pods do.'),
  httpPort: count({ min: 0, max: 65_535 })
    .default(61_680)
    .describe('Port on 127.0.0.1 for metrics, health and state. 0 lets the kernel choose.'),
  logLevel: z.enum(logLevels).default('info').describe('Least important log lines to print.'),
  cni: z
    .strictObject({
      install: z
        .boolean()
        .default(true)
        .describe('Put executable and configuration list in place when the daemon is ready.'),
      binDirectory: path.default('/opt/cni/bin').describe("The runtime's directory of plugins."),
      configDirectory: path
        .default('/etc/cni/net.d')
        .describe("The runtime's directory of configuration lists."),
      version: z
        .enum(versionChoices)
        .default('auto')
        .describe(
          'CNI version of the list. auto: the runtime chooses, and one that cannot uses 1.0.0; see ' +
            'docs/runtimes.md.',
        ),
      timeoutSeconds: count({ min: 1, max: 600 })
        .optional()
        .describe('How long an ADD may wait for an address. Unset: 60.'),
    })
    .prefault({}),
  ipFamilies: z
    .array(z.enum(['ipv4', 'ipv6']))
    .min(1, 'must name ipv4, ipv6 or both')
    .refine(names => new Set(names).size === names.length, 'must name each family once')
    .default(['ipv4'])
    .describe(
      'Families of which every pod gets one address: ipv4, ipv6 or both, in whatever order; IPv4 ' +
        'comes first in results. The targets of the pool hold for each family.',
    ),
  pool: poolSchema.prefault({}),
  nat: z
    .strictObject({
      enabled: z
        .boolean()
        .default(true)
        .describe("Give traffic that leaves the VPC the node's primary address."),
      exclude: z
        .array(cidrText)
        .max(256)
        .default([])
        .describe('Further destinations reached with the own address of the pod.'),
    })
    .prefault({}),
  podMtu: count({ min: 576, max: 65_535 })
    .optional()
    .describe("MTU of pod links. Unset: that of the pod's NIC."),
  nicsMaximum: count({ min: 1, max: 127 })
    .optional()
    .describe('NICs used at most, the primary included. Unset: what the instance type allows.'),
  intervals: z
    .strictObject({
      observeSeconds: seconds(defaultConfig.observeEveryMs, { min: 1, max: 3600 }).describe(
        'How often the cloud is asked what is true.',
      ),
      reconcileSeconds: seconds(defaultConfig.reconcileEveryMs, { min: 1, max: 3600 }).describe(
        'How often the kernel is compared with what is desired.',
      ),
      appearWithinSeconds: seconds(defaultConfig.appearWithinMs, { min: 5, max: 3600 }).describe(
        'How long a NIC may take to appear before it is given up.',
      ),
      consistencySeconds: seconds(defaultConfig.consistencyMs, { min: 0, max: 600 }).describe(
        "For how long the cloud's descriptions may lag behind its answers.",
      ),
    })
    .prefault({}),
  budget: z
    .strictObject({
      describe: budget('describe'),
      lend: budget('lend'),
      return: budget('return'),
      create: budget('create'),
      attach: budget('attach'),
      detach: budget('detach'),
      delete: budget('delete'),
    })
    .prefault({}),
  ...cloudSections,
})

export type Config = z.output<typeof schema>

/** A configuration that cannot be used; the message is one sentence per mistake, for the user. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/** Reads and checks file and environment. Throws ConfigError and nothing else. */
export const loadConfig = (
  file: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Config => {
  const raw = file === undefined ? {} : readYaml(file)
  for (const [keys, text] of environmentValues(environment)) place(raw, keys, text)
  const result = schema.safeParse(raw)
  if (result.success) return result.data
  const mistakes = result.error.issues.map(issue => explain(issue, raw))
  throw new ConfigError(
    `cannot use the configuration ${file ?? '(defaults)'}: ${mistakes.join('; ')}`,
  )
}

/** The part of the configuration the core decides by. */
export const coreConfig = (config: Config): CoreConfig => {
  const ms = (value: number): number => Math.round(value * 1000)
  const { pool, intervals, budget: limits } = config
  const rates = Object.fromEntries(
    Object.entries(limits).map(([name, { burst, perSecond }]) => [
      name,
      { capacity: burst, perSecond },
    ]),
  ) as unknown as CoreConfig['rates']
  const { warmTarget, minimum, maximum } = pool
  return {
    families: bothFamilies.filter(family => config.ipFamilies.includes(`ipv${family}`)),
    pools: new Map([[defaultPool, { warmTarget, minimum, maximum }]]),
    blockLength: pool.blockSize,
    coolingMs: ms(pool.coolingSeconds),
    settleMs: ms(pool.settleSeconds),
    releaseAfterMs: ms(pool.releaseAfterSeconds),
    observeEveryMs: ms(intervals.observeSeconds),
    reconcileEveryMs: ms(intervals.reconcileSeconds),
    appearWithinMs: ms(intervals.appearWithinSeconds),
    consistencyMs: ms(intervals.consistencySeconds),
    rates,
    nat: { isEnabled: config.nat.enabled, exclusions: config.nat.exclude },
    podMtu: config.podMtu,
    nicsMax: config.nicsMaximum,
  }
}

const readYaml = (file: string): Record<string, unknown> => {
  const text = readOrExplain(file)
  let value: unknown
  try {
    value = parse(text)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n', 1)[0] : String(cause)
    throw new ConfigError(`cannot use the configuration ${file}: it is not YAML: ${reason}`)
  }
  if (value === null || value === undefined) return {}
  if (typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>
  throw new ConfigError(`cannot use the configuration ${file}: it must hold keys and values`)
}

const readOrExplain = (file: string): string => {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error'
    throw new ConfigError(`cannot read the configuration ${file}: ${code}; name an existing file`)
  }
}

// ENIWAY_POOL_WARM_TARGET=3 is pool.warmTarget: 3. What the text means is told by the field's
// schema: lists are separated by commas, a text is taken as it is, everything else is YAML.
const environmentValues = (
  environment: Readonly<Record<string, string | undefined>>,
): readonly (readonly [readonly string[], unknown])[] => {
  const known = new Map(leafKeys(schema.shape).map(keys => [variableName(keys), keys]))
  return Object.entries(environment).flatMap(([name, text]) => {
    if (!name.startsWith('ENIWAY_') || text === undefined || text === '') return []
    const keys = known.get(name)
    if (keys === undefined) {
      throw new ConfigError(
        `the environment variable ${name} is unknown; see docs/configuration.md`,
      )
    }
    return [[keys, valueOf(text, bareSchema(fieldAt(keys)))] as const]
  })
}

const valueOf = (text: string, field: unknown): unknown => {
  if (field instanceof z.ZodArray) return text.split(',').map(item => item.trim())
  if (field instanceof z.ZodString) return text
  try {
    return parse(text)
  } catch {
    return text
  }
}

const fieldAt = (keys: readonly string[]): unknown =>
  keys.reduce<unknown>((field, key) => objectShape(field)?.[key], schema)

// The schema without its default.
const bareSchema = (field: unknown): unknown => {
  const isWrapped = field instanceof z.ZodDefault || field instanceof z.ZodOptional
  return isWrapped ? bareSchema(field.unwrap()) : field
}

/** ENIWAY_ and the keys in capitals with underscores. */
export const variableName = (keys: readonly string[]): string =>
  `ENIWAY_${keys.map(key => key.replaceAll(/[A-Z]/g, letter => `_${letter}`).toUpperCase()).join('_')}`

/** The keys of every value, as paths; `schema.shape` is their root. */
export const leafKeys = (
  shape: Readonly<Record<string, unknown>>,
): readonly (readonly string[])[] =>
  Object.entries(shape).flatMap(([key, field]) => {
    const inner = objectShape(field)
    if (inner === undefined) return [[key]]
    return leafKeys(inner).map(keys => [key, ...keys])
  })

/** The fields of an object schema, also behind a default; undefined for every other schema. */
export const objectShape = (field: unknown): Readonly<Record<string, unknown>> | undefined => {
  if (field instanceof z.ZodObject) return field.shape
  return field instanceof z.ZodPrefault ? objectShape(field.unwrap()) : undefined
}

const place = (raw: Record<string, unknown>, keys: readonly string[], value: unknown): void => {
  const [key = '', ...rest] = keys
  if (rest.length === 0) raw[key] = value
  else {
    const inner = raw[key] ?? {}
    // Something else than a section: left alone, so that the schema says what is wrong with it.
    if (typeof inner !== 'object' || Array.isArray(inner)) return
    raw[key] = inner
    place(inner as Record<string, unknown>, rest, value)
  }
}

const explain = (issue: z.core.$ZodIssue, raw: Record<string, unknown>): string => {
  const where = issue.path.join('.')
  if (issue.code === 'unrecognized_keys') {
    const names = issue.keys.map(key => [...issue.path, key].join('.')).join(', ')
    return `unknown key ${names}; see docs/configuration.md for the keys there are`
  }
  const value = issue.path.reduce<unknown>(
    (inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key],
    raw,
  )
  return `${where} is ${JSON.stringify(value) ?? 'missing'}, but ${lowerFirst(issue.message)}`
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1)
