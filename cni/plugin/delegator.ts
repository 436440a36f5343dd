// When another plugin calls us as its IPAM plugin: what its configuration says of the link it
// makes, because that decides which addresses and which gateway are of use to it.

import { invalid } from '../spec/config.ts'
import { codes, failed, parsed, type Parsed } from '../spec/failure.ts'
import { isObject, type JsonObject } from '../spec/json.ts'
import type { Delegator } from './ports.ts'

/** Name of our executable, as `type` and `ipam.type` give it. */
const ourType = 'eniway'

/** Plugins whose link lies on the wire of a NIC, so that the subnet's own gateway answers it. */
const sharingTypes: readonly unknown[] = ['macvlan', 'ipvlan']

/** The object that holds our own keys: the whole configuration, or `ipam` when we are delegated. */
export const ownKeys = (raw: JsonObject): JsonObject => {
  const { type, ipam } = raw
  const isDelegated = type !== ourType && isObject(ipam) && ipam['type'] === ourType
  return isDelegated ? ipam : raw
}

/** Undefined when we are no delegate; a failure for a link our addresses cannot be used on. */
export const parseDelegator = (raw: JsonObject): Parsed<Delegator | undefined> => {
  const own = ownKeys(raw)
  if (own === raw) return parsed(undefined)
  const { gateway = sharingTypes.includes(raw['type']) ? 'subnet' : 'node' } = own
  if (gateway !== 'subnet' && gateway !== 'node') {
    return invalid('ipam.gateway', gateway, '"node" or "subnet"')
  }
  return gateway === 'subnet' ? sharing(raw) : routed(raw)
}

const sharing = (raw: JsonObject): Parsed<Delegator> => {
  const { master } = raw
  if (master === undefined || master === '') return parsed({ kind: 'shared', master: undefined })
  if (typeof master !== 'string') return invalid('master', master, 'the name of a device')
  return parsed({ kind: 'shared', master })
}

const routed = (raw: JsonObject): Parsed<Delegator> => {
  const { type, bridge = 'cni0', isGateway, isDefaultGateway } = raw
  if (type !== 'bridge') return parsed({ kind: 'routed', bridge: undefined })
  if (typeof bridge !== 'string') return invalid('bridge', bridge, 'the name of a device')
  if (isGateway !== true && isDefaultGateway !== true) return parsed({ kind: 'routed', bridge })
  // The bridge would take a whole prefix of the subnet for its own, other nodes' pods with it.
  return failed(
    codes.invalidConfig,
    'a bridge that is a gateway needs a subnet of its own, which addresses of a VPC are not; ' +
      'leave out isGateway and isDefaultGateway, the node is the gateway then',
  )
}
