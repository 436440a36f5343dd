// A Cloud that loads its provider at the first call: the SDK is most of the daemon's start-up time
// and memory, and a restart with a ledger serves pods before it is needed.

import type { Cloud } from '#core/ports.ts'

/** `load` is called once; when it fails the call fails, and the next one tries again. */
export const lazyCloud = (load: () => Promise<Cloud>): Cloud => {
  let loading: Promise<Cloud> | undefined
  const cloud = (): Promise<Cloud> => {
    loading ??= load().catch((error: unknown) => {
      loading = undefined
      throw error
    })
    return loading
  }
  return {
    describeNode: async signal => (await cloud()).describeNode(signal),
    observe: async signal => (await cloud()).observe(signal),
    createNic: async (request, signal) => (await cloud()).createNic(request, signal),
    attachNic: async (request, signal) => (await cloud()).attachNic(request, signal),
    detachNic: async (nic, signal) => (await cloud()).detachNic(nic, signal),
    deleteNic: async (nic, signal) => (await cloud()).deleteNic(nic, signal),
    lendBlocks: async (request, signal) => (await cloud()).lendBlocks(request, signal),
    returnBlocks: async (request, signal) => (await cloud()).returnBlocks(request, signal),
  }
}
