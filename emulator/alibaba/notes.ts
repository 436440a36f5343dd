// What ECS knows of a NIC that the shared model does not: its name, its age, whether it goes with
// its instance, and that it is being deleted. And the status word that all of it amounts to.
import { refuse } from '#emulator/model/refusal.ts'
import { type Instance, type Nic, nicStatus } from '#emulator/model/types.ts'
import { type World, nicOf } from '#emulator/model/world.ts'
import { ApiError, invalidNicState } from './errors.ts'

/** One NIC's. */
export interface NicNote {
  readonly name: string
  readonly createdAt: number
  /** Undefined: nobody said; the primary NIC goes with its instance, others stay. */
  readonly deleteOnRelease: boolean | undefined
}

/** All NICs'. */
export interface Notes {
  readonly nics: Map<string, NicNote>
  /** Also those that are gone: describes may still show them for a moment. */
  readonly deleting: Set<string>
}

export const createNotes = (): Notes => ({ nics: new Map(), deleting: new Set() })

/** A NIC's note; NICs that came with their instance have none of their own. */
export const noteOf = (notes: Notes, nic: Nic): NicNote =>
  notes.nics.get(nic.id) ?? {
    name: '',
    createdAt: nic.attachment?.attachedAt ?? nic.availableAt,
    deleteOnRelease: undefined,
  }

type Status = 'Available' | 'Attaching' | 'InUse' | 'Detaching' | 'Deleting'

/** Status words by the model's; a created NIC is Available at once (CreateNetworkInterface). */
const words = {
  pending: 'Available',
  available: 'Available',
  attaching: 'Attaching',
  'in-use': 'InUse',
  detaching: 'Detaching',
} as const

/** The status word of a NIC as an observer sees it. */
export const statusOf = (world: World, notes: Notes, nic: Nic): Status =>
  notes.deleting.has(nic.id) ? 'Deleting' : words[nicStatus(nic, world.clock.now())]

/** The true NIC; refuses statuses in which an action cannot be done. */
export const nicIn = (
  { world, notes }: { readonly world: World; readonly notes: Notes },
  id: string,
  allowed: readonly Status[],
): Nic => {
  const nic = nicOf(world, id)
  const status = statusOf(world, notes, nic)
  if (!allowed.includes(status)) throw invalidNicState(id, status)
  return nic
}

/** Refuses an instance that neither runs nor stands still: its NICs cannot be changed meanwhile. */
export const checkInstance = ({ id, state }: Instance): void => {
  if (state === 'running' || state === 'stopped') return
  if (state === 'terminated') throw refuse({ kind: 'notFound', thing: 'instance', ids: [id] })
  throw new ApiError(
    'InvalidOperation.InvalidEcsState',
    `The operation is not allowed in the current ecs state: "${id}" is ${state}.`,
  )
}
