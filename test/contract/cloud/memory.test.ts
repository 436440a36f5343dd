// The cloud that the simulation plays, held to the same promises as the real ones.

import { cloudContract } from './contract.ts'
import { makeMemoryCloud } from './memory.ts'

cloudContract('in memory', makeMemoryCloud)
