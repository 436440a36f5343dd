// The EC2 Query format: a flat form of `Name`, `List.N` and `List.N.Member` parameters. Every read
// is remembered, so that a parameter nobody knows is refused as EC2 refuses it.
import { type Cidr, type Ip, parseCidr, parseIp } from '#core/ip.ts'
import type { Tags } from '#emulator/model/types.ts'
import { flagOf, indexesOf, integerOf } from '#emulator/wire/params.ts'
import { Ec2Error } from './errors.ts'

/** One call's parameters; every reader throws the Ec2Error that a bad value deserves. */
export interface Params {
  readonly text: (name: string) => string | undefined
  readonly required: (name: string) => string
  readonly list: (name: string) => readonly string[]
  /** Readers of the members of `Name.1`, `Name.2`, … */
  readonly structures: (name: string) => readonly Params[]
  readonly integer: (name: string) => number | undefined
  readonly flag: (name: string) => boolean | undefined
  /** Refuses what no reader asked for: call it after all reads. */
  readonly finish: () => void
}

/** A CIDR or address list longer than this is refused; also bounds list gaps. */
const listMax = 1000

export const readParams = (form: URLSearchParams): Params => {
  const used = new Set<string>(['Action', 'Version'])
  for (const name of form.keys()) {
    if (form.getAll(name).length > 1) {
      throw new Ec2Error('InvalidParameterCombination', `The parameter ${name} is given twice`)
    }
  }
  const finish = (): void => {
    const unknown = [...form.keys()].find(name => !used.has(name))
    if (unknown !== undefined) {
      throw new Ec2Error('UnknownParameter', `The parameter ${unknown} is not recognized`)
    }
  }
  return { ...reader({ form, used }, ''), finish }
}

interface Source {
  readonly form: URLSearchParams
  readonly used: Set<string>
}

const reader = (source: Source, prefix: string): Params => {
  const text = (name: string): string | undefined => {
    source.used.add(prefix + name)
    return source.form.get(prefix + name) ?? undefined
  }
  const indexes = (name: string): readonly number[] => {
    const start = `${prefix}${name}.`
    const found = indexesOf(source.form.keys(), start)
    if (!(found.length <= listMax)) throw invalidValue(start, `${found.length} values`)
    return found
  }
  const bad = (name: string, why: string) => (value: string) =>
    invalidValue(prefix + name, value, why)
  return {
    text,
    required: name => {
      const value = text(name)
      if (value === undefined || value === '') throw missingParameter(prefix + name)
      return value
    },
    list: name => indexes(name).map(index => text(`${name}.${index}`) ?? ''),
    structures: name => indexes(name).map(index => reader(source, `${prefix}${name}.${index}.`)),
    integer: name => integerOf(text(name), bad(name, 'Expecting an integer.')),
    flag: name => flagOf(text(name), bad(name, 'Expecting true or false.')),
    finish: () => undefined,
  }
}

/** The error for a parameter that must be given. */
export const missingParameter = (name: string): Ec2Error =>
  new Ec2Error('MissingParameter', `The request must contain the parameter ${name}`)

/** The error for a value that cannot be right. */
export const invalidValue = (name: string, value: string, why = ''): Ec2Error =>
  new Ec2Error(
    'InvalidParameterValue',
    `Value (${value}) for parameter ${name} is invalid.${why === '' ? '' : ` ${why}`}`,
  )

/** Refuses an id that has not the form `prefix-` and 8 or 17 hexadecimal digits. */
export const checkId = (id: string, prefix: string, malformed: string): string => {
  if (new RegExp(`^${prefix}-([0-9a-f]{8}|[0-9a-f]{17})$`).test(id)) return id
  throw new Ec2Error(malformed, `Invalid id: "${id}" (expecting "${prefix}-...")`)
}

export const nicId = (id: string): string =>
  checkId(id, 'eni', 'InvalidNetworkInterfaceID.Malformed')

/** Address parameters, all of one family. */
export const addresses = (name: string, values: readonly string[], family: 4 | 6): readonly Ip[] =>
  values.map(value => {
    const parsed = parseIp(value)
    const isRight = parsed !== undefined && parsed.includes(':') === (family === 6)
    if (!isRight) throw invalidValue(name, value, `Invalid IPv${family} address.`)
    return parsed
  })

/** Prefix parameters; host bits must be zero. */
export const prefixes = (name: string, values: readonly string[]): readonly Cidr[] =>
  values.map(value => {
    const parsed = parseCidr(value)
    if (parsed === undefined) throw invalidValue(name, value, 'Invalid CIDR block.')
    return parsed
  })

/** `Tag.N.Key` and `Tag.N.Value`. */
export const tags = (structures: readonly Params[]): Tags => {
  const pairs = structures.map(tag => [tag.required('Key'), tag.text('Value') ?? ''] as const)
  for (const [key] of pairs) checkTagKey(key)
  if (new Set(pairs.map(([key]) => key)).size < pairs.length) {
    throw new Ec2Error('InvalidParameterValue', 'Duplicate tag keys are not allowed')
  }
  return Object.fromEntries(pairs)
}

const checkTagKey = (key: string): void => {
  if (key.toLowerCase().startsWith('aws:')) {
    throw new Ec2Error(
      'InvalidParameterValue',
      "Tag keys starting with 'aws:' are reserved for internal use",
    )
  }
  if (key.length > 127) throw invalidValue('Tag.Key', key, 'Tag keys have at most 127 characters.')
}
