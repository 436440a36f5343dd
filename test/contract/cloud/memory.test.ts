// The clouds that the simulation plays, held to the same promises as the real ones.

import { habits } from '#test/sim/shape.ts'
import { cloudContract } from './contract.ts'
import { makeMemoryCloud } from './memory.ts'

for (const habit of habits) {
  const traits = { hotPlug: habit !== 'fixed' }
  cloudContract(`in memory, habit ${habit}`, () => makeMemoryCloud(habit), traits)
}
