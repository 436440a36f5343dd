// CHECK: everything we made for a pod is still there, inside and outside its namespace. Changes
// nothing, and tolerates what chained plugins may rightly have changed (MAC, MTU, further routes).

import type { CheckOutcome, CheckRequest } from '#cni/plugin/ports.ts'
import { codes, failed } from '#cni/spec/failure.ts'
import { delegatedWiring, podWiring } from '#core/desired.ts'
import { everywhere, familyOf } from '#core/ip.ts'
import { lossOf } from '#core/losses.ts'
import { sandboxKey } from '#core/names.ts'
import type { Sandbox, State } from '#core/state.ts'
import { delegatedText, elementText, podObjects, type PodWiring, podTable } from '#core/wiring.ts'
import {
  dumpAddresses,
  dumpNeighbours,
  dumpRoutes,
  ExchangeError,
  findLink,
  OWN_NAMESPACE,
} from '#linux/kernel.ts'
import { openNamespace } from '#linux/namespace.ts'
import { observeDelegated, observeElements } from './observe.ts'
import { podGateways } from './wire.ts'

/** The first thing that is missing or wrong, as one sentence. */
export const checkPod = (state: State, request: CheckRequest): CheckOutcome => {
  const key = sandboxKey(request.containerId, request.ifName)
  const sandbox = state.sandboxes.get(key)
  const mistake =
    sandbox === undefined || sandbox.network !== request.network
      ? `no address is assigned to ${key}; it was never added or already deleted`
      : (compareResult(sandbox, request) ??
        (sandbox.delegator === undefined
          ? compareKernel(podWiring(sandbox), request.netns)
          : compareDelegated(sandbox)) ??
        lossOf(state, sandbox))
  if (mistake === undefined) return { kind: 'intact' }
  return failed(codes.checkFailed, `attachment ${key} is not intact: ${mistake}`)
}

const compareResult = (sandbox: Sandbox, request: CheckRequest): string | undefined => {
  const listed = new Set<string>(request.expected.ips.map(({ address }) => address))
  const missing = sandbox.addresses.find(({ ip }) => !listed.has(ip))
  return missing && `address ${missing.ip} is assigned to it but not in prevResult`
}

const compareKernel = (pod: PodWiring, netns: string): string | undefined => {
  const namespace = openNamespace(netns)
  if (namespace.kind !== 'open') return namespace.message
  using open = namespace
  try {
    return insideProblem(pod, open.fd) ?? outsideProblem(pod)
  } catch (error) {
    if (!(error instanceof ExchangeError)) throw error
    return error.message
  }
}

// Link and namespace are the business of the plugin that made them.
const compareDelegated = (sandbox: Sandbox): string | undefined => {
  const held = new Set(observeDelegated().map(delegatedText))
  const { ips, slot } = delegatedWiring(sandbox)
  const shut = ips.find(ip => !held.has(delegatedText({ ip, slot })))
  return shut && `the node does not let ${shut} out through its NIC: its map entry is missing`
}

const insideProblem = (pod: PodWiring, netnsFd: number): string | undefined => {
  const link = findLink(netnsFd, { name: pod.ifName })
  if (link === undefined) return `interface ${pod.ifName} is missing in the pod`
  if (!link.isUp) return `interface ${pod.ifName} is down`
  const addresses = dumpAddresses(netnsFd, link.index).map(({ address }) => address)
  const routes = dumpRoutes(netnsFd, { table: 254 })
  const neighbours = dumpNeighbours(netnsFd)
  for (const ip of pod.ips) {
    const gateway = podGateways[familyOf(ip)]
    if (!addresses.includes(ip)) return `address ${ip} is missing on ${pod.ifName}`
    const hasDefault = routes.some(
      route => route.destination === everywhere(familyOf(ip)) && route.device === link.index,
    )
    if (!hasDefault) return `the default route of ${pod.ifName} is missing in the pod`
    const known = neighbours.find(entry => entry.index === link.index && entry.address === gateway)
    // With a new MAC the kernel has forgotten it, and asks.
    if (known?.mac === undefined && link.mac !== pod.podMac) continue
    if (known?.mac !== pod.hostMac) return `the neighbour entry of ${gateway} is missing in the pod`
  }
  return undefined
}

const outsideProblem = (pod: PodWiring): string | undefined => {
  const link = findLink(OWN_NAMESPACE, { index: pod.hostIfindex })
  if (link === undefined) return `its host link ${pod.hostName} is missing on the node`
  if (!link.isUp) return `its host link ${pod.hostName} is down`
  const routes = dumpRoutes(OWN_NAMESPACE, { table: podTable })
  const wanted = podObjects(pod, [])
  const noRoute = wanted.routes.find(
    ({ destination, device }) =>
      !routes.some(route => route.destination === destination && route.device === device),
  )
  if (noRoute !== undefined) return `the node's route to ${noRoute.destination} is missing`
  const held = new Set(observeElements().map(elementText))
  const noElement = wanted.elements.find(element => !held.has(elementText(element)))
  return noElement && `the node does not let ${noElement.ip} send: its map entry is missing`
}
