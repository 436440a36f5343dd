// The Host port over the simulated kernel, as one process sees it: links it has promised to delete
// in the background stay when the process dies, and somebody else must find them.

import type { Ip } from '#core/ip.ts'
import type { Event } from '#core/event.ts'
import type { Host, HostFailure, HostOutcome, HostReport } from '#core/ports.ts'
import type { HostWiring, NicWiring, PodWiring } from '#core/wiring.ts'
import type { Chance } from './chance.ts'
import type { Scheduler } from './clock.ts'
import type { Faults } from './faults.ts'
import { elementKey, type Kernel, type PodLink } from './kernel.ts'
import type { Notify } from './notices.ts'

export type HostParts = {
  readonly kernel: Kernel
  readonly scheduler: Scheduler
  readonly chance: Chance
  readonly faults: Faults
  readonly notify: Notify
  readonly post: (event: Event) => void
  readonly isAlive: () => boolean
  /** Called between the steps of a wiring, where a process can be killed too. */
  readonly between: () => void
}

/** The kernel stays, the process's promises die with it. */
export const createHost = (parts: HostParts): Host => {
  const background = createBackground(parts)
  return {
    wirePod: pod => {
      parts.notify({ kind: 'wiring', pod })
      const outcome = wirePod(parts, pod)
      parts.notify({ kind: 'wired', pod, outcome })
      return outcome
    },
    unwirePod: pod => {
      const outcome = unwirePod(parts, background, pod)
      parts.notify({ kind: 'unwired', pod, outcome })
      return outcome
    },
    // The simulated runtime asks for no addresses alone.
    admitPod: refuseDelegated,
    dismissPod: refuseDelegated,
    reconcile: desired => {
      const report = reconcile(parts, background, desired)
      parts.notify({ kind: 'reconciled', desired, report })
      return report
    },
  }
}

const refuseDelegated = (): never => {
  throw new Error('the simulated host has no pods that other plugins connect')
}

type Background = {
  /** Deletes a link some time later and says when it is gone, also when it was gone already. */
  remove(ifindex: number): void
  isDoomed(ifindex: number): boolean
}

const createBackground = (parts: HostParts): Background => {
  const { kernel, scheduler, chance, faults } = parts
  const queue: number[] = []
  let isWorking = false
  const work = (): void => {
    const ifindex = queue[0]
    isWorking = ifindex !== undefined && parts.isAlive()
    if (ifindex === undefined || !parts.isAlive()) return
    const ms = faults.strikes('slowDelete') ? chance.between(2_000, 60_000) : chance.between(10, 60)
    scheduler.in(ms, () => {
      // A deletion that the kernel has begun ends even when the process does not live to see it.
      if (!parts.isAlive() && chance.happens(0.5)) return
      queue.shift()
      kernel.removeLink(ifindex, 'daemon')
      parts.post({ kind: 'linkDeleted', ifindex, at: scheduler.clock.now() })
      work()
    })
  }
  return {
    isDoomed: ifindex => queue.includes(ifindex),
    remove: ifindex => {
      if (queue.includes(ifindex)) return
      queue.push(ifindex)
      if (!isWorking) work()
    },
  }
}

const failedWith = (code: string, failure: Omit<HostFailure, 'code'>): HostOutcome => ({
  kind: 'failed',
  failure: { code, ...failure },
})
const done: HostOutcome = { kind: 'ok' }

const wirePod = (parts: HostParts, pod: PodWiring): HostOutcome => {
  const { kernel, faults } = parts
  if (!kernel.namespaces.has(pod.netns)) {
    const message = `cannot open ${pod.netns}: there is no such network namespace`
    return failedWith('ENOENT', { message, isTemporary: false })
  }
  if (faults.strikes('hostFinal')) {
    return failedWith('EEXIST', { message: `${pod.ifName} is taken in it`, isTemporary: false })
  }
  if (faults.strikes('hostTemporary')) {
    return failedWith('ENOBUFS', { message: 'the kernel has no memory now', isTemporary: true })
  }
  const old = [...kernel.links.values()]
  if (old.some(link => link.netns === pod.netns)) {
    const message = `${pod.ifName} already exists in ${pod.netns}`
    return failedWith('EEXIST', { message, isTemporary: false })
  }
  // The host end of an attachment that was never undone makes room.
  const namesake = old.find(link => link.name === pod.hostName)
  if (namesake !== undefined) kernel.removeLink(namesake.ifindex, 'daemon')
  if (kernel.devices.has(pod.hostIfindex) || kernel.links.has(pod.hostIfindex)) {
    const message = `the ifindex ${pod.hostIfindex} is taken`
    return failedWith('EEXIST', { message, isTemporary: false })
  }
  connect(parts, pod)
  return done
}

/** Makes what is missing; returns what that was. */
const connect = (parts: HostParts, pod: PodWiring): readonly string[] => {
  const { kernel, between } = parts
  const made: string[] = []
  if (!kernel.links.has(pod.hostIfindex)) {
    kernel.addLink(pod)
    made.push(`link ${pod.hostName}`)
  }
  for (const address of pod.ips) {
    between()
    if (kernel.routes.get(address)?.ifindex !== pod.hostIfindex) {
      kernel.addRoute(pod, address)
      made.push(`route ${address}`)
    }
    between()
    if (kernel.elements.get(elementKey(pod.hostIfindex, address))?.slot !== pod.slot) {
      kernel.addElement(pod, address)
      made.push(`element ${address}`)
    }
  }
  return made
}

const unwirePod = (parts: HostParts, background: Background, pod: PodWiring): HostOutcome => {
  const { kernel, faults } = parts
  background.remove(pod.hostIfindex)
  if (faults.strikes('hostTemporary')) {
    return failedWith('ENOBUFS', { message: 'the kernel has no memory now', isTemporary: true })
  }
  for (const address of pod.ips) {
    if (kernel.routes.get(address)?.ifindex === pod.hostIfindex) {
      kernel.removeRoute(address, 'daemon')
    }
    kernel.removeElement(elementKey(pod.hostIfindex, address), 'daemon')
  }
  return done
}

const reconcile = (parts: HostParts, background: Background, desired: HostWiring): HostReport => {
  const { kernel, faults } = parts
  const failures: string[] = []
  for (const slot of kernel.slots.keys()) {
    if (!desired.nics.some(nic => nic.slot === slot)) kernel.slots.delete(slot)
  }
  const wiredSlots = desired.nics.filter(nic => {
    const isStruck = faults.strikes('reconcileIncomplete')
    if (isStruck) failures.push(`slot ${nic.slot}: cannot add its rule now`)
    if (!isStruck) wireNic(kernel, nic)
    return kernel.slots.get(nic.slot)?.mac === nic.mac
  })
  for (const ifindex of desired.leavingLinks) {
    if (kernel.links.has(ifindex)) background.remove(ifindex)
  }
  const strays = strayLinks(kernel, desired)
  removeUndesired(kernel, desired, new Set(strays.map(link => link.ifindex)))
  // A link that is gone is not made again: the pod's end went with it.
  const isThere = (pod: PodWiring): boolean => kernel.links.has(pod.hostIfindex)
  const repaired = desired.pods.filter(isThere).flatMap(pod => connect(parts, pod))
  const missing = desired.pods.filter(pod => !isThere(pod))
  const gone = missing.filter(pod => !kernel.namespaces.has(pod.netns))
  return {
    devices: [...kernel.devices.values()],
    wiredSlots: wiredSlots.map(nic => nic.slot),
    podLinks: new Set(kernel.links.keys()),
    strays: strays.map(link => ({ link: link.ifindex, ips: routedTo(kernel, link.ifindex) })),
    goneNamespaces: new Set(gone.map(pod => pod.sandbox)),
    repaired,
    failures,
  }
}

const wireNic = (kernel: Kernel, nic: NicWiring): void => {
  const isPresent = [...kernel.devices.values()].some(device => device.mac === nic.mac)
  if (isPresent) kernel.slots.set(nic.slot, nic)
  else kernel.slots.delete(nic.slot)
}

const strayLinks = (kernel: Kernel, desired: HostWiring): PodLink[] => {
  const known = new Set([...desired.pods.map(pod => pod.hostIfindex), ...desired.leavingLinks])
  return [...kernel.links.values()].filter(link => !known.has(link.ifindex))
}

const routedTo = (kernel: Kernel, ifindex: number): Ip[] =>
  [...kernel.routes].filter(([, route]) => route.ifindex === ifindex).map(([address]) => address)

/** Routes and elements nobody wants go; those of links we do not know stay with their links. */
const removeUndesired = (
  kernel: Kernel,
  desired: HostWiring,
  strays: ReadonlySet<number>,
): void => {
  const wanted = new Set(
    desired.pods.flatMap(pod => pod.ips.map(address => elementKey(pod.hostIfindex, address))),
  )
  for (const [address, { ifindex }] of kernel.routes) {
    if (strays.has(ifindex) || wanted.has(elementKey(ifindex, address))) continue
    kernel.removeRoute(address, 'daemon')
  }
  for (const [key, { ifindex }] of kernel.elements) {
    if (!strays.has(ifindex) && !wanted.has(key)) kernel.removeElement(key, 'daemon')
  }
}
