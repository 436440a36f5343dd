// The other side of the comparison: ptp with host-local from Debian's containernetworking-plugins,
// the plainest way to give a pod a veth pair and a route.

import { join } from 'node:path'
import { addNamespaces, pathOf } from './namespaces.ts'
import type { Session } from './shell.ts'
import type { Side } from './side.ts'

const pluginDirectory = '/usr/lib/cni'

/** Makes the namespace that plays the node; the plugin needs nothing else. */
export const startPeer = async (session: Session, dir: string, name: string): Promise<Side> => {
  await addNamespaces(session, dir, [name])
  await session.run({ program: 'ip', args: ['-n', name, 'link', 'set', 'lo', 'up'] })
  return {
    name: 'peer',
    netns: pathOf(name),
    program: join(pluginDirectory, 'ptp'),
    cniPath: pluginDirectory,
    config: {
      cniVersion: '1.0.0',
      name: 'peer',
      type: 'ptp',
      ipam: {
        type: 'host-local',
        dataDir: join(dir, 'peer-leases'),
        ranges: [[{ subnet: '10.218.0.0/16' }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
    prepare: async () => undefined,
    settle: async () => undefined,
    residents: () => [],
  }
}
