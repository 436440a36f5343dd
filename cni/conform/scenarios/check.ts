// Executions of CHECK: on a healthy attachment, with a prevResult that is wrong, after harmless
// changes of later plugins, and after something was taken away.

import type { JsonObject } from '../../spec/json.ts'
import { isAtLeast } from '../../spec/versions.ts'
import type { Lab, Pod } from '../lab.ts'
import { inside, look } from '../namespaces.ts'
import {
  added,
  entriesOf,
  linesOf,
  newLinks,
  objectOf,
  routeLine,
  type Damage,
  type Execution,
  type Route,
  type Snapshot,
  textOf,
} from '../record.ts'

type Attached = { readonly pod: Pod; readonly result: JsonObject; readonly add: Execution }

/** What a scenario does to an attachment before CHECK; undefined: it cannot be done here. */
type Change = (
  lab: Lab,
  attached: Attached,
) => Promise<{ readonly result?: JsonObject; readonly damage?: Damage } | undefined>

export const runCheck = async (lab: Lab): Promise<void> => {
  await oldVersion(lab)
  for (const [label, change] of changes) await checked(lab, label, change)
}

const oldVersion = async (lab: Lab): Promise<void> => {
  const pod = await lab.pod()
  await lab.run('CHECK in 0.3.1', { verb: 'CHECK', pod, version: '0.3.1' })
  await lab.removePod(pod)
}

const checked = async (lab: Lab, label: string, change: Change): Promise<void> => {
  if (!isAtLeast(lab.version, '0.4.0')) {
    return lab.skip('it supports no version that knows CHECK', label)
  }
  const pod = await lab.pod()
  const add = await lab.run(`ADD, then ${label}`, { pod, look: true })
  const result = objectOf(add)
  const changed = result === undefined ? undefined : await change(lab, { pod, result, add })
  if (changed === undefined || result === undefined) {
    lab.skip('this attachment has no such thing', label)
  } else {
    const { damage } = changed
    const handed = changed.result ?? result
    // A look waits for the host to be quiet, which is not "right after".
    const look = change !== unchanged
    const run = { verb: 'CHECK', pod, look, ...(damage === undefined ? {} : { damage }) }
    await lab.run(label, { ...run, ...(handed === nothing ? {} : { result: handed }) })
  }
  await lab.removePod(pod)
}

const unchanged: Change = async () => ({})

/** Stands for a CHECK without prevResult. */
const nothing: JsonObject = {}

const noPrevious: Change = async () => ({ result: nothing })

const noVersion: Change = async (_, { result }) => {
  const { cniVersion: _version, ...rest } = result
  return { result: rest }
}

const otherAddress: Change = async (_, { result }) => {
  const ips = entriesOf(result, 'ips')
  if (ips.length === 0) return undefined
  const wrong = ips.map(entry => ({
    ...entry,
    address: textOf(entry['address']).includes(':') ? '2001:db8::77/64' : '192.0.2.77/24',
  }))
  return { result: { ...result, ips: wrong } }
}

const otherMac: Change = async (lab, { pod, result }) => {
  const interfaces = entriesOf(result, 'interfaces')
  const mac = '02:00:5e:00:53:99'
  const isOurs = (entry: JsonObject) => entry['sandbox'] === pod.netns
  if (lab.role !== 'interface' || !interfaces.some(isOurs)) return undefined
  await inside(pod.netns, 'ip', 'link', 'set', lab.options.ifName, 'address', mac)
  const patched = interfaces.map(entry => (isOurs(entry) ? { ...entry, mac } : entry))
  return { result: { ...result, interfaces: patched } }
}

const moreRoutes: Change = async (lab, { pod, result }) => {
  if (lab.role !== 'interface') return undefined
  const route = ['198.51.100.0/24', 'dev', lab.options.ifName]
  await inside(pod.netns, 'ip', 'route', 'add', ...route)
  const routes = [...entriesOf(result, 'routes'), { dst: '198.51.100.0/24' }]
  return { result: { ...result, routes } }
}

const linkRemoved: Change = async (lab, { pod, add }) => {
  const link = add.pod === undefined ? undefined : newLinks(add.pod)[0]
  if (link === undefined) return undefined
  const line = linesOf({ links: [link], routes: [] }).find(text => text.startsWith('link ')) ?? ''
  await inside(pod.netns, 'ip', 'link', 'delete', lab.options.ifName)
  return { damage: { where: 'pod', line } }
}

const addressRemoved: Change = async (lab, { pod, add }) => {
  const { ifName } = lab.options
  const link = add.pod?.after.links.find(({ name }) => name === ifName)
  const [address] = link?.addresses ?? []
  if (address === undefined || lab.role !== 'interface') return undefined
  await inside(pod.netns, 'ip', 'address', 'delete', address, 'dev', ifName)
  return { damage: { where: 'pod', line: `address ${address} dev ${ifName}` } }
}

const routeRemoved: Change = async (_, { pod, result }) => {
  const listed = entriesOf(result, 'routes').map(({ dst }) => textOf(dst))
  const { routes } = await look(pod.netns)
  const route = routes.find(({ destination, family }) =>
    listed.includes(
      destination === 'default' ? (family === 4 ? '0.0.0.0/0' : '::/0') : destination,
    ),
  )
  if (route === undefined) return undefined
  await removeRoute(pod.netns, route)
  return { damage: { where: 'pod', line: routeLine(route) } }
}

const hostRouteRemoved: Change = async (lab, { add }) => {
  if (add.host === undefined) return undefined
  const { before, after } = add.host
  const lines = new Set(added(before, after))
  const route = after.routes.find(candidate => lines.has(routeLine(candidate)))
  if (route === undefined) return undefined
  await removeRoute(lab.host, route)
  return { damage: { where: 'host', line: routeLine(route) } }
}

// An end of the pair that is down: nothing reaches the pod any more.
const hostLinkDown: Change = async (lab, { add }) => {
  const link = add.host === undefined ? undefined : newLinks(add.host)[0]
  if (link === undefined || lab.role !== 'interface') return undefined
  await inside(lab.host, 'ip', 'link', 'set', link.name, 'down')
  const now: Snapshot = { links: [{ ...link, isUp: true, addresses: [] }], routes: [] }
  return { damage: { where: 'host', line: linesOf(now)[0] ?? '' } }
}

const loopbackDown: Change = async (lab, { pod, add }) => {
  const isRaised = add.pod !== undefined && added(add.pod.before, add.pod.after).length > 0
  if (lab.role !== 'adjusting' || !isRaised) return undefined
  const { ifName } = lab.options
  const link = add.pod.after.links.find(({ name }) => name === ifName)
  if (link === undefined) return undefined
  await inside(pod.netns, 'ip', 'link', 'set', ifName, 'down')
  const now: Snapshot = { links: [{ ...link, addresses: [] }], routes: [] }
  return { damage: { where: 'pod', line: linesOf(now)[0] ?? '' } }
}

const removeRoute = async (netns: string, route: Route): Promise<void> => {
  const { family, destination, gateway, device, table } = route
  const via = gateway === '' ? [] : ['via', gateway]
  const what = [destination, ...via, 'dev', device, 'table', table]
  await inside(netns, 'ip', `-${family}`, 'route', 'delete', ...what)
}

const changes: readonly (readonly [string, Change])[] = [
  ['CHECK right after ADD', unchanged],
  ['CHECK without prevResult', noPrevious],
  ['CHECK with a prevResult without version', noVersion],
  ['CHECK with other addresses in prevResult', otherAddress],
  ['CHECK after a later plugin changed the MAC', otherMac],
  ['CHECK after a later plugin added a route', moreRoutes],
  ['CHECK after the interface went', linkRemoved],
  ['CHECK after an address went', addressRemoved],
  ['CHECK after a route went', routeRemoved],
  ['CHECK after the interface was put down', loopbackDown],
  ['CHECK after a route of the host went', hostRouteRemoved],
  ["CHECK after the host's end was put down", hostLinkDown],
]

/** CHECK while the daemon cannot be reached. */
export const runCheckAlone = async (lab: Lab): Promise<void> => {
  const label = 'CHECK without a daemon'
  const { daemonDown } = lab.options
  if (daemonDown === undefined) {
    return lab.skip('no configuration was given that cuts it from a daemon', label)
  }
  const pod = await lab.pod()
  const result = objectOf(await lab.run(`ADD, then ${label}`, { pod }))
  await lab.run(label, { verb: 'CHECK', pod, result, config: daemonDown })
  await lab.removePod(pod)
}
