// What a runtime fills in by capability (CNI conventions, "dynamic plugin specific fields"), for
// those the network configuration asks for. Key case varies: containerd sends `Servers` and
// `HostPort` where the conventions say `servers` and `hostPort`.

import { invalid, parseDns } from '../spec/config.ts'
import { codes, failed, parsed, type Failure, type Parsed } from '../spec/failure.ts'
import { isObject, show, type JsonObject } from '../spec/json.ts'
import type { Dns } from '../spec/result.ts'

/** What eniway acts on. */
export type Capabilities = {
  /** Goes into the result in place of the configuration's own. */
  readonly dns: Dns | undefined
}

/**
 * Reads `runtimeConfig`. A malformed value fails with 7. What eniway cannot do fails with 2, but
 * for an IPAM delegate: it is given all that the plugin before it asked for.
 */
export const parseCapabilities = (
  runtimeConfig: JsonObject,
  { isDelegate }: { readonly isDelegate: boolean },
): Parsed<Capabilities> => {
  const given = lowerKeys(runtimeConfig)
  const refused = isDelegate ? undefined : refuse(runtimeConfig)
  if (refused !== undefined) return refused
  const annotations = given[annotationsKey]
  if (!isNothing(annotations) && !isTexts(annotations)) {
    return invalid(`runtimeConfig.${annotationsKey}`, annotations, 'an object of strings')
  }
  const dns = given['dns']
  return isNothing(dns) ? parsed({ dns: undefined }) : readDns(dns)
}

const annotationsKey = 'io.kubernetes.cri.pod-annotations'

/** Who does it, behind us in the list. */
const chainable: Readonly<Record<string, string>> = {
  portmappings: 'put it on the plugin portmap behind eniway',
  bandwidth: 'put it on the plugin bandwidth behind eniway',
  mac: 'put it on the plugin tuning behind eniway',
  ips: 'addresses come from the pool of the node',
  ipranges: 'addresses come from the pool of the node',
  deviceid: 'eniway makes the interface itself',
  infinibandguid: 'eniway makes the interface itself',
}

const refuse = (given: JsonObject): Failure | undefined => {
  for (const [name, value] of Object.entries(given)) {
    const instead = chainable[name.toLowerCase()]
    if (instead === undefined || isNothing(value) || value === '' || isEmptyList(value)) continue
    const message = `capability ${name} of the network configuration is ${show(value)}`
    return failed(codes.unsupportedField, `${message}, which eniway does not act on; ${instead}`)
  }
  return undefined
}

const readDns = (value: unknown): Parsed<Capabilities> => {
  if (!isObject(value)) return invalid('runtimeConfig.dns', value, 'an object')
  const { servers, searches, options } = lowerKeys(value)
  // Go writes a list that was never made as null.
  const read = parseDns({ nameservers: servers, search: searches, options })
  if (read.kind === 'parsed') return parsed({ dns: read.value })
  return invalid('runtimeConfig.dns', value, 'an object whose lists hold strings')
}

const lowerKeys = (value: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(value).map(([key, entry]) => [key.toLowerCase(), entry]))

const isNothing = (value: unknown): value is undefined | null =>
  value === undefined || value === null

const isEmptyList = (value: unknown): boolean => Array.isArray(value) && value.length === 0

const isTexts = (value: unknown): boolean =>
  isObject(value) && Object.values(value).every(entry => typeof entry === 'string')
