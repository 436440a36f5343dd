// One NIC in the fake Resource Manager: read whole, replaced whole when the ETag fits, changed by
// an operation that takes some questions. What else may happen to it the tests decide.

import type { Json } from './client.ts'
import type { RawConfig, RawNic } from './shapes.ts'
import type { Asked, FakeArm, Reply } from './testing.ts'

export const nicPath =
  '/subscriptions/s/resourcegroups/g/providers/microsoft.network/networkinterfaces/nic-1'
export const subnetPath =
  '/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/a'

export type FakeNic = {
  nic: RawNic & Json
  version: number
  /** Questions until an operation has ended. */
  steps: number
  /** How the next operation ends; undefined: well. */
  failWith: Json | undefined
  /** State of new configurations, by their place among the new ones. */
  stateOfNew: (place: number) => string
  /** Called before each write is judged. */
  beforeWrite: (asked: Asked) => Reply | void
}

const config = (name: string, properties: RawConfig['properties']): RawConfig => ({
  name,
  properties: { provisioningState: 'Succeeded', subnet: { id: subnetPath }, ...properties },
})

/** Serves the NIC under its path; everything else is not found. */
export const serveNic = (fake: FakeArm): FakeNic => {
  const state: FakeNic = {
    nic: {
      id: nicPath,
      name: 'nic-1',
      location: 'eastus',
      tags: { owner: 'somebody' },
      properties: {
        macAddress: '00-0D-3A-00-00-01',
        ipConfigurations: [
          config('ipconfig1', {
            primary: true,
            privateIPAddress: '10.0.0.4',
            applicationSecurityGroups: [{ id: '/asg/one' }],
          }),
        ],
      },
    },
    version: 1,
    steps: 1,
    failWith: undefined,
    stateOfNew: () => 'Succeeded',
    beforeWrite: () => undefined,
  }
  let left = 0
  let ending: () => Reply = () => ({ body: { status: 'Succeeded' } })
  fake.handle = asked => {
    const [path = ''] = asked.path.split('?')
    if (path === '/operations/1') {
      left -= 1
      // Retry-After is what Azure sends, and nobody waits for it.
      return left > 0
        ? { headers: { 'retry-after': '10' }, body: { status: 'InProgress' } }
        : ending()
    }
    if (path.toLowerCase() !== nicPath) return missing
    if (asked.method === 'GET') return { body: shown(state) }
    const struck = state.beforeWrite(asked)
    if (struck !== undefined) return struck
    if (asked.headers['if-match'] !== etagOf(state)) return stale
    left = state.steps
    ending = () => end(state, asked.body as RawNic & Json)
    return {
      status: 200,
      headers: {
        'azure-asyncoperation': `${fake.endpoint}/operations/1`,
        'retry-after': '10',
      },
      body: { ...shown(state), properties: { provisioningState: 'Updating' } },
    }
  }
  return state
}

const end = (state: FakeNic, wanted: RawNic & Json): Reply => {
  const failure = state.failWith
  state.failWith = undefined
  if (failure !== undefined) return { body: { status: 'Failed', error: failure } }
  replace(state, wanted)
  return { body: { status: 'Succeeded' } }
}

/** Another writer's change, or the end of one of ours. */
export const replace = (state: FakeNic, wanted: RawNic & Json): void => {
  const before = new Set(state.nic.properties?.ipConfigurations?.map(({ name }) => name))
  let place = 0
  const configs = (wanted.properties?.ipConfigurations ?? []).map(one =>
    before.has(one.name) ? one : provisioned(state, one, place++),
  )
  state.version += 1
  state.nic = { ...wanted, properties: { ...wanted.properties, ipConfigurations: configs } }
}

let last = 9

const provisioned = (state: FakeNic, one: RawConfig, place: number): RawConfig => {
  const provisioningState = state.stateOfNew(place)
  last += 1
  const isSix = one.properties?.privateIPAddressVersion === 'IPv6'
  const length = one.properties?.privateIPAddressPrefixLength
  const single = isSix ? `2001:db8::${last.toString(16)}` : `10.0.0.${last}`
  const privateIPAddress = length === undefined ? single : `10.0.${last}.16/${length}`
  return { ...one, properties: { ...one.properties, privateIPAddress, provisioningState } }
}

export const etagOf = ({ version }: FakeNic): string => `W/"${version}"`

const shown = (state: FakeNic): RawNic & Json => ({ ...state.nic, etag: etagOf(state) })

const missing: Reply = {
  status: 404,
  body: { error: { code: 'ResourceNotFound', message: 'The Resource was not found.' } },
}
const stale: Reply = {
  status: 412,
  body: { error: { code: 'PreconditionFailed', message: 'Precondition failed.' } },
}
