// How many pods a machine has addresses for, and why, line by line. Pure: figures in, answer out.

import { azureAddresses, type Figures } from './figures.ts'
import { notesOf } from './notes.ts'
import type { Answer, FamilyName, Question } from './question.ts'

/** Answers; throws CountError when the machine cannot carry what is asked for. */
export const maxPodsOf = (question: Question): Answer => {
  const { cloud, figures, families, reserve, hostNetwork } = question
  const blockSize = question.blockSize !== 32 && figures.takesPrefixes ? 28 : 32
  const interfaces = Math.min(figures.nics, question.nicsMax ?? figures.nics)
  const count = countOf(question, { interfaces, blockSize })
  if (reserve.addresses > 0 && !(reserve.addresses < count.pods)) {
    throw new CountError(
      `--reserve keeps ${reserve.addresses} addresses spare, but ${figures.instanceType} has only ` +
        `${count.pods} for pods; reserve fewer or choose a larger type`,
    )
  }
  const maxPods = count.pods - reserve.addresses + hostNetwork
  return {
    cloud,
    instanceType: figures.instanceType,
    maxPods,
    interfaces,
    addressesPerInterface: perNicOf(figures, families),
    blockSize,
    families,
    reserve: reserve.addresses,
    hostNetwork,
    published: figures.published ?? null,
    arithmetic: [...count.lines, ...endOf(question, count.pods, maxPods)],
    ...notesOf(question, { maxPods, interfaces, blockSize, singles: singlesOf(question) }),
    source: figures.source,
  }
}

/** The machine cannot carry what is asked for; the message is one sentence for the user. */
export class CountError extends Error {
  override readonly name = 'CountError'
}

const perNicOf = ({ ipv4, ipv6 = 0 }: Figures, families: readonly FamilyName[]): number =>
  Math.min(...families.map(family => (family === 'ipv4' ? ipv4 : ipv6)))

// The same node where no /28 can be had.
const singlesOf = (question: Question): number => {
  const { figures, hostNetwork, reserve } = question
  const interfaces = Math.min(figures.nics, question.nicsMax ?? figures.nics)
  const { pods } = countOf(question, { interfaces, blockSize: 32 })
  return Math.max(0, pods - reserve.addresses) + hostNetwork
}

const endOf = ({ reserve, hostNetwork }: Question, pods: number, maxPods: number) => [
  ...(reserve.addresses === 0
    ? []
    : [
        `${pods} - ${reserve.addresses} kept spare (${reserve.because}) = ` +
          `${pods - reserve.addresses} pods with an address`,
      ]),
  ...(hostNetwork === 0
    ? []
    : [
        `${pods - reserve.addresses} + ${counted(hostNetwork, 'pod')} on the host network, which ` +
          `take${hostNetwork === 1 ? 's' : ''} no address = ${maxPods}`,
      ]),
]

type Shape = { readonly interfaces: number; readonly blockSize: 32 | 28 }
type Count = { readonly pods: number; readonly lines: readonly string[] }

const countOf = (question: Question, shape: Shape): Count => {
  requireIpv6(question)
  switch (question.cloud) {
    case 'aws':
      return countAws(question, shape)
    case 'azure':
      return countAzure(question, shape)
    case 'alibaba':
      return countAlibaba(question, shape)
  }
}

const requireIpv6 = ({ figures, families }: Question): void => {
  if (!families.includes('ipv6') || (figures.ipv6 ?? 0) > 0) return
  const { instanceType } = figures
  throw new CountError(
    figures.ipv6 === undefined
      ? `no IPv6 figure of ${instanceType} is published; ask the cloud with --live, or leave ipv6 out`
      : `${instanceType} takes no IPv6 addresses; leave ipv6 out or choose another type`,
  )
}

// Every NIC is like the others: its own address of each family is no pod's.
const countAws = ({ figures, families }: Question, shape: Shape): Count => {
  const { interfaces, blockSize } = shape
  const { nics, ipv4, ipv6 = 0 } = figures
  const perNic = {
    ipv4: familyLine({ family: 'IPv4', slots: ipv4 - 1, blockSize, own: 'its own address' }),
    ipv6: familyLine({ family: 'IPv6', slots: ipv6 - 1, blockSize: 32, own: 'its own address' }),
  }
  const each = Math.min(...families.map(family => perNic[family].addresses))
  const onDefault = figures.networkCards > 1 ? ' on its default network card' : ''
  return {
    pods: interfaces * each,
    lines: [
      nicsLine(figures.instanceType, { nics, interfaces, where: onDefault }),
      ...families.map(family => `each NIC: ${perNic[family].text}`),
      ...smallerFamily(families, each, 'each NIC'),
      `${counted(interfaces, 'NIC')} x ${each} = ${interfaces * each} pods with an address`,
    ],
  }
}

// A secondary NIC's own IPv4 address goes to a pod too. Of IPv6 the primary NIC keeps one, the
// machine's; secondary NICs have none of their own.
const countAlibaba = ({ figures, families }: Question, shape: Shape): Count => {
  const { interfaces, blockSize } = shape
  const { nics, ipv4, ipv6 = 0 } = figures
  const own = "the machine's own address"
  const primary = {
    ipv4: familyLine({ family: 'IPv4', slots: ipv4 - 1, blockSize, own }),
    ipv6: familyLine({ family: 'IPv6', slots: ipv6 - 1, blockSize: 32, own }),
  }
  const secondary = {
    ipv4: familyLine({ family: 'IPv4', slots: ipv4 - 1, blockSize, given: 1 }),
    ipv6: familyLine({ family: 'IPv6', slots: ipv6, blockSize: 32 }),
  }
  const onPrimary = Math.min(...families.map(family => primary[family].addresses))
  const onSecondary = Math.min(...families.map(family => secondary[family].addresses))
  const others = interfaces - 1
  const pods = onPrimary + others * onSecondary
  return {
    pods,
    lines: [
      nicsLine(figures.instanceType, { nics, interfaces, where: '' }),
      ...families.map(family => `the primary NIC: ${primary[family].text}`),
      ...smallerFamily(families, onPrimary, 'the primary NIC'),
      ...(others === 0
        ? []
        : [
            ...families.map(family => `each secondary NIC: ${secondary[family].text}`),
            ...smallerFamily(families, onSecondary, 'each secondary NIC'),
          ]),
      `${onPrimary} + ${counted(others, 'secondary NIC')} x ${onSecondary} = ${pods} pods with an address`,
    ],
  }
}

// The limit is the VM's, and both families draw on it; more NICs only cost their own addresses.
const countAzure = ({ figures, families }: Question, { interfaces, blockSize }: Shape): Count => {
  const { instanceType, nics } = figures
  const hasIpv6 = families.includes('ipv6')
  const own = interfaces * (hasIpv6 ? 2 : 1)
  const room = azureAddresses - own
  const sizes = families.map(family => (family === 'ipv4' && blockSize === 28 ? 16 : 1))
  const cost = (pods: number): number =>
    sizes.reduce((sum, size) => sum + Math.ceil(pods / size), 0)
  let pods = sizes.length === 1 ? room * (sizes[0] ?? 1) : room
  while (cost(pods) > room) pods--
  const kind = blockSize === 28 ? 'addresses and /28 blocks' : 'addresses'
  const each = hasIpv6 ? 'an IPv4 and an IPv6 address' : 'an address'
  return {
    pods,
    lines: [
      nicsLine(instanceType, { nics, interfaces, where: '' }),
      `the VM: ${azureAddresses} ${kind} on all its NICs together, of both families`,
      `${azureAddresses} - ${own} of the NICs' own (${each} each) = ${room} to lend`,
      azureLine({ room, families, blockSize, pods }),
    ],
  }
}

type AzureLine = Pick<Question, 'families'> & {
  readonly room: number
  readonly blockSize: 32 | 28
  readonly pods: number
}

const azureLine = ({ room, families, blockSize, pods }: AzureLine): string => {
  const isDual = families.length === 2
  if (blockSize === 28 && families.includes('ipv4')) {
    const blocks = Math.ceil(pods / 16)
    return isDual
      ? `${blocks} IPv4 blocks of 16 and ${pods} IPv6 addresses fit into ${room}: ` +
          `${pods} pods with an address of each family`
      : `${room} blocks x 16 addresses = ${pods} pods with an address`
  }
  return isDual
    ? `${room} / 2 families = ${pods} pods with an address of each`
    : `${pods} pods with an address`
}

type FamilyCount = {
  readonly family: 'IPv4' | 'IPv6'
  /** Addresses or blocks that can be lent. */
  readonly slots: number
  readonly blockSize: 32 | 28
  /** Who keeps one address beside them; undefined: nobody. */
  readonly own?: string
  /** The NIC's own address, when a pod gets it. */
  readonly given?: number
}

const familyLine = ({ family, slots, blockSize, own, given = 0 }: FamilyCount) => {
  const lent = Math.max(0, slots)
  const addresses = given + lent * (blockSize === 28 ? 16 : 1)
  const total = lent + given + (own === undefined ? 0 : 1)
  const kept = own === undefined ? '' : ` - 1 (${own})`
  if (blockSize === 32) {
    const also = given === 0 ? '' : ', its own among them'
    return { addresses, text: `${total} ${family} addresses${kept}${also} = ${addresses} for pods` }
  }
  const own28 = given === 0 ? '' : ` + ${given} (its own address)`
  const places = `${total} ${family} places${kept}${given === 0 ? '' : ` - ${given} (its own)`}`
  return {
    addresses,
    text: `${places} = ${lent} /28 blocks; ${lent} x 16${own28} = ${addresses} for pods`,
  }
}

type NicsLine = { readonly nics: number; readonly interfaces: number; readonly where: string }

const nicsLine = (instanceType: string, { nics, interfaces, where }: NicsLine): string =>
  `${instanceType}: ${counted(nics, 'NIC')}${where}` +
  (interfaces < nics ? `, of which ${interfaces} may be used` : '')

const smallerFamily = (families: readonly FamilyName[], each: number, what: string) =>
  families.length < 2
    ? []
    : [`a pod takes one address of each family from one NIC: ${each} pods on ${what}`]

const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`
