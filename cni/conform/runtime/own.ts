// Our own runtime, as the suite judges it.

import { loadNetwork } from '../../runtime/load.ts'
import { createRuntime } from '../../runtime/runtime.ts'
import { versions } from '../../spec/versions.ts'
import type { RuntimeSubject } from './place.ts'

/** The library `eniway/cni/runtime`. */
export const ownRuntime: RuntimeSubject = {
  name: 'cni/runtime',
  versions,
  load: loadNetwork,
  create: createRuntime,
}
