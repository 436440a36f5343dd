// What the kind of cloud and of pods demands: one address of every family from one NIC for each
// pod, no call about NICs where they cannot be plugged, and no return of what a NIC was born with.

import type { Ip } from '#core/ip.ts'
import { familyOf } from '#core/ip.ts'
import type { CloudCall } from '../notices.ts'
import type { Checker, Fail, World } from '../world.ts'

const plugCalls: readonly CloudCall['kind'][] = ['createNic', 'attachNic', 'detachNic', 'deleteNic']

export const shape = (world: World, fail: Fail): Checker => {
  const called = (call: CloudCall): void => {
    if (plugCalls.includes(call.kind) && !world.estate.limits.hotPlug) {
      fail(`${call.kind} is called in a cloud that attaches NICs to stopped instances only`)
    }
    if (call.kind !== 'returnBlocks') return
    const fixed = world.estate.nics.get(call.nic)?.fixedBlocks ?? []
    const block = call.blocks.find(each => fixed.includes(each))
    if (block !== undefined) fail(`${block} is returned, with which ${call.nic} was born`)
  }
  return {
    name: 'shape',
    on: {
      called: ({ call }) => called(call),
      answered: ({ answer }) => {
        if (answer.kind !== 'added') return
        const { ips, sandbox } = answer.wiring
        const wanted = world.config().families.join()
        const given = ips.map(familyOf).join()
        if (given !== wanted) fail(`${sandbox} gets addresses of families ${given}, not ${wanted}`)
        const owners = new Set(ips.flatMap((ip: Ip) => world.estate.ownerOf(ip)?.id ?? []))
        if (owners.size > 1) fail(`${sandbox} gets ${ips.join()} of ${[...owners].join(' and ')}`)
      },
    },
  }
}
