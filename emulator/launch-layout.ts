// The YAML that describes an emulated cloud: subnets, security groups, instances, accounts, limits.
// Parsed here into the emulator's own values; everything is referred to by name, ids are the
// seed's.
import { parse } from 'yaml'
import { z } from 'zod'
import { cidr, parseCidr, parseIp } from '#core/ip.ts'
import type { Cidr, Ip } from '#core/ip.ts'
import type { DescribedGroup, DescribedInstance, DescribedRule } from './description.ts'
import type { Description } from './description.ts'
import type { Account } from './accounts.ts'
import type { EmulatorOptions } from './emulator.ts'
import type { PlatformName } from './platform.ts'

/** More instances than this are refused: each is a namespace and each NIC some kernel memory. */
export const nodesMax = 64

/** What the options `--cloud`, `--nodes`, `--instance-type` and `--nics` say. */
export interface DefaultLayout {
  /** Left out: `aws`. */
  readonly cloud?: PlatformName
  readonly nodes: number
  readonly instanceType: string
  /** NICs that each node boots with; left out: 1. */
  readonly nics?: number
}

/** The machine type of nodes when nobody chose one. */
export const instanceTypes: Readonly<Record<PlatformName, string>> = {
  aws: 'm5.large',
  azure: 'Standard_D4s_v5',
  alibaba: 'ecs.g7.large',
}

/** Zones of nodes, in turn. */
const zones: Readonly<Record<PlatformName, readonly [string, string]>> = {
  aws: ['us-east-1a', 'us-east-1b'],
  azure: ['eastus-1', 'eastus-2'],
  alibaba: ['cn-hangzhou-h', 'cn-hangzhou-i'],
}

/** Where the subnet of a zone lies: those of Azure span their location. */
const subnetPlace = (cloud: PlatformName, zone: string): string =>
  cloud === 'azure' ? zone.replace(/-\d+$/, '') : zone

const cidrText = z.string().transform((text, context): Cidr => {
  const parsed = parseCidr(text)
  if (parsed !== undefined) return parsed
  context.addIssue(`"${text}" is not a prefix such as 10.0.0.0/16`)
  return z.NEVER
})

const ipText = z.string().transform((text, context): Ip => {
  const parsed = parseIp(text)
  if (parsed !== undefined) return parsed
  context.addIssue(`"${text}" is not an address such as 10.0.0.4`)
  return z.NEVER
})

// A namespace is a file; its name holds this one.
const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9.-]{0,62}$/, 'use up to 63 lower-case letters, digits, dots, hyphens')

const tags = z.record(z.string(), z.string()).default({})

const portNumber = z.int().min(0).max(65_535)

const rule = z.strictObject({
  protocol: z.enum(['all', 'tcp', 'udp', 'icmp']).default('all'),
  /** `[80, 90]`, both ends included; every port when it is left out. */
  ports: z.tuple([portNumber, portNumber]).optional(),
  /** A prefix, or the name of a security group: its own, an earlier one, or `default`. */
  peer: z.string().min(1),
})

const subnet = z.strictObject({
  name,
  zone: z.string(),
  cidr: cidrText,
  cidr6: cidrText.optional(),
  tags,
})

const group = z.strictObject({
  name,
  ingress: z.array(rule).default([]),
  egress: z.array(rule).default(['0.0.0.0/0', '::/0'].map(peer => ({ protocol: 'all', peer }))),
})

const instance = z.strictObject({
  name,
  type: z.string(),
  subnet: name,
  /** Where subnets span their region: the machine's own zone. */
  zone: z.string().optional(),
  securityGroups: z.array(name).default([]),
  primaryAddress: ipText.optional(),
  /** Left out: `eniway-node`; '' is none. */
  role: z.string().optional(),
  /** NICs that it boots with beside the first one. */
  secondaryNics: z
    .array(z.strictObject({ subnet: name, securityGroups: z.array(name).default([]), tags }))
    .default([]),
  scaleSet: z
    .strictObject({ name: z.string().min(1), mode: z.enum(['flexible', 'uniform']) })
    .optional(),
  /** Two devices with one MAC for each NIC, as Azure's accelerated networking shows them. */
  accelerated: z.boolean().default(false),
  /** Devices get another name some time after they appear, as from udev. */
  renames: z.boolean().default(false),
  /** IPv6 addresses of the first NIC; the first one is the machine's own. */
  addressCount6: z.int().min(0).default(0),
  tags,
})

const actions = z.array(z.string()).default([])

const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** What accounts and who calls for them are called, by cloud. */
const accountForms: Readonly<Record<PlatformName, readonly [RegExp, string, RegExp]>> = {
  aws: [/^\d{12}$/, 'use twelve digits', /^[A-Za-z0-9]+$/],
  azure: [uuid, 'use the UUID of a subscription', uuid],
  alibaba: [/^\d{16}$/, 'use sixteen digits', /^[A-Za-z0-9]+$/],
}

const accountOfCloud = (cloud: PlatformName) => {
  const [id, says, accessKeyId] = accountForms[cloud]
  return z.strictObject({
    id: z.string().regex(id, says),
    keys: z
      .array(
        z.strictObject({
          accessKeyId: z.string().regex(accessKeyId),
          secretAccessKey: z.string().optional(),
          deniedActions: actions,
        }),
      )
      .min(1),
  })
}

const schemaOf = (cloud: PlatformName) =>
  z.strictObject({
    cidrs: z.array(cidrText).min(1),
    cidrs6: z.array(cidrText).default([]),
    subnets: z.array(subnet).min(1),
    securityGroups: z.array(group).default([]),
    instances: z.array(instance).max(nodesMax),
    /** The first key of the first account is the one that the emulator prints. */
    accounts: z.array(accountOfCloud(cloud)).min(1).optional(),
    /** Actions that instance roles may not call, by role name. */
    deniedToRoles: z.record(z.string(), z.array(z.string())).optional(),
    /** Multiplies every documented request limit. */
    throttleFactor: z.number().positive().optional(),
    /** NICs per region. */
    nicsMax: z.int().positive().optional(),
  })

/** What a cloud allows, beside what is in it; everything left out is as documented. */
export type LaunchLimits = Pick<
  EmulatorOptions,
  'accounts' | 'deniedToRoles' | 'throttleFactor' | 'nicsMax'
>

/** A whole emulated cloud. */
export interface LaunchLayout {
  readonly vpc: Description
  readonly limits: LaunchLimits
}

type Layout = z.infer<ReturnType<typeof schemaOf>>

/** Parses the text of a layout file; an unknown key or a wrong value is one readable sentence. */
export const parseLayout = (
  text: string,
  file: string,
  cloud: PlatformName = 'aws',
): LaunchLayout => {
  const result = schemaOf(cloud).safeParse(yamlOf(text, file))
  if (result.success) return { vpc: descriptionOf(result.data), limits: limitsOf(result.data) }
  const problems = z.prettifyError(result.error).replaceAll(/\s+/g, ' ')
  throw new Error(`cannot use the VPC described in ${file}: ${problems}`)
}

const yamlOf = (text: string, file: string): unknown => {
  try {
    return parse(text)
  } catch (cause) {
    throw new Error(`cannot read ${file} as YAML: ${String(cause)}`, { cause })
  }
}

/** Two subnets in two zones, nodes in turn, one group whose members trust each other. */
export const defaultLayout = (options: DefaultLayout): Description => {
  const { cloud = 'aws', nodes, instanceType, nics = 1 } = options
  if (!(Number.isInteger(nodes) && nodes >= 0 && nodes <= nodesMax)) {
    throw new Error(`cannot start ${nodes} nodes: choose 0 to ${nodesMax}`)
  }
  return {
    cidrs: [cidr('10.0.0.0/16')],
    cidrs6: [cidr('2001:db8:0:100::/56')],
    subnets: [
      {
        name: 'nodes-a',
        zone: subnetPlace(cloud, zones[cloud][0]),
        cidr: cidr('10.0.0.0/20'),
        cidr6: cidr('2001:db8:0:100::/64'),
      },
      {
        name: 'nodes-b',
        zone: subnetPlace(cloud, zones[cloud][1]),
        cidr: cidr('10.0.16.0/20'),
        cidr6: cidr('2001:db8:0:101::/64'),
      },
    ],
    instances: Array.from({ length: nodes }, (_, index) => {
      const subnetName = index % 2 === 0 ? 'nodes-a' : 'nodes-b'
      const secondaryNics = Array.from({ length: nics - 1 }, () => ({ subnet: subnetName }))
      const zone = zones[cloud][index % 2 === 0 ? 0 : 1]
      const place = { subnet: subnetName, zone, addressCount6: 1, secondaryNics }
      return { name: nodeName(index), type: instanceType, ...place }
    }),
  }
}

const letters = 'abcdefghijklmnopqrstuvwxyz'

const nodeName = (index: number): string => `node-${letters[index] ?? index + 1}`

const descriptionOf = (layout: Layout): Description => ({
  cidrs: layout.cidrs,
  cidrs6: layout.cidrs6,
  subnets: layout.subnets.map(({ cidr6, ...rest }) => ({
    ...rest,
    ...(cidr6 === undefined ? {} : { cidr6 }),
  })),
  securityGroups: layout.securityGroups.map(groupOf),
  instances: layout.instances.map(instanceOf),
})

const instanceOf = (described: z.infer<typeof instance>): DescribedInstance => {
  const { securityGroups, primaryAddress, role, scaleSet, zone, secondaryNics, ...rest } = described
  return {
    ...rest,
    groups: securityGroups,
    secondaryNics: secondaryNics.map(({ securityGroups: groups, ...nic }) => ({ ...nic, groups })),
    ...(primaryAddress === undefined ? {} : { primaryAddress }),
    ...(role === undefined ? {} : { role }),
    ...(zone === undefined ? {} : { zone }),
    ...(scaleSet === undefined ? {} : { scaleSet }),
  }
}

const limitsOf = (layout: Layout): LaunchLimits => {
  const { accounts, deniedToRoles, throttleFactor, nicsMax } = layout
  return {
    ...(deniedToRoles === undefined ? {} : { deniedToRoles }),
    ...(throttleFactor === undefined ? {} : { throttleFactor }),
    ...(nicsMax === undefined ? {} : { nicsMax }),
    ...(accounts === undefined ? {} : { accounts: accounts.map(accountOf) }),
  }
}

const accountOf = ({ id, keys }: NonNullable<Layout['accounts']>[number]): Account => ({
  id,
  keys: keys.map(({ secretAccessKey, ...key }) => ({
    ...key,
    ...(secretAccessKey === undefined ? {} : { secretAccessKey }),
  })),
})

const groupOf = ({ name: own, ingress, egress }: z.infer<typeof group>): DescribedGroup => ({
  name: own,
  ingress: ingress.map(ruleOf),
  egress: egress.map(ruleOf),
})

const ruleOf = ({ protocol, ports, peer }: z.infer<typeof rule>): DescribedRule => {
  const range = parseCidr(peer)
  return {
    protocol,
    ports: ports === undefined ? undefined : { from: ports[0], to: ports[1] },
    peer: range === undefined ? { group: peer } : { cidr: range },
  }
}
