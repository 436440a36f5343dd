// Reads the NIC that a client wants out of a PUT's body and refuses what contradicts itself. What
// the cloud's state forbids is decided in change.ts.
import {
  type Cidr,
  type Family,
  type Ip,
  familyOf,
  hostCidr,
  parseCidr,
  parseIp,
} from '#core/ip.ts'
import { lengthOf } from '#core/ip.ts'
import { ArmError, configLimitCode } from './errors.ts'
import { type Json, type JsonObject, isObject, objectOf, objectsOf, omit, textOf } from './json.ts'

/** One IP configuration as a client wants it. */
export interface WantedConfig {
  readonly name: string
  readonly family: Family
  readonly isPrimary: boolean
  readonly method: 'Dynamic' | 'Static'
  readonly isPrefix: boolean
  /** The block that the client names; of a dynamic one it is only what it has read before. */
  readonly block: Cidr | undefined
  readonly subnetId: string | undefined
  readonly asgIds: readonly string[]
  readonly more: JsonObject
}

/** A NIC as a client wants it: all of it, since what is left out goes. */
export interface WantedNic {
  readonly configs: readonly WantedConfig[]
  readonly nsgId: string | undefined
  readonly hasForwarding: boolean
  readonly more: JsonObject
}

/** Configurations of one NIC (Azure's limits page). */
export const configsMax = 256

/** The only prefix that a configuration may hold; nothing is published of one for IPv6. */
const prefixLength = 28

const known = [
  'provisioningState',
  'resourceGuid',
  'ipConfigurations',
  'macAddress',
  'enableIPForwarding',
  'networkSecurityGroup',
  'primary',
  'virtualMachine',
  'hostedWorkloads',
  'tapConfigurations',
  'vnetEncryptionSupported',
  'defaultOutboundConnectivityEnabled',
]

const knownOfConfig = [
  'provisioningState',
  'privateIPAddress',
  'privateIPAddressPrefixLength',
  'privateIPAllocationMethod',
  'subnet',
  'primary',
  'privateIPAddressVersion',
  'applicationSecurityGroups',
  'privateLinkConnectionProperties',
]

/** Reads `properties` of a NIC; `id` is the NIC's. */
export const readNic = (properties: JsonObject, id: string): WantedNic => {
  const configs = objectsOf(properties['ipConfigurations']).map(config => readConfig(config, id))
  checkConfigs(configs, id)
  return {
    configs: withPrimary(configs),
    nsgId: idIn(properties['networkSecurityGroup']),
    hasForwarding: properties['enableIPForwarding'] === true,
    more: omit(properties, known),
  }
}

/** Reads the body as an object, or refuses it as Azure does. */
export const bodyObject = (body: Json | undefined): JsonObject => {
  if (isObject(body)) return body
  throw new ArmError(
    'InvalidRequestContent',
    'The request content was invalid and could not be deserialized: it is not a JSON object.',
  )
}

const readConfig = (config: JsonObject, id: string): WantedConfig => {
  const name = textOf(config['name'])
  if (name === undefined || !/^\w[\w.-]{0,79}$/.test(name)) {
    throw new ArmError(
      'InvalidResourceName',
      `Resource name ${name ?? '(none)'} is invalid. The name can be up to 80 characters long. ` +
        "It must begin with a word character and may contain word characters, '.' and '-'.",
    )
  }
  const properties = objectOf(config['properties'])
  const address = readAddress(properties, `${id}/ipConfigurations/${name}`)
  return {
    name,
    ...address,
    isPrimary: properties['primary'] === true,
    subnetId: idIn(properties['subnet']),
    asgIds: objectsOf(properties['applicationSecurityGroups']).flatMap(one => idIn(one) ?? []),
    more: omit(properties, knownOfConfig),
  }
}

type WantedAddress = Pick<WantedConfig, 'family' | 'method' | 'isPrefix' | 'block'>

const readAddress = (properties: JsonObject, about: string): WantedAddress => {
  const isStatic = textOf(properties['privateIPAllocationMethod'])?.toLowerCase() === 'static'
  const method = isStatic ? ('Static' as const) : ('Dynamic' as const)
  const isSix = textOf(properties['privateIPAddressVersion'])?.toLowerCase() === 'ipv6'
  const family = isSix ? (6 as const) : (4 as const)
  const length = properties['privateIPAddressPrefixLength'] ?? undefined
  if (length !== undefined && (length !== prefixLength || family === 6)) {
    throw new ArmError(
      'InvalidPrivateIPAddressPrefixLength',
      `IP configuration ${about} has the private IP address prefix length ` +
        `${JSON.stringify(length)}; only ${prefixLength} is allowed, for IPv4.`,
    )
  }
  const text = textOf(properties['privateIPAddress'])
  const block = text === undefined || text === '' ? undefined : readBlock(text, length, about)
  const isRight = block === undefined ? !isStatic : familyOf(block) === family
  if (!isRight) throw badAddress(text, about)
  const isPrefix = length !== undefined || (block !== undefined && isShort(block))
  return { family, method, isPrefix, block }
}

const isShort = (block: Cidr): boolean => lengthOf(block) < (familyOf(block) === 4 ? 32 : 128)

const readBlock = (text: string, length: number | undefined, about: string): Cidr => {
  const bare = parseIp(text)
  const block = bare === undefined ? parseCidr(text) : withLength(bare, length)
  const isAligned = block?.startsWith(`${parseIp(text.split('/', 1)[0] ?? '') ?? ''}/`) === true
  if (block === undefined || !isAligned) throw badAddress(text, about)
  const isRight = !isShort(block) || (familyOf(block) === 4 && lengthOf(block) === prefixLength)
  if (!isRight) throw badAddress(text, about)
  return block
}

const withLength = (address: Ip, length: number | undefined): Cidr | undefined =>
  length === undefined ? hostCidr(address) : parseCidr(`${address}/${length}`)

const badAddress = (text: string | undefined, about: string): ArmError =>
  new ArmError(
    'InvalidIPAddressFormat',
    `IP configuration ${about}: "${text ?? ''}" is not an address or an aligned prefix of its ` +
      'version; a static one must be given.',
  )

const idIn = (value: Json | undefined): string | undefined => textOf(objectOf(value)['id'])

const checkConfigs = (configs: readonly WantedConfig[], id: string): void => {
  const names = configs.map(({ name }) => name.toLowerCase())
  const twice = names.find((name, i) => names.indexOf(name) < i)
  if (twice !== undefined) {
    throw new ArmError(
      'DuplicateResourceName',
      `Resource ${id} has two child resources with the same name (${twice}).`,
    )
  }
  if (!(configs.length <= configsMax)) {
    throw new ArmError(
      configLimitCode,
      `${id} cannot have more than ${configsMax} IP configurations.`,
    )
  }
  const primaries = configs.filter(({ isPrimary }) => isPrimary)
  if (configs.length > 1 && primaries.length !== 1) throw notOnePrimary(id, primaries.length)
  const primary = primaries[0] ?? configs[0]
  if (primary === undefined || primary.family === 6 || primary.isPrefix) {
    throw new ArmError(
      'InvalidPrimaryIPConfiguration',
      `Network interface ${id} needs a primary IP configuration with a single IPv4 address.`,
    )
  }
  checkGroups(configs)
}

const notOnePrimary = (id: string, count: number): ArmError =>
  new ArmError(
    'NetworkInterfaceMustHaveOneOneIPConfigAsPrimary',
    `Network Interface ${id.split('/').at(-1)} specifies multiple IPConfigurations but ` +
      `${count === 0 ? 'none' : 'more than one'} of the IPConfigurations is specified as Primary.`,
  )

const checkGroups = (configs: readonly WantedConfig[]): void => {
  const sets = configs.map(({ asgIds }) =>
    asgIds
      .map(id => id.toLowerCase())
      .toSorted()
      .join(),
  )
  if (new Set(sets).size <= 1) return
  throw new ArmError(
    'AllIpConfigurationsOnANicMustBelongToTheSameApplicationSecurityGroups',
    'All IP configurations on a network interface must belong to the same application security ' +
      'groups.',
  )
}

// The only configuration is the primary one, whatever the client says.
const withPrimary = (configs: readonly WantedConfig[]): readonly WantedConfig[] =>
  configs.length === 1 ? configs.map(config => ({ ...config, isPrimary: true })) : configs
