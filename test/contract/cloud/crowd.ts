// NICs of somebody else in the emulated network, so that lists have more than one page.

import type { Emulator } from '#emulator/emulator.ts'
import { createNic } from '#emulator/model/nics.ts'

const none = { addresses: [], addressCount: 0, prefixes: [], prefixCount: 0 }

/** Creates unattached NICs without tags in the subnet called `a`. */
export const crowd = (emulator: Emulator, count: number): void => {
  for (let made = 0; made < count; made++) {
    createNic(emulator.world, {
      subnetId: emulator.ids.subnetIds['a'] ?? '',
      description: 'of somebody else',
      groupIds: [],
      primaryAddress: undefined,
      lend4: none,
      lend6: none,
      tags: {},
    })
  }
}
