// The configuration object a plugin reads on stdin: the keys every plugin shares. Keys of one
// plugin alone are read by that plugin from `raw`; unknown keys are never an error.

import { codes, failed, parsed, type Failure, type Parsed } from './failure.ts'
import { isObject, parseObject, show, type JsonObject } from './json.ts'
import { isName, nameRule } from './names.ts'
import { noDns, type Dns } from './result.ts'
import { impliedVersion, isVersion, newestVersion, parseVersion, type Version } from './versions.ts'

/** The part that must be sound before anything else is looked at. */
export type ConfigHead = {
  readonly raw: JsonObject
  /** Readable, but not yet known to be supported. */
  readonly cniVersion: string
  readonly name: string
}

export type NetworkConfig = {
  readonly raw: JsonObject
  readonly cniVersion: Version
  readonly name: string
  /** Capability arguments by name; empty when the runtime gave none. */
  readonly runtimeConfig: JsonObject
  readonly dns: Dns
  /** Unchecked: a DEL must not fail on it, see previousResult. */
  readonly prevResult: unknown
}

/** Reads stdin: failure 6 for text or versions that cannot be read, 7 for a bad name. */
export const parseHead = (text: string): Parsed<ConfigHead> => {
  const object = parseObject(text, 'the network configuration on stdin')
  if (object.kind === 'failed') return object
  const { cniVersion = '', name = '' } = object.value
  if (typeof cniVersion !== 'string' || parseVersion(cniVersion) === undefined) {
    return failed(
      codes.decoding,
      `cniVersion ${show(cniVersion)} cannot be read; write a version such as "${newestVersion}"`,
    )
  }
  if (typeof name !== 'string' || !isName(name)) {
    return invalid('name', name, `a network name: ${nameRule}`)
  }
  return parsed({ raw: object.value, cniVersion: cniVersion || impliedVersion, name })
}

/** The version to answer in, taken from a text that may be anything; the newest when unclear. */
export const answerVersion = (text: string): Version => {
  const object = parseObject(text, 'stdin')
  if (object.kind === 'failed') return newestVersion
  const { cniVersion = impliedVersion } = object.value
  return typeof cniVersion === 'string' && isVersion(cniVersion) ? cniVersion : newestVersion
}

/** Exact text decides: failure 1 with both sides in its details. */
export const requireVersion = (
  cniVersion: string,
  supported: readonly Version[],
): Parsed<Version> => {
  const found = supported.find(version => version === cniVersion)
  if (found !== undefined) return parsed(found)
  return failed(
    codes.incompatibleVersion,
    `cniVersion ${show(cniVersion)} of the configuration is not supported here`,
    `config is ${show(cniVersion)}, plugin supports ${show(supported)}`,
  )
}

/** Reads the shared keys; failure 7 names the key, its value and what is allowed. */
export const parseConfig = (head: ConfigHead, cniVersion: Version): Parsed<NetworkConfig> => {
  const { runtimeConfig = {}, dns = {}, prevResult } = head.raw
  if (!isObject(runtimeConfig)) return invalid('runtimeConfig', runtimeConfig, 'an object')
  const settings = parseDns(dns)
  if (settings.kind === 'failed') return settings
  return parsed({
    raw: head.raw,
    cniVersion,
    name: head.name,
    runtimeConfig,
    dns: settings.value,
    prevResult: prevResult ?? undefined,
  })
}

/** Attachments that stay, from a GC request. */
export type ValidAttachment = { readonly containerId: string; readonly ifName: string }

/**
 * The list of a GC request under its present or its first name. Undefined when there is none: then
 * nothing may be collected. JSON null counts as none, being what an unset list becomes in Go.
 */
export const parseValidAttachments = (
  raw: JsonObject,
): Parsed<readonly ValidAttachment[] | undefined> => {
  const key = isNothing(raw['cni.dev/valid-attachments'])
    ? 'cni.dev/attachments'
    : 'cni.dev/valid-attachments'
  const list = raw[key]
  if (isNothing(list)) return parsed(undefined)
  const found = Array.isArray(list) ? list.map(readAttachment) : [undefined]
  return found.every(entry => entry !== undefined)
    ? parsed(found)
    : invalid(key, list, 'a list of objects with the strings containerID and ifname')
}

/** Failure 7 for one key. */
export const invalid = (key: string, value: unknown, allowed: string): Failure =>
  failed(
    codes.invalidConfig,
    value === undefined || value === ''
      ? `${key} is missing in the network configuration; it must be ${allowed}`
      : `${key} is ${show(value)} in the network configuration; it must be ${allowed}`,
  )

const isNothing = (value: unknown): value is undefined | null =>
  value === undefined || value === null

const readAttachment = (value: unknown): ValidAttachment | undefined => {
  if (!isObject(value)) return undefined
  const { containerID, ifname } = value
  if (typeof containerID !== 'string' || typeof ifname !== 'string') return undefined
  return { containerId: containerID, ifName: ifname }
}

/** Reads a dns object of a configuration or a result; absent keys are empty. */
export const parseDns = (value: unknown): Parsed<Dns> => {
  if (isNothing(value)) return parsed(noDns)
  if (!isObject(value)) return invalid('dns', value, 'an object')
  const { domain = '' } = value
  if (typeof domain !== 'string') return invalid('dns.domain', domain, 'a string')
  const lists = ['nameservers', 'search', 'options'].map(key => value[key] ?? [])
  const bad = lists.find(list => !isStrings(list))
  if (bad !== undefined) return invalid('dns', value, 'an object whose lists hold strings')
  const [nameservers = [], search = [], options = []] = lists as string[][]
  return parsed({ nameservers, domain, search, options })
}

const isStrings = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every(entry => typeof entry === 'string')
