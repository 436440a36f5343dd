// Points about what a result says, and whether the namespaces agree with it.

import { isObject, type JsonObject } from '../../spec/json.ts'
import { isAtLeast, type Version } from '../../spec/versions.ts'
import { NotApplicable, wants, want, type Judge, type Point, type Want } from '../judge.ts'
import {
  entriesOf,
  newLinks,
  objectOf,
  quote,
  summaryOf,
  type Execution,
  type Link,
  type Recording,
  textOf,
} from '../record.ts'
import { addIn } from '../scenarios/add.ts'

const section = 'Section 5: result types'

/** Every ADD in a version of its own, judged by one expectation. */
const inEachVersion =
  (expect: (execution: Execution, version: Version, role: string) => string | undefined): Judge =>
  recording =>
    wants(
      ...recording.versions.map(version =>
        want(addIn(version), execution => {
          if (execution.exitCode !== 0) return summaryOf(execution)
          return expect(execution, version, recording.role)
        }),
      ),
    )(recording)

const sameVersion = (execution: Execution, version: Version): string | undefined => {
  const found = objectOf(execution)?.['cniVersion']
  return found === version ? undefined : `answers in ${textOf(found)}`
}

const cidr = /^[0-9a-fA-F.:]+\/\d{1,3}$/
const ip = /^[0-9a-fA-F.:]+$/

/** The shape of that version: which keys there are, and which there are not. */
const shape = (execution: Execution, version: Version): string | undefined => {
  const result = objectOf(execution)
  if (result === undefined) return `stdout is ${quote(execution.stdout)}`
  return isAtLeast(version, '0.3.0') ? lists(result, version) : nested(result)
}

const nested = (result: JsonObject): string | undefined => {
  const later = ['interfaces', 'ips'].filter(key => key in result)
  if (later.length > 0) return `has ${later.join(' and ')}, which came with 0.3.0`
  const families = ['ip4', 'ip6'].map(key => result[key]).filter(isObject)
  const bad = families.find(({ ip }) => !cidr.test(textOf(ip)))
  if (families.length === 0) return 'has neither ip4 nor ip6'
  return bad === undefined ? undefined : `ip is ${JSON.stringify(bad['ip'])}`
}

const lists = (result: JsonObject, version: Version): string | undefined => {
  const older = ['ip4', 'ip6'].filter(key => key in result)
  if (older.length > 0) return `has ${older.join(' and ')}, which ended with 0.2.0`
  const ips = entriesOf(result, 'ips')
  const isModern = isAtLeast(version, '1.0.0')
  const wrong = ips.find(({ version: family, address }) =>
    isModern ? family !== undefined : family !== (textOf(address).includes(':') ? '6' : '4'),
  )
  if (wrong !== undefined) return `ips[].version is ${JSON.stringify(wrong['version'])}`
  return isAtLeast(version, '1.1.0') ? undefined : newer(result, version)
}

const newer = (result: JsonObject, version: Version): string | undefined => {
  const found = [
    ...['mtu', 'socketPath', 'pciID'].filter(key =>
      entriesOf(result, 'interfaces').some(entry => key in entry),
    ),
    ...['mtu', 'advmss', 'priority', 'table', 'scope'].filter(key =>
      entriesOf(result, 'routes').some(entry => key in entry),
    ),
  ]
  return found.length === 0
    ? undefined
    : `has ${found.join(', ')} of 1.1.0 in a result of ${version}`
}

const noIpam: Want['expect'] = (_, { role }) =>
  role === 'ipam' ? new NotApplicable('an IPAM plugin names no interfaces') : undefined

/** Everything new in a namespace is in the list, with its MAC, MTU and sandbox. */
const listsLinks: Want['expect'] = (execution, recording) => {
  const skip = noIpam(execution, recording)
  if (skip !== undefined) return skip
  const { pod, host } = execution
  if (execution.exitCode !== 0 || pod === undefined || host === undefined) {
    return summaryOf(execution)
  }
  const interfaces = entriesOf(objectOf(execution), 'interfaces')
  const sandbox = execution.environment['CNI_NETNS'] ?? ''
  const inPod = newLinks(pod).map(link => disagreement(link, { interfaces, sandbox }))
  const onHost = newLinks(host).map(link => disagreement(link, { interfaces, sandbox: '' }))
  const all = [...inPod, ...onHost]
  if (all.length === 0) {
    return interfaces.length === 0
      ? new NotApplicable('it made no interface')
      : absentLinks(execution, interfaces)
  }
  return all.find(problem => problem !== undefined)
}

const absentLinks = (
  { environment, pod, host }: Execution,
  interfaces: readonly JsonObject[],
): string | undefined => {
  const unknown = interfaces.find(({ name, sandbox }) => {
    const seen = sandbox === environment['CNI_NETNS'] ? pod : host
    return seen?.after.links.some(link => link.name === name) !== true
  })
  return unknown === undefined ? undefined : `names ${JSON.stringify(unknown)}, which is not there`
}

const disagreement = (
  { name, mac, mtu }: Link,
  place: { readonly interfaces: readonly JsonObject[]; readonly sandbox: string },
): string | undefined => {
  const entry = place.interfaces.find(
    found => found['name'] === name && (found['sandbox'] ?? '') === place.sandbox,
  )
  const where = place.sandbox === '' ? 'on the host' : `in ${place.sandbox}`
  if (entry === undefined) return `does not list ${name} ${where}`
  if (textOf(entry['mac']).toLowerCase() !== mac) {
    return `says ${name} has MAC ${textOf(entry['mac'])}, it has ${mac}`
  }
  const said = entry['mtu']
  return said === undefined || said === mtu ? undefined : `says MTU ${textOf(said)}, it is ${mtu}`
}

const addresses: Want['expect'] = (execution, { role }) => {
  if (execution.exitCode !== 0) return summaryOf(execution)
  const result = objectOf(execution)
  const ips = entriesOf(result, 'ips')
  if (ips.length === 0) return new NotApplicable('its result has no addresses')
  const count = entriesOf(result, 'interfaces').length
  for (const entry of ips) {
    const { address, gateway, interface: index } = entry
    if (!cidr.test(textOf(address))) return `address is ${JSON.stringify(address)}`
    if (gateway !== undefined && !ip.test(textOf(gateway))) return `gateway is ${textOf(gateway)}`
    const isIndex = index === undefined || (Number.isInteger(index) && Number(index) < count)
    if (!isIndex) return `interface is ${textOf(index)} of ${count}`
  }
  return role === 'ipam' ? undefined : absentAddress(execution, ips)
}

const absentAddress = ({ pod }: Execution, ips: readonly JsonObject[]): string | undefined => {
  const here = new Set(pod?.after.links.flatMap(({ addresses }) => addresses))
  const absent = ips.find(({ address }) => !here.has(textOf(address)))
  return absent === undefined ? undefined : `${textOf(absent['address'])} is not in the pod`
}

const routes: Want['expect'] = (execution, { role }) => {
  if (execution.exitCode !== 0) return summaryOf(execution)
  const list = entriesOf(objectOf(execution), 'routes')
  if (list.length === 0) return new NotApplicable('its result has no routes')
  const bad = list.find(({ dst, gw }) => {
    return !cidr.test(textOf(dst)) || (gw !== undefined && !ip.test(textOf(gw)))
  })
  if (bad !== undefined) return `cannot be a route: ${JSON.stringify(bad)}`
  if (role !== 'interface') return undefined
  const here = new Set(execution.pod?.after.routes.map(({ destination }) => destination))
  const absent = list.find(({ dst }) => !here.has(asInKernel(textOf(dst))))
  return absent === undefined ? undefined : `${textOf(absent['dst'])} is no route of the pod`
}

const asInKernel = (text: string): string =>
  text.endsWith('/0') ? 'default' : text.replace(/(?<=\.\d+)\/32$|\/128$/, '')

const dnsObject = (execution: Execution): string | undefined => {
  const dns = objectOf(execution)?.['dns']
  if (dns === undefined) return undefined
  const known = ['nameservers', 'domain', 'search', 'options']
  const isGood = isObject(dns) && Object.keys(dns).every(key => known.includes(key))
  return isGood ? undefined : `dns is ${JSON.stringify(dns)}`
}

// Only the reference library of later years leaves it out, so it is told and not judged.
const dnsJudge: Judge = recording => {
  const verdict = inEachVersion(dnsObject)(recording)
  const isEmpty = [...recording.executions.values()].some(execution => {
    const { cniVersion, dns } = objectOf(execution) ?? {}
    return cniVersion === recording.version && isObject(dns) && Object.keys(dns).length === 0
  })
  if (verdict.status !== 'pass' || !isEmpty) return verdict
  return { ...verdict, evidence: `${verdict.evidence}; writes dns although it is empty` }
}

// The same attachment with its prevResult stripped of the version: read as the configuration's.
const strippedVersion: Judge = wants(
  want('CHECK with a prevResult without version', execution =>
    execution.exitCode === 0 ? undefined : summaryOf(execution),
  ),
)

const ipamShape: Want['expect'] = (execution, { role }: Recording) => {
  if (role !== 'ipam') return new NotApplicable('it is no IPAM plugin')
  if (execution.exitCode !== 0) return summaryOf(execution)
  const result = objectOf(execution)
  if (entriesOf(result, 'interfaces').length > 0) return 'its result has interfaces'
  const ips = entriesOf(result, 'ips')
  if (ips.length === 0) return 'its result has no addresses'
  return ips.some(entry => 'interface' in entry) ? 'its ips name interfaces' : undefined
}

export const resultPoints: readonly Point[] = [
  {
    id: 109,
    level: 'CONVENTION',
    section: 'VERSION',
    text: 'In every version it says it supports, the plugin answers in the shape of that version.',
    judge: inEachVersion(shape),
  },
  {
    id: 137,
    level: 'MUST',
    section: 'Section 4: delegated plugins (IPAM)',
    text: "An IPAM plugin's result has addresses, no interfaces, and no index of one.",
    judge: wants(want('ADD', ipamShape)),
  },
  {
    id: 139,
    level: 'MUST',
    section,
    text: "The result's cniVersion is the configuration's.",
    judge: inEachVersion(sameVersion),
  },
  {
    id: 140,
    level: 'MUST',
    section,
    text: 'The result lists every interface that ADD made, the host side too, as it is.',
    judge: wants(want('first ADD', listsLinks), want('ADD', listsLinks)),
  },
  {
    id: 141,
    level: 'MUST',
    section,
    text: 'The result lists addresses with prefix length, gateway and a valid index.',
    judge: wants(want('ADD', addresses)),
  },
  {
    id: 142,
    level: 'MUST',
    section,
    text: 'The result lists routes as CIDR and gateway, and they exist.',
    judge: wants(want('ADD', routes)),
  },
  {
    id: 143,
    level: 'MUST',
    section,
    text: 'dns is an object with nameservers, domain, search and options.',
    judge: dnsJudge,
  },
  {
    id: 145,
    level: 'REFERENCE',
    section: 'Section 3: deriving the request',
    text: "A prevResult without cniVersion is read in the configuration's version.",
    judge: strippedVersion,
  },
]
