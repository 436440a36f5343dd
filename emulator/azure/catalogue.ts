// The reads about the offer: VM sizes and what they can carry, and the network's quotas.
import { allNics } from '#emulator/model/world.ts'
import { type Action, replyOf } from './action.ts'
import { ArmError } from './errors.ts'
import { pageOf } from './pages.ts'
import { skuJson } from './shape-vm.ts'
import { sizeNames } from './sizes.ts'

/** Microsoft.Compute/skus; the only filter it knows is by location. */
export const listSkus: Action = {
  name: 'skus/read',
  kind: 'describe',
  work: context => {
    const { arm, query } = context
    const filter = query.get('$filter')
    const wanted = filter === null ? arm.location : /^location eq '([^']+)'$/i.exec(filter)?.[1]
    if (wanted === undefined) {
      throw new ArmError(
        'InvalidParameter',
        `The filter "${filter}" is not supported; use location eq '{location}'.`,
      )
    }
    const isHere = wanted.toLowerCase() === arm.location.toLowerCase()
    return pageOf(context, isHere ? sizeNames : [], {
      keyOf: name => name,
      show: name => skuJson(arm, name),
    })
  },
}

/** Microsoft.Network/locations/{location}/usages. */
export const listUsages: Action = {
  name: 'usages/read',
  kind: 'describe',
  work: ({ arm }) =>
    replyOf(200, {
      value: [
        {
          id:
            `/subscriptions/${arm.subscriptionId}/providers/Microsoft.Network/locations/` +
            `${arm.location}/usages/NetworkInterfaces`,
          unit: 'Count',
          currentValue: allNics(arm.world).length,
          limit: arm.world.options.quotas.nicsMax,
          name: { value: 'NetworkInterfaces', localizedValue: 'Network Interfaces' },
        },
      ],
    }),
}
