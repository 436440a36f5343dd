// What an administrator of Azure does by hand: looks at NICs as Resource Manager shows them, and
// changes them as a portal does, with the ETag that was read.

import { setTimeout as sleep } from 'node:timers/promises'
import { defaultAccount } from '#emulator/azure/account.ts'
import type { TrueNic } from './admin.ts'
import type { StageNode } from './node.ts'
import type { Stage } from './stage.ts'

/** A NIC in Azure's own form. */
export type ArmNic = {
  readonly name: string
  /** Its path in Resource Manager, api-version included. */
  readonly path: string
  readonly body: ArmBody
  readonly configs: readonly ArmConfig[]
}

export type ArmConfig = {
  readonly name: string
  readonly properties: {
    readonly privateIPAddress?: string
    readonly privateIPAddressVersion?: string
    readonly privateIPAllocationMethod?: string
    readonly subnet?: { readonly id: string }
  }
}

export type ArmBody = {
  readonly name: string
  readonly etag?: string
  readonly tags?: Readonly<Record<string, string>>
  readonly properties: {
    readonly ipConfigurations: readonly ArmConfig[]
    readonly networkProfile?: { readonly networkInterfaces: readonly object[] }
  }
}

export type ArmAdmin = {
  /** The first NIC of the machine first; `set`: the uniform scale set whose only member it is. */
  nicsOf(node: StageNode, set?: string): Promise<readonly ArmNic[]>
  /** Reads, changes and writes, again and again until nobody was faster. */
  edit(path: string, change: (body: ArmBody) => ArmBody): Promise<void>
  /** Stops the machine, detaches its second NIC and starts it again. */
  takeSecondNic(node: StageNode): Promise<void>
  isOurs(config: ArmConfig): boolean
  /** `10.0.0.4/32`, `10.0.0.16/28`. */
  blockOf(config: ArmConfig): string
  without(body: ArmBody, address: string): ArmBody
  /** With so many configurations of somebody else. */
  withTheirs(body: ArmBody, count: number): ArmBody
  /** With a tag, and with a property that no api-version has. */
  withUnknown(body: ArmBody): ArmBody
}

const group = `/subscriptions/${defaultAccount.id}/resourceGroups/eniway-nodes/providers`
const network = 'api-version=2024-05-01'
const compute = 'api-version=2024-07-01'
const member = 'api-version=2018-10-01'
const triesMax = 50
const betweenMs = 200

type Said = { readonly status: number; readonly body: ArmBody }

export const createArmAdmin = (stage: Stage<string>): ArmAdmin => {
  const ask = async (method: string, path: string, more: object = {}): Promise<Said> =>
    (await stage.administer(method, { path, ...more })) as Said

  const editOnce = async (path: string, change: (body: ArmBody) => ArmBody) => {
    const { body } = await ask('GET', path)
    const ifMatch = body.etag === undefined ? {} : { ifMatch: body.etag }
    return ask('PUT', path, { body: change(body), ...ifMatch })
  }

  const edit: ArmAdmin['edit'] = (path, change) => insist(() => editOnce(path, change))

  return {
    edit,
    isOurs,
    blockOf,
    nicsOf: async (node, set) => {
      const nics = (await stage.admin.nics())
        .filter(({ attachment }) => attachment?.instanceId === node.instanceId)
        .toSorted((x, y) => indexOf(x) - indexOf(y))
      return Promise.all(
        nics.map(async nic => {
          const name = set === undefined ? nic.id : `nic${indexOf(nic)}`
          const path = `${homeOf(set)}/networkInterfaces/${name}?${versionOf(set)}`
          const { body } = await ask('GET', path)
          return { name, path, body, configs: body.properties.ipConfigurations }
        }),
      )
    },
    takeSecondNic: async ({ name }) => {
      const machine = `${group}/Microsoft.Compute/virtualMachines/${name}`
      await insist(() => ask('POST', `${machine}/deallocate?${compute}`))
      await edit(`${machine}?${compute}`, withoutSecondNic)
      await insist(() => ask('POST', `${machine}/start?${compute}`))
    },
    without: (body, address) =>
      withConfigs(body, configs =>
        configs.filter(({ properties }) => properties.privateIPAddress !== address),
      ),
    withTheirs: (body, count) =>
      withConfigs(body, configs => [
        ...configs,
        ...Array.from({ length: count }, (_, i) => theirConfig(`theirs-${i}`, configs)),
      ]),
    withUnknown: body => ({
      ...body,
      tags: { ...body.tags, theirs: 'kept' },
      properties: Object.assign({}, body.properties, { nobodyKnows: { this: 1 } }),
    }),
  }
}

// Refused as long as another operation runs, and when somebody else was faster.
const insist = async (work: () => Promise<Said>): Promise<void> => {
  let last: Said | undefined
  for (let tries = 0; tries < triesMax; tries++) {
    last = await work()
    if (last.status < 300) return
    await sleep(betweenMs)
  }
  throw new Error(`Azure refuses it again and again: ${JSON.stringify(last)}`)
}

const indexOf = ({ attachment }: TrueNic): number => attachment?.deviceIndex ?? 0

// The first member of a uniform set has its NICs inside the set.
const homeOf = (set: string | undefined): string =>
  set === undefined
    ? `${group}/Microsoft.Network`
    : `${group}/Microsoft.Compute/virtualMachineScaleSets/${set}/virtualMachines/0`

const versionOf = (set: string | undefined): string => (set === undefined ? network : member)

const withoutSecondNic = (body: ArmBody): ArmBody => {
  const nics = body.properties.networkProfile?.networkInterfaces ?? []
  const networkProfile = { networkInterfaces: nics.slice(0, 1) }
  return { ...body, properties: { ...body.properties, networkProfile } }
}

const isOurs = ({ name }: ArmConfig): boolean => /^eniway-\d+$/.test(name)

const blockOf = ({ properties }: ArmConfig): string => {
  const { privateIPAddress = '', privateIPAddressVersion } = properties
  if (privateIPAddress.includes('/')) return privateIPAddress
  return `${privateIPAddress}/${privateIPAddressVersion === 'IPv6' ? 128 : 32}`
}

const withConfigs = (
  body: ArmBody,
  change: (configs: readonly ArmConfig[]) => readonly ArmConfig[],
): ArmBody => ({
  ...body,
  properties: { ...body.properties, ipConfigurations: change(body.properties.ipConfigurations) },
})

const theirConfig = (name: string, [first]: readonly ArmConfig[]): ArmConfig => ({
  name,
  properties: {
    privateIPAllocationMethod: 'Dynamic',
    ...(first?.properties.subnet === undefined ? {} : { subnet: first.properties.subnet }),
  },
})
