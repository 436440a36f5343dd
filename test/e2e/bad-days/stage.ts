// The stage for bad days: one emulated VPC per test file, in which every case has a node, a daemon
// and an access key of its own, so that a fault hits nobody else and cases can run side by side.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cidr } from '#core/ip.ts'
import type { DescribedInstance, Description } from '#emulator/description.ts'
import { netnsPath } from '#emulator/fabric/layout.ts'
import { runCommand } from '#emulator/fabric/command.ts'
import { nodeBinary } from '#emulator/fabric/node.ts'
import { launchEmulator, type LaunchedEmulator } from '#emulator/launch.ts'
import type { LatencyName } from '#emulator/model/latency.ts'
import type { PlatformName } from '#emulator/platform.ts'
import { placesOf, type StagePlaces } from './clouds.ts'
import { createAdmin, type Admin } from './admin.ts'
import { buildAll } from './build.ts'
import { makeNode, type StageNode } from './node.ts'

/** A node and what its daemon may not do. */
export type Role = {
  readonly type: string
  /** Subnets of the node's own zone, the node's own first; the others are offered to the CNI. */
  readonly subnets?: readonly string[]
  /** Subnets and node have IPv6, too. */
  readonly hasIpv6?: boolean
  readonly deniedActions?: readonly string[]
  /** NICs beside the first one that the node boots with: which subnet, and whether for pods. */
  readonly moreNics?: readonly { readonly subnet: number; readonly isForPods: boolean }[]
  /** What else is special about the machine. */
  readonly machine?: Pick<DescribedInstance, 'scaleSet' | 'accelerated' | 'renames' | 'tags'>
  /** Variables of the daemon, over those that it usually has. */
  readonly env?: Readonly<Record<string, string>>
}

export type Stage<Name extends string> = {
  readonly run: string
  readonly emulator: LaunchedEmulator
  readonly admin: Admin
  readonly nodes: Readonly<Record<Name, StageNode>>
  /** Makes an empty network namespace, for a pod; it goes with the stage. */
  makeNetns(): Promise<string>
  removeNetns(path: string): Promise<void>
  /** Sends a call of the cloud's API as an administrator would, with the official SDK. */
  administer(command: string, input: object): Promise<Readonly<Record<string, unknown>>>
  close(): Promise<void>
}

export type StageOptions<Name extends string> = {
  /** Left out: `aws`. */
  readonly cloud?: PlatformName
  readonly seed: number
  readonly latency?: LatencyName
  readonly roles: Readonly<Record<Name, Role>>
}

/** Starts the cloud and its nodes; no daemon runs yet. */
export const openStage = async <Name extends string>(
  options: StageOptions<Name>,
): Promise<Stage<Name>> => {
  buildAll()
  const { seed, latency = 'fast', cloud = 'aws' } = options
  const place = placesOf[cloud]
  const roles: readonly (readonly [string, Role])[] = Object.entries(options.roles)
  const directory = await mkdtemp(join(tmpdir(), 'ew-bad-'))
  const limits = limitsOf(place, roles)
  const layout = layoutOf(place, roles)
  const emulator = await launchEmulator({ cloud, seed, latency, layout, limits })
  const admin = createAdmin(emulator.admin.socket)
  const nodes = emulator.nodes.map(launched =>
    makeNode({
      launched,
      directory,
      seed,
      env: { ...place.environment(launched), ...roleOf(roles, launched.name).env },
    }),
  )
  let pods = 0
  return {
    run: emulator.run,
    emulator,
    admin,
    nodes: Object.fromEntries(nodes.map(node => [node.name, node])) as Record<Name, StageNode>,
    makeNetns: async () => {
      // The run's prefix: what a failed test leaves is removed with the emulator.
      const name = `ew-${emulator.run}-pod-${++pods}`
      await runCommand({ netns: undefined, argv: ['ip', 'netns', 'add', name] })
      return netnsPath(name)
    },
    removeNetns: async path => {
      const name = path.split('/').at(-1) ?? ''
      await runCommand({ netns: undefined, argv: ['ip', 'netns', 'delete', name] })
    },
    administer: async (command, input) => {
      const tool = join(import.meta.dirname, 'tools', place.tool)
      const env = { ...emulator.env, ...place.toolEnvironment }
      const setting = Object.entries(env).map(([key, value]) => `${key}=${value}`)
      const argv = ['env', ...setting, nodeBinary(), tool, command, JSON.stringify(input)]
      return JSON.parse(await runCommand({ netns: emulator.netns, argv })) as Record<
        string,
        unknown
      >
    },
    close: async () => {
      await Promise.all(nodes.map(node => node.stop()))
      await emulator.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

// The first key is the administrator's. Keys of one account share its buckets, which are made
// large: what one case does must not throttle another.
const limitsOf = (
  { keyOf, accountId, administrator }: StagePlaces,
  roles: readonly (readonly [string, Role])[],
) => ({
  accounts: [
    {
      id: accountId,
      keys: [
        { accessKeyId: administrator },
        ...roles.map(([name, { deniedActions = [] }]) => ({
          accessKeyId: keyOf(name),
          deniedActions,
        })),
      ],
    },
  ],
  throttleFactor: 50,
})

// Each node has a zone of its own, because a zone's subnets are shared by its nodes.
const layoutOf = (
  { zoneOf, subnetPlaceOf }: StagePlaces,
  roles: readonly (readonly [string, Role])[],
): Description => ({
  cidrs: [cidr('10.0.0.0/8')],
  cidrs6: [cidr('2001:db8::/48')],
  subnets: roles.flatMap(([name, { subnets, hasIpv6 = false }], index) =>
    (subnets ?? [`10.${index + 1}.0.0/20`]).map((range, i) => ({
      name: `${name}-${i}`,
      zone: subnetPlaceOf(zoneOf(index)),
      cidr: cidr(range),
      ...(hasIpv6 ? { cidr6: cidr(`2001:db8:0:${index + 1}0${i}::/64`) } : {}),
      tags: { 'kubernetes.io/role/cni': '1' },
    })),
  ),
  instances: roles.map(([name, { type, hasIpv6 = false, moreNics = [], machine }], index) => ({
    ...machine,
    name,
    type,
    subnet: `${name}-0`,
    zone: zoneOf(index),
    addressCount6: hasIpv6 ? 1 : 0,
    secondaryNics: moreNics.map(({ subnet, isForPods }) => ({
      subnet: `${name}-${subnet}`,
      tags: isForPods ? podsTag : {},
    })),
  })),
})

// As Azure takes it, where no name of a tag has a slash.
const podsTag = { 'eniway.io_pods': 'true' }

const roleOf = (roles: readonly (readonly [string, Role])[], name: string): Partial<Role> =>
  roles.find(([other]) => other === name)?.[1] ?? {}
