// Writes a result in the shape of the version the caller speaks. Three families of shapes exist:
// 0.1.0 and 0.2.0; 0.3.0 to 0.4.0; 1.0.0 and newer. Fields that came later are left out.

import { familyOf, type Family } from '#core/ip.ts'
import { codes, failed, parsed, type Parsed } from './failure.ts'
import type { JsonObject } from './json.ts'
import { isEmptyDns, type Dns, type Result, type ResultIp, type ResultRoute } from './result.ts'
import { isAtLeast, type Version } from './versions.ts'

/** The result as a JSON value of that version; fails where the version cannot express it. */
export const encodeResult = (result: Result, version: Version): Parsed<JsonObject> =>
  isAtLeast(version, '0.3.0') ? parsed(encodeLists(result, version)) : encodeOld(result, version)

const encodeLists = (result: Result, version: Version): JsonObject => {
  const isModern = isAtLeast(version, '1.0.0')
  return {
    cniVersion: version,
    ...list('interfaces', result.interfaces.map(isAtLeast(version, '1.1.0') ? whole : short)),
    ...list(
      'ips',
      result.ips.map(entry => encodeIp(entry, isModern)),
    ),
    ...list('routes', result.routes.map(isAtLeast(version, '1.1.0') ? encodeRoute : shortRoute)),
    ...(isModern && isEmptyDns(result.dns) ? {} : { dns: encodeDns(result.dns) }),
  }
}

type Interface = Result['interfaces'][number]

const short = ({ name, mac, sandbox = '' }: Interface): JsonObject => ({
  name,
  ...text('mac', mac),
  ...text('sandbox', sandbox),
})

const whole = (entry: Interface): JsonObject => ({
  name: entry.name,
  ...text('mac', entry.mac),
  ...(entry.mtu === undefined ? {} : { mtu: entry.mtu }),
  ...text('sandbox', entry.sandbox ?? ''),
  ...text('socketPath', entry.socketPath ?? ''),
  ...text('pciID', entry.pciId ?? ''),
})

// Index 0 is a valid interface and must not be lost with the absent ones.
const encodeIp = (entry: ResultIp, isModern: boolean): JsonObject => ({
  ...(isModern ? {} : { version: String(familyOf(entry.address)) }),
  ...(entry.interface === undefined ? {} : { interface: entry.interface }),
  address: addressText(entry),
  ...text('gateway', entry.gateway ?? ''),
})

const shortRoute = (route: ResultRoute): JsonObject => ({
  dst: route.destination,
  ...text('gw', route.gateway ?? ''),
})

const encodeRoute = (route: ResultRoute): JsonObject => {
  const { mtu, advmss, priority, table, scope } = route
  const numbers = Object.entries({ mtu, advmss, priority, table, scope })
  return {
    ...shortRoute(route),
    ...Object.fromEntries(numbers.filter(([, value]) => value !== undefined)),
  }
}

const encodeOld = (result: Result, version: Version): Parsed<JsonObject> => {
  if (result.ips.length === 0) {
    return failed(
      codes.incompatibleVersion,
      `a result without an address cannot be written in CNI ${version}; use 0.3.0 or newer`,
    )
  }
  return parsed({
    cniVersion: version,
    ...encodeFamily(result, 4),
    ...encodeFamily(result, 6),
    dns: encodeDns(result.dns),
  })
}

const encodeFamily = (result: Result, family: Family): JsonObject => {
  const first = result.ips.find(entry => familyOf(entry.address) === family)
  if (first === undefined) return {}
  const routes = result.routes.filter(route => familyOf(route.destination) === family)
  return {
    [`ip${family}`]: {
      ip: addressText(first),
      ...text('gateway', first.gateway ?? ''),
      ...list('routes', routes.map(shortRoute)),
    },
  }
}

const encodeDns = (dns: Dns): JsonObject => ({
  ...list('nameservers', dns.nameservers),
  ...text('domain', dns.domain),
  ...list('search', dns.search),
  ...list('options', dns.options),
})

const addressText = (entry: ResultIp): string => `${entry.address}/${entry.prefixLength}`

const text = (key: string, value: string): JsonObject => (value === '' ? {} : { [key]: value })

const list = (key: string, values: readonly unknown[]): JsonObject =>
  values.length === 0 ? {} : { [key]: values }
