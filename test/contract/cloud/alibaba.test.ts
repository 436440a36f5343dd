// The Alibaba provider over the emulator's wire: the official SDK, redirected by its environment.

import { latencyProfiles } from '#emulator/model/latency.ts'
import { makeAlibaba } from './alibaba.ts'
import { cloudContract } from './contract.ts'

const { none, fast } = latencyProfiles
cloudContract('alibaba', () => makeAlibaba(none))
// New ids are unknown for a while, describes are stale, attaching and detaching take time.
cloudContract('alibaba with its delays', () => makeAlibaba({ ...fast, callMs: none.callMs }))
