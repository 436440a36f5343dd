// Reads a result that someone else wrote, in any version. Tolerant where the reference library is:
// later fields in older versions, a missing index, an index of -1.

import { bitsOf, familyOf, parseCidr, parseIp, type Cidr, type Ip } from '#core/ip.ts'
import { invalid, parseDns, type NetworkConfig } from './config.ts'
import { codes, failed, parsed, type Failure, type Parsed } from './failure.ts'
import { isObject, show, type JsonObject } from './json.ts'
import type { Result, ResultInterface, ResultIp, ResultRoute } from './result.ts'
import { isAtLeast, isVersion, type Version } from './versions.ts'

/** Reads a result; `version` is the configuration's, used when the result does not say its own. */
export const decodeResult = (value: JsonObject, version: Version): Parsed<Result> => {
  const { cniVersion = '' } = value
  if (cniVersion !== '' && !(typeof cniVersion === 'string' && isVersion(cniVersion))) {
    return bad('cniVersion', cniVersion, 'a version of the CNI specification')
  }
  const own = cniVersion === '' ? version : cniVersion
  const dns = parseDns(value['dns'])
  if (dns.kind === 'failed') return bad('dns', value['dns'], 'a dns object')
  const lists = isAtLeast(own, '0.3.0') ? decodeLists(value) : decodeOld(value)
  return lists.kind === 'failed' ? lists : parsed({ ...lists.value, dns: dns.value })
}

/** The result of the plugins before us; undefined when we are the first. */
export const previousResult = (config: NetworkConfig): Parsed<Result | undefined> => {
  const { prevResult, cniVersion } = config
  if (prevResult === undefined) return parsed(undefined)
  if (isObject(prevResult)) return decodeResult(prevResult, cniVersion)
  return invalid('prevResult', prevResult, 'the result object of an earlier ADD')
}

type Lists = Omit<Result, 'dns'>

const decodeLists = (value: JsonObject): Parsed<Lists> => {
  const interfaces = each('interfaces', value['interfaces'], readInterface)
  if (interfaces.kind === 'failed') return interfaces
  const ips = each('ips', value['ips'], readIp)
  if (ips.kind === 'failed') return ips
  const routes = each('routes', value['routes'], readRoute)
  if (routes.kind === 'failed') return routes
  return parsed({ interfaces: interfaces.value, ips: ips.value, routes: routes.value })
}

// Up-conversion puts IPv4 first and flattens the routes; the old shapes know no interfaces.
const decodeOld = (value: JsonObject): Parsed<Lists> => {
  const families = ['ip4', 'ip6'].map(key => value[key]).filter(isObject)
  const ips = each('ip4 or ip6', families, entry => readIp({ ...entry, address: entry['ip'] }))
  if (ips.kind === 'failed') return ips
  const nested = families.flatMap(entry => (Array.isArray(entry['routes']) ? entry['routes'] : []))
  const routes = each('routes', nested, readRoute)
  if (routes.kind === 'failed') return routes
  return parsed({ interfaces: [], ips: ips.value, routes: routes.value })
}

const each = <T>(
  key: string,
  value: unknown,
  read: (entry: JsonObject) => T | undefined,
): Parsed<readonly T[]> => {
  const entries: readonly unknown[] | undefined = Array.isArray(value) ? value : undefined
  if (entries === undefined) {
    return value === undefined || value === null ? parsed([]) : bad(key, value, 'a list')
  }
  const found: T[] = []
  for (const entry of entries) {
    const item = isObject(entry) ? read(entry) : undefined
    if (item === undefined) return bad(key, entry, 'an entry of that list')
    found.push(item)
  }
  return parsed(found)
}

const readInterface = (entry: JsonObject): ResultInterface | undefined => {
  const { name, mac, mtu, sandbox, socketPath, pciID } = entry
  if (typeof name !== 'string') return undefined
  return {
    name,
    mac: typeof mac === 'string' ? mac : '',
    ...(typeof mtu === 'number' && mtu > 0 ? { mtu } : {}),
    ...(isText(sandbox) ? { sandbox } : {}),
    ...(isText(socketPath) ? { socketPath } : {}),
    ...(isText(pciID) ? { pciId: pciID } : {}),
  }
}

const readIp = (entry: JsonObject): ResultIp | undefined => {
  const address = readAddress(entry['address'])
  const gateway = readGateway(entry['gateway'])
  if (address === undefined || gateway === undefined) return undefined
  const { interface: index } = entry
  const isIndex = typeof index === 'number' && Number.isInteger(index) && index >= 0
  return { ...address, ...gateway, ...(isIndex ? { interface: index } : {}) }
}

const readAddress = (value: unknown): { address: Ip; prefixLength: number } | undefined => {
  const match = typeof value === 'string' ? /^([^/]+)\/(\d{1,3})$/.exec(value) : null
  const address = parseIp(match?.[1] ?? '')
  const prefixLength = Number(match?.[2])
  if (address === undefined || prefixLength > bitsOf(familyOf(address))) return undefined
  return { address, prefixLength }
}

const readGateway = (value: unknown): { gateway?: Ip } | undefined => {
  if (!isText(value)) return {}
  const gateway = parseIp(value)
  return gateway === undefined ? undefined : { gateway }
}

const readRoute = (entry: JsonObject): ResultRoute | undefined => {
  const destination: Cidr | undefined = parseCidr(isText(entry['dst']) ? entry['dst'] : '')
  const gateway = readGateway(entry['gw'])
  if (destination === undefined || gateway === undefined) return undefined
  const names = ['mtu', 'advmss', 'priority', 'table', 'scope'] as const
  const numbers = names.filter(name => typeof entry[name] === 'number')
  return {
    destination,
    ...gateway,
    ...Object.fromEntries(numbers.map(name => [name, entry[name] as number])),
  }
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''

const bad = (key: string, value: unknown, wanted: string): Failure =>
  failed(codes.decoding, `${key} of a CNI result is ${show(value)}; it must be ${wanted}`)
