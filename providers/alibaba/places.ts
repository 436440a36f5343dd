// Places of NICs on the instance. ECS takes none when a NIC is attached and shows none that could
// be relied on (`DeviceIndex` is not publicly available), so they are ours: what this process
// attached stands where it was asked to, others in the order of their creation.

import type { NicId } from '#core/names.ts'
import { type Nic, holderOf, idOf, isPrimary } from './shapes.ts'

export interface Places {
  /** Remembers where a NIC was attached. */
  take(nic: NicId, place: number): void
  leave(nic: NicId): void
  /** True for what this process attached and has not detached. */
  has(nic: NicId): boolean
  /** Who was attached here by this process; places of others are only counted out. */
  holder(place: number): NicId | undefined
  /** Places of the attached NICs among these, and of those that do not show yet. */
  of(nics: readonly Nic[]): ReadonlyMap<NicId, number>
}

export const createPlaces = (): Places => {
  const taken = new Map<NicId, { readonly place: number; readonly wasSeen: boolean }>()

  // A description may trail an attachment, so only what was seen attached can be seen gone.
  const note = (nic: Nic): void => {
    const id = idOf(nic)
    const known = taken.get(id)
    if (known === undefined) return
    if (holderOf(nic) !== undefined) taken.set(id, { ...known, wasSeen: true })
    else if (known.wasSeen) taken.delete(id)
  }

  return {
    take: (nic, place) => void taken.set(nic, { place, wasSeen: false }),
    leave: nic => void taken.delete(nic),
    has: nic => taken.has(nic),
    holder: place => [...taken].find(([, known]) => known.place === place)?.[0],
    of: nics => {
      nics.forEach(note)
      const places = new Map([...taken].map(([nic, { place }]) => [nic, place]))
      const used = new Set([0, ...places.values()])
      for (const nic of nics.filter(holderOf).toSorted(byCreation)) {
        if (places.has(idOf(nic))) continue
        const place = isPrimary(nic) ? 0 : lowestFree(used)
        places.set(idOf(nic), place)
        used.add(place)
      }
      return places
    },
  }
}

const lowestFree = (used: ReadonlySet<number>): number => {
  let place = 1
  while (used.has(place)) place++
  return place
}

const byCreation = (a: Nic, b: Nic): number =>
  keyOf(a) < keyOf(b) ? -1 : Number(keyOf(a) > keyOf(b))

const keyOf = (nic: Nic): string => `${nic.creationTime ?? ''} ${nic.networkInterfaceId ?? ''}`
