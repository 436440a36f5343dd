// A small emulated subscription for tests: the faces without HTTP, on virtual time, and callers
// with tokens.
import { cidr, ip } from '#core/ip.ts'
import { type Built, type Description, buildVpc } from '#emulator/description.ts'
import { createCallLog } from '#emulator/model/calls.ts'
import { type VirtualClock, virtualClock } from '#emulator/model/clock.ts'
import { type LatencyName, latencyProfiles } from '#emulator/model/latency.ts'
import { type World, allNics, createWorld } from '#emulator/model/world.ts'
import type { Face } from '#emulator/wire/answer.ts'
import { defaultAccount } from './account.ts'
import type { Arm, ArmNic } from './arm.ts'
import { createFace } from './face.ts'
import { subnetId } from './ids.ts'
import { type Json, type JsonObject, isObject, objectOf, objectsOf, textOf } from './json.ts'
import { createDirectory } from './principals.ts'
import { idOfNic, recordOf } from './records.ts'
import { createThrottle } from './throttle.ts'
import { azureTraits } from './traits.ts'

/** Plain machines with one and two NICs, and a member of a scale set of each mode. */
export const azureVpc: Description = {
  cidrs: [cidr('10.0.0.0/16')],
  cidrs6: [cidr('fd00:0:0:100::/56')],
  subnets: [
    {
      name: 'nodes',
      zone: 'eastus-1',
      cidr: cidr('10.0.0.0/24'),
      cidr6: cidr('fd00:0:0:100::/64'),
    },
    { name: 'tiny', zone: 'eastus-1', cidr: cidr('10.0.1.0/28') },
    { name: 'four', zone: 'eastus-1', cidr: cidr('10.0.2.0/23') },
  ],
  securityGroups: [
    { name: 'web', ingress: [], egress: [] },
    { name: 'database', ingress: [], egress: [] },
  ],
  instances: [
    {
      name: 'node-a',
      type: 'Standard_D4s_v5',
      subnet: 'nodes',
      primaryAddress: ip('10.0.0.10'),
    },
    {
      name: 'node-b',
      type: 'Standard_D4s_v5',
      subnet: 'four',
      primaryAddress: ip('10.0.2.10'),
      secondaryNics: [{ subnet: 'four' }],
    },
    { name: 'node-t', type: 'Standard_D4s_v5', subnet: 'tiny', primaryAddress: ip('10.0.1.4') },
    {
      name: 'member-u',
      type: 'Standard_D4s_v5',
      subnet: 'nodes',
      primaryAddress: ip('10.0.0.20'),
      scaleSet: { name: 'pool', mode: 'uniform' },
    },
    {
      name: 'member-f',
      type: 'Standard_D4s_v5',
      subnet: 'nodes',
      primaryAddress: ip('10.0.0.30'),
      scaleSet: { name: 'flex', mode: 'flexible' },
    },
  ],
}

/** An answer whose body has been read. */
export interface Answered {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: JsonObject
  /** The error's code, or `ok`. */
  readonly code: string
}

/** How a test calls ARM. */
export interface CallOptions {
  readonly body?: Json
  readonly ifMatch?: string
  /** Left out: that of the path's provider. */
  readonly version?: string
  readonly token?: string
}

export interface AzureSample {
  readonly world: World
  readonly clock: VirtualClock
  readonly ids: Built
  readonly arm: Arm
  readonly face: Face
  readonly calls: ReturnType<typeof createCallLog>
  readonly token: string
  /** `send('GET', path)`; the path has no query, or one that already names an api-version. */
  readonly send: (method: string, path: string, options?: CallOptions) => Promise<Answered>
  /** Token of an application that may not do these things. */
  readonly tokenWithout: (...denied: readonly string[]) => string
  /** The n-th NIC of a machine. */
  readonly nicOf: (instance: string, index?: number) => ArmNic
  /** ARM ids. */
  readonly nicPath: (instance: string, index?: number) => string
  readonly subnetPath: (name: string) => string
}

export const azureSample = (
  options: { readonly latency?: LatencyName; readonly throttleFactor?: number } = {},
): AzureSample => {
  const { latency = 'none', throttleFactor = 1000 } = options
  const clock = virtualClock()
  const world = createWorld({ ...azureTraits, seed: 1, clock, latency: latencyProfiles[latency] })
  const ids = buildVpc(world, azureVpc)
  const accounts = [defaultAccount]
  const deniedToRoles: Record<string, readonly string[]> = { 'eniway-node': [] }
  const arm: Arm = {
    world,
    subscriptionId: defaultAccount.id,
    location: 'eastus',
    directory: createDirectory({
      accounts,
      deniedToRoles,
      roles: () => Object.keys(deniedToRoles),
    }),
    records: new Map(),
    operations: new Map(),
    running: new Set(),
  }
  const calls = createCallLog()
  const face = createFace({ arm, throttle: createThrottle(throttleFactor), calls })
  const tokenWithout = (...deniedActions: readonly string[]): string => {
    const role = `without ${deniedActions.join()}`
    deniedToRoles[role] = deniedActions
    const principal = arm.directory.managedIdentity(role)
    const audience = 'https://management.azure.com'
    return arm.directory.issue({ principal, audience, now: clock.now(), lifeMs: 1e12 }).text
  }
  const token = tokenWithout()
  const nicOf = (instance: string, index = 0): ArmNic => {
    const owner = ids.instanceIds[instance]
    const nic = allNics(world).find(
      ({ attachment }) => attachment?.instanceId === owner && attachment?.deviceIndex === index,
    )
    if (nic === undefined) throw new Error(`${instance} has no NIC ${index}`)
    return { nic, record: recordOf(arm, nic) }
  }
  return {
    world,
    clock,
    ids,
    arm,
    face,
    calls,
    token,
    tokenWithout,
    send: (method, path, more = {}) => sendTo(face, { method, path, token, ...more }),
    nicOf,
    nicPath: (instance, index) => idOfNic(arm, nicOf(instance, index)),
    subnetPath: name => {
      const subnet = world.subnets.get(ids.subnetIds[name] ?? '')
      if (subnet === undefined) throw new Error(`no subnet ${name}`)
      return subnetId(arm, subnet)
    },
  }
}

const sendTo = async (
  face: Face,
  call: CallOptions & { readonly method: string; readonly path: string; readonly token: string },
): Promise<Answered> => {
  const { method, path, token, body, ifMatch, version = versionOf(path) } = call
  const answer = await face({
    method,
    url: path.includes('api-version=') || version === '' ? path : withVersion(path, version),
    headers: {
      host: '127.0.0.1:8443',
      ...(token !== '' && { authorization: `Bearer ${token}` }),
      ...(ifMatch !== undefined && { 'if-match': ifMatch }),
    },
    body: body === undefined ? '' : JSON.stringify(body),
  })
  if (answer.kind !== 'answer') throw new Error(`no answer: ${answer.kind}`)
  const value = answer.body === '' ? {} : (JSON.parse(answer.body) as Json)
  const error = objectOf(objectOf(value)['error'])['code']
  const code = typeof error === 'string' ? error : 'ok'
  const { status, headers } = answer
  return { status, headers, body: isObject(value) ? value : {}, code }
}

const withVersion = (path: string, version: string): string =>
  `${path}${path.includes('?') ? '&' : '?'}api-version=${version}`

const versionOf = (path: string): string => {
  if (/microsoft\.compute\/.*networkinterfaces/i.test(path)) return '2018-10-01'
  if (/microsoft\.compute\/skus/i.test(path)) return '2021-07-01'
  return /microsoft\.compute\//i.test(path) ? '2026-04-01' : '2026-01-01'
}

/** A text of an answer; empty when it is none. */
export const said = (value: Json | undefined): string => textOf(value) ?? ''

/** The configurations of a NIC's JSON. */
export const configsIn = (nic: JsonObject): readonly JsonObject[] =>
  objectsOf(objectOf(nic['properties'])['ipConfigurations'])

/** A NIC's JSON with other configurations. */
export const withConfigs = (nic: JsonObject, configs: readonly JsonObject[]): JsonObject => ({
  ...nic,
  properties: { ...objectOf(nic['properties']), ipConfigurations: configs },
})

/** `name address state` of every configuration. */
export const configLines = (nic: JsonObject): readonly string[] =>
  configsIn(nic).map(config => {
    const properties = objectOf(config['properties'])
    const shown = ['privateIPAddress', 'provisioningState'].map(name => said(properties[name]))
    return [said(config['name']), ...shown.map(text => text || '-')].join(' ')
  })
