// The RPC format's parameters: a flat list of `Name`, `List.N` and `List.N.Member`. Parameters that
// nobody reads are ignored, as the real API ignores them.
import { type Cidr, type Ip, baseOf, parseCidr, parseIp } from '#core/ip.ts'
import { ApiError, invalidParameter, missingParameter } from './errors.ts'
import { flagOf, indexesOf, integerOf } from '#emulator/wire/params.ts'
import type { Tags } from '#emulator/model/types.ts'

/** One call's parameters; every reader throws the ApiError that a bad value deserves. */
export interface Params {
  /** Undefined when absent or empty. */
  readonly text: (name: string) => string | undefined
  readonly required: (name: string) => string
  /** `Name.1`, `Name.2`, …; more than `max` are refused. */
  readonly list: (name: string, max: number) => readonly string[]
  /** Readers of the members of `Name.1`, `Name.2`, … */
  readonly structures: (name: string, max: number) => readonly Params[]
  readonly integer: (name: string) => number | undefined
  /** A count between 1 and `max`; 0 when absent. */
  readonly count: (name: string, max: number) => number
  readonly flag: (name: string) => boolean | undefined
  /** A list that is written as JSON in one parameter; undefined when absent. */
  readonly jsonList: (name: string, max: number) => readonly string[] | undefined
  /** All parameters but those that choose the page: what tells one listing from another. */
  readonly listing: () => string
}

const pageNames = ['MaxResults', 'NextToken', 'PageNumber', 'PageSize']

export const readParams = (form: URLSearchParams, prefix = ''): Params => {
  const text = (name: string): string | undefined => form.get(prefix + name) || undefined
  const indexes = (name: string, max: number): readonly number[] => {
    const found = indexesOf(form.keys(), `${prefix}${name}.`)
    if (found.length <= max) return found
    throw invalidParameter(`${name}.N`, `Valid values of N: 1 to ${max}.`)
  }
  const whole = (name: string): number | undefined =>
    integerOf(text(name), () => invalidParameter(name))
  return {
    text,
    required: name => {
      const value = text(name)
      if (value === undefined) throw missingParameter(prefix + name)
      return value
    },
    list: (name, max) => indexes(name, max).map(index => text(`${name}.${index}`) ?? ''),
    structures: (name, max) =>
      indexes(name, max).map(index => readParams(form, `${prefix}${name}.${index}.`)),
    integer: whole,
    count: (name, max) => {
      const value = whole(name)
      if (value === undefined) return 0
      if (!(value >= 1 && value <= max)) throw invalidParameter(name, `Valid values: 1 to ${max}.`)
      return value
    },
    flag: name => flagOf(text(name), () => invalidParameter(name)),
    jsonList: (name, max) => jsonList(name, text(name), max),
    listing: () => JSON.stringify([...form].filter(([name]) => !pageNames.includes(name))),
  }
}

/** Address parameters, all of one family and none twice. */
export const addresses = (
  name: string,
  values: readonly string[],
  family: 4 | 6,
): readonly Ip[] => {
  const parsed = values.map(value => {
    const address = parseIp(value)
    const isRight = address !== undefined && address.includes(':') === (family === 6)
    if (!isRight && family === 6) throw badAddress('InvalidIp.Address', value)
    if (!isRight) throw badAddress('InvalidVSwitchId.IpInvalid', value)
    return address
  })
  if (new Set(parsed).size < parsed.length) throw repeated(name)
  return parsed
}

/** Prefix parameters, none twice; host bits must be zero. */
export const prefixes = (name: string, values: readonly string[]): readonly Cidr[] => {
  const parsed = values.map(value => {
    const prefix = parseCidr(value)
    const isStandard =
      prefix !== undefined && baseOf(prefix) === parseIp(value.split('/', 1)[0] ?? '')
    if (!isStandard) throw invalidParameter(name, `"${value}" is no CIDR block.`)
    return prefix
  })
  if (new Set(parsed).size < parsed.length) throw repeated(name)
  return parsed
}

/** Tags per call: `Tag.N.Key` and `Tag.N.Value`. */
const tagsMax = 20
const tagLengthMax = 128

/** Tags to be set; keys and values are checked as the API reference says. */
export const readTags = (params: Params): Tags => {
  const pairs = params.structures('Tag', tagsMax).map(tag => {
    const key = tag.text('Key') ?? ''
    const value = tag.text('Value') ?? ''
    checkTag(key, value)
    return [key, value] as const
  })
  if (new Set(pairs.map(([key]) => key)).size < pairs.length) {
    throw new ApiError('Duplicate.TagKey', 'The Tag.N.Key contain duplicate key.')
  }
  return Object.fromEntries(pairs)
}

/** Tags to look for; a missing value matches every value. */
export const readTagFilters = (params: Params): readonly TagFilter[] =>
  params
    .structures('Tag', tagsMax)
    .map(tag => ({ key: tag.text('Key') ?? '', value: tag.text('Value') }))

export interface TagFilter {
  readonly key: string
  readonly value: string | undefined
}

/** True when a thing has all of these tags. */
export const hasTags = (tags: Tags, filters: readonly TagFilter[]): boolean =>
  filters.every(
    ({ key, value }) => Object.hasOwn(tags, key) && (value === undefined || tags[key] === value),
  )

const checkTag = (key: string, value: string): void => {
  const isReserved = key.startsWith('aliyun') || key.startsWith('acs:')
  if (key === '' || key.length > tagLengthMax || isReserved || hasUrl(key)) {
    throw new ApiError('InvalidTagKey.Malformed', 'The specified Tag.n.Key is not valid.')
  }
  if (value.length > tagLengthMax || value.startsWith('acs:') || hasUrl(value)) {
    throw new ApiError('InvalidTagValue.Malformed', 'The specified Tag.n.Value is not valid.')
  }
}

const hasUrl = (text: string): boolean => /https?:\/\//.test(text)

const badAddress = (code: string, value: string): ApiError =>
  new ApiError(code, `The specified ip "${value}" is invalid.`)

const repeated = (name: string): ApiError =>
  new ApiError('InvalidIp.IpRepeated', `The specified ${name} is repeated.`)

const jsonList = (
  name: string,
  text: string | undefined,
  max: number,
): readonly string[] | undefined => {
  if (text === undefined) return undefined
  const value = parseJson(text)
  const isList = Array.isArray(value) && value.every(one => typeof one === 'string')
  if (!isList || value.length > max) throw invalidParameter(name)
  return value
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
