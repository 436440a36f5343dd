// Running pods keep their traffic: the daemon never takes a live pod's link, route or map element
// away, crashes and restarts included. What others remove is excused, and must be mended.

import type { Checker, Fail, World } from '../world.ts'

export const traffic = (world: World, fail: Fail): Checker => ({
  name: 'traffic',
  on: {
    removed: ({ what, sandbox, ips, by }) => {
      const pod = sandbox === undefined ? undefined : world.live.pods.get(sandbox)
      if (by !== 'daemon' || pod === undefined) return
      fail(`the daemon removes the ${what} of ${pod.key} (${ips.join()}), which lives`)
    },
  },
  atRest: () => {
    for (const pod of world.live.pods.values()) {
      if (pod.isStray) continue
      for (const address of pod.ips) {
        const route = world.kernel.routes.get(address)
        const element = [...world.kernel.elements.values()].find(
          each => each.address === address && each.sandbox === pod.key,
        )
        if (route?.sandbox !== pod.key) fail(`${pod.key} has no route for ${address} at rest`)
        if (element?.slot !== pod.slot) {
          fail(`${pod.key} has no map element for ${address} at rest`)
        }
      }
      if (pod.robbedAt === undefined && !world.kernel.slots.has(pod.slot)) {
        fail(`${pod.key} lives on slot ${pod.slot}, which the kernel does not have at rest`)
      }
    }
  },
})
