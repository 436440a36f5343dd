// A small cloud that tests share: one VPC, three subnets in two zones, two nodes.
import { cidr, ip } from '#core/ip.ts'
import { awsTraits } from './aws/traits.ts'
import { type Built, type Description, buildVpc } from './description.ts'
import { type VirtualClock, virtualClock } from './model/clock.ts'
import { type LatencyName, latencyProfiles } from './model/latency.ts'
import { type World, createWorld } from './model/world.ts'
import type { Traits } from './platform.ts'

/** Two nodes with known primary addresses; `tiny` has eleven usable addresses, the others 251. */
export const sampleVpc: Description = {
  cidrs: [cidr('10.0.0.0/16')],
  cidrs6: [cidr('2600:1f18:0:100::/56')],
  subnets: [
    {
      name: 'a',
      zone: 'us-east-1a',
      cidr: cidr('10.0.0.0/24'),
      cidr6: cidr('2600:1f18:0:100::/64'),
    },
    { name: 'tiny', zone: 'us-east-1a', cidr: cidr('10.0.1.0/28') },
    { name: 'b', zone: 'us-east-1b', cidr: cidr('10.0.2.0/24') },
  ],
  securityGroups: [{ name: 'closed', ingress: [], egress: [] }],
  instances: [
    { name: 'node-a', type: 'm5.large', subnet: 'a', primaryAddress: ip('10.0.0.10') },
    { name: 'node-b', type: 't3.medium', subnet: 'b', primaryAddress: ip('10.0.2.10') },
  ],
}

/** The sample without any face, on virtual time. */
export interface SampleWorld {
  readonly world: World
  readonly clock: VirtualClock
  readonly ids: Built
}

/** `traits` says in what the cloud differs from AWS. */
export const sampleWorld = (
  latency: LatencyName = 'none',
  seed = 1,
  traits: Partial<Traits> = {},
): SampleWorld => {
  const clock = virtualClock()
  const world = createWorld({
    ...awsTraits,
    ...traits,
    seed,
    clock,
    latency: latencyProfiles[latency],
    quotas: { nicsMax: 20, groupsPerNicMax: 5, tagsMax: 50 },
    nameId: (kind, hex) => `${kind}-${hex.slice(0, 17)}`,
  })
  return { world, clock, ids: buildVpc(world, sampleVpc) }
}
