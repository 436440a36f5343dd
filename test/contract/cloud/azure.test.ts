// The Azure provider over the emulator's wire.

import { latencyProfiles } from '#emulator/model/latency.ts'
import { makeAzure } from './azure.ts'
import { cloudContract } from './contract.ts'

const { none, fast } = latencyProfiles
cloudContract('azure', () => makeAzure(none), { hotPlug: false })
// Writes are operations that take their time.
cloudContract('azure with its delays', () => makeAzure({ ...fast, callMs: none.callMs }), {
  hotPlug: false,
})
