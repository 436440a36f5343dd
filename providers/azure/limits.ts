// What a VM size allows. NICs per size come from Compute's list of sizes, which never changes for a
// size, so an answer is kept; the limits on addresses are Azure's own for every size.

import { LRUCache } from 'lru-cache'
import { CallFailed } from '../common/calls.ts'
import { ownFailure } from './failures.ts'
import type { Session } from './identity.ts'
import { pagesOf } from './pages.ts'

/** NICs that a VM size takes; rejects with CallFailed. */
export type NicsMaxSource = (session: Session, signal: AbortSignal) => Promise<number>

/** Private addresses of a NIC, and of a machine (Azure limits, "Networking limits"). */
export const addressesMax = 256

/** A node has one size; the room is for a command that compares several. */
const sizesMax = 64

export const createNicsMax = (): NicsMaxSource => {
  const known = new LRUCache<string, number>({ max: sizesMax })
  return async (session, signal) => {
    const { vmSize, location } = session.identity
    const key = `${location}/${vmSize}`.toLowerCase()
    const cached = known.get(key)
    if (cached !== undefined) return cached
    const nicsMax = await find(session, signal)
    known.set(key, nicsMax)
    return nicsMax
  }
}

const find = async ({ arm, identity }: Session, signal: AbortSignal): Promise<number> => {
  const { vmSize, location, subscription } = identity
  const site = { call: 'ResourceSkus_List', on: `VM size ${vmSize} in ${location}`, isRead: true }
  const filter = encodeURIComponent(`location eq '${location}'`)
  const path =
    `/subscriptions/${subscription}/providers/Microsoft.Compute/skus` +
    `?api-version=2021-07-01&%24filter=${filter}`
  for await (const skus of pagesOf<Sku>(arm, { service: 'compute', ...site, path }, signal)) {
    const nicsMax = nicsMaxOf(skus, vmSize)
    if (nicsMax !== undefined) return nicsMax
  }
  const text = `${location} lists no VM size ${vmSize} with its number of NICs`
  throw new CallFailed(ownFailure(site, { kind: 'denied', code: 'UnknownVmSize', text }))
}

type Sku = {
  readonly resourceType?: string
  readonly name?: string
  readonly capabilities?: readonly { readonly name?: string; readonly value?: string }[]
}
/** Undefined when the list has no such size, or does not say. */
export const nicsMaxOf = (skus: readonly Sku[], vmSize: string): number | undefined => {
  const sku = skus.find(
    ({ resourceType, name }) =>
      resourceType?.toLowerCase() === 'virtualmachines' &&
      name?.toLowerCase() === vmSize.toLowerCase(),
  )
  const found = sku?.capabilities?.find(({ name }) => name === 'MaxNetworkInterfaces')
  const count = Number(found?.value ?? Number.NaN)
  return Number.isInteger(count) && count > 0 ? count : undefined
}
