// How the simulated cloud says no, in the words of EC2.

import type { NicId } from '#core/names.ts'
import { type Failure, failed, type Outcome } from '#core/ports.ts'
import type { Scheduler } from './clock.ts'
import type { Estate, EstateNic } from './estate.ts'
import type { Faults } from './faults.ts'

/** A failure with the fields that matter to the core; the code is EC2's own. */
export const failure = (
  kind: Failure['kind'],
  code: string,
  more?: Partial<Failure>,
): Outcome<never> =>
  failed({
    kind,
    ambiguous: false,
    call: 'simulated call',
    code,
    message: `simulated call failed: ${code}`,
    retryAfterMs: undefined,
    ...more,
  })

/** The NIC by its id, unless the cloud does not know it (yet). */
export const find = (
  parts: { readonly estate: Estate; readonly scheduler: Scheduler; readonly faults: Faults },
  id: NicId,
): EstateNic | undefined => {
  const nic = parts.estate.nics.get(id)
  if (nic === undefined || nic.visibleAt <= parts.scheduler.clock.now()) return nic
  parts.faults.count('notFound')
  return undefined
}

export const notFound = (nic: NicId): Outcome<never> =>
  failure('notFound', 'InvalidNetworkInterfaceID.NotFound', { message: `no NIC ${nic}` })
