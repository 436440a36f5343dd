// The options of `eniway max-pods` made into values; every wrong one is one sentence.

import { cloudOf, clouds, nearTypes, type CloudName } from './figures.ts'
import type { FamilyName, Question, Reserve } from './question.ts'

/** As the command line gives them; values may be wrong. */
export type Flags = {
  readonly cloud: string
  readonly instanceType: string
  readonly blockSize: string
  readonly ipFamilies: string
  readonly reserve: string
  readonly coolingSeconds: string
  readonly hostNetwork?: string
  readonly nicsMax?: string
  readonly live?: true
  readonly region?: string
  readonly subscription?: string
  readonly output: 'text' | 'json'
}

/** Values that cannot be used; the message is one sentence. */
export class OptionsError extends Error {
  override readonly name = 'OptionsError'
}

const nicsMaxMax = 127
const countMax = 65_536
const coolingSecondsMax = 3600

/** Everything but the figures; throws OptionsError. */
export const wantedOf = (flags: Flags): Omit<Question, 'figures'> => {
  const cloud = cloudNamed(flags.cloud)
  return {
    cloud,
    blockSize: blockSizeOf(flags.blockSize),
    families: familiesOf(flags.ipFamilies),
    reserve: reserveOf(flags),
    hostNetwork:
      flags.hostNetwork === undefined
        ? hostNetworkDefaults[cloud]
        : countOf('--host-network', flags.hostNetwork, { min: 0, max: countMax }),
    nicsMax:
      flags.nicsMax === undefined
        ? undefined
        : countOf('--nics-max', flags.nicsMax, { min: 1, max: nicsMaxMax }),
  }
}

// AWS's published figures count two pods on the host network, its CNI and kube-proxy; the others
// publish none, so that a number without address is added only when somebody asks for it.
const hostNetworkDefaults: Readonly<Record<CloudName, number>> = { aws: 2, azure: 0, alibaba: 0 }

/** One sentence for a type that nobody knows. */
export const unknownType = (cloud: CloudName, instanceType: string): string => {
  const what = `there is no figure for the instance type "${instanceType}" of ${cloud}`
  const elsewhere = cloudOf(instanceType)
  if (elsewhere !== undefined && elsewhere !== cloud) {
    return `${what}; it is one of ${elsewhere}: use --cloud ${elsewhere}`
  }
  const near = nearTypes(cloud, instanceType)
  return near.length === 0
    ? `${what}; correct the name, or ask the cloud with --live`
    : `${what}; did you mean ${orOf(near)}? A newer type can be asked for with --live`
}

const orOf = (words: readonly string[]): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`

const cloudNamed = (text: string): CloudName => {
  const cloud = clouds.find(name => name === text)
  if (cloud !== undefined) return cloud
  throw new OptionsError(`--cloud is "${text}", but it must be ${orOf(clouds)}`)
}

const blockSizeOf = (text: string): Question['blockSize'] => {
  switch (text) {
    case '32':
      return 32
    case '28':
      return 28
    case 'auto':
      return 'auto'
    default:
      throw new OptionsError(`--block-size is "${text}", but it must be 32, 28 or auto`)
  }
}

const familiesOf = (text: string): readonly FamilyName[] => {
  const names = text.split(',').map(name => name.trim())
  const isKnown = names.every(name => name === 'ipv4' || name === 'ipv6')
  if (!isKnown || new Set(names).size !== names.length) {
    throw new OptionsError(
      `--ip-families is "${text}", but it must be ipv4, ipv6 or ipv4,ipv6, each once`,
    )
  }
  return (['ipv4', 'ipv6'] as const).filter(name => names.includes(name))
}

type Range = { readonly min: number; readonly max: number }

const countOf = (option: string, text: string, { min, max }: Range): number => {
  const count = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (count >= min && count <= max) return count
  throw new OptionsError(
    `${option} is "${text}", but it must be a whole number from ${min} to ${max}`,
  )
}

const secondsPer: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3600 }

// A rate is pods replaced; each leaves an address that rests for the cooling time.
const reserveOf = ({ reserve: text, coolingSeconds }: Flags): Reserve => {
  const seconds = countOf('--cooling-seconds', coolingSeconds, { min: 0, max: coolingSecondsMax })
  const rate = /^(\d{1,6}(?:\.\d{1,6})?)\/(s|min|h)$/.exec(text)
  if (rate === null && !/^\d+$/.test(text)) {
    throw new OptionsError(
      `--reserve is "${text}", but it must be a number of addresses such as 10, or pods replaced ` +
        'in a time such as 20/min, 2/s or 600/h',
    )
  }
  if (rate === null) {
    const addresses = countOf('--reserve', text, { min: 0, max: countMax })
    return { addresses, because: 'as asked' }
  }
  const [, pods = '', unit = ''] = rate
  const addresses = Math.ceil((Number(pods) * seconds) / (secondsPer[unit] ?? 1))
  const because = `${pods} pods replaced per ${unit} x ${seconds} s of cooling`
  return { addresses, because }
}
