// Names, addresses and limits that the parts of the packet plane agree on. Nothing here acts.
import { cidr, ip } from '#core/ip.ts'
import type { Cidr, Ip } from '#core/ip.ts'

/** Longest run id: namespace names carry it, and state files are named after it. */
export const runIdLengthMax = 24

/** True for text that may name a run. No hyphen: `ew-a-` would also match run `a-b`. */
export const isRunId = (text: string): boolean =>
  /^[a-z0-9]+$/.test(text) && text.length <= runIdLengthMax

/** Where named namespaces live; iproute2 and container runtimes look for them there. */
export const netnsDirectory = '/run/netns'

/** Path of a named namespace, for `nsenter --net=` and for setns. */
export const netnsPath = (name: string): string => `${netnsDirectory}/${name}`

/** Every namespace of a run starts with this, so that leftovers can be told from foreign ones. */
export const runPrefix = (run: string): string => `ew-${run}-`

/** The namespace that forwards packets; the emulator process runs inside it. */
export const vpcNetns = (run: string): string => `${runPrefix(run)}vpc`

/** The namespace outside the VPC that plays the internet. */
export const internetNetns = (run: string): string => `${runPrefix(run)}net`

/** The namespace of one instance, by its readable name. */
export const instanceNetns = (run: string, name: string): string => `${runPrefix(run)}${name}`

/** The host on the internet that answers echo requests (RFC 5737 and RFC 3849 addresses). */
export const internetHost: Ip = ip('198.51.100.10')
export const internetHost6: Ip = ip('2001:db8:ffff::10')

/** Echo service of the internet host, the same number for UDP and TCP. */
export const echoPort = 7007

/** Where nodes reach the cloud's API: outside every VPC, on the fabric's own loopback. */
export const apiHost: Ip = ip('198.51.100.20')

/** Metadata services of AWS and Azure, of AWS over IPv6, and of Alibaba Cloud. */
export const metadataHosts: readonly Ip[] = [
  ip('169.254.169.254'),
  ip('fd00:ec2::254'),
  ip('100.100.100.200'),
]

/** The routers' MAC on every port; clouds too show one router with one MAC. */
export const routerMac = '02:ec:02:00:00:01'

/**
 * The router's link-local address on every port, made of its MAC as RFC 4291 does. Guests are told
 * of another one, which differs between clouds; this one lets it answer link-local neighbours.
 */
export const routerLink: Ip = ip('fe80::ec:2ff:fe00:1')

/**
 * Next hop of every route to a guest. It stands for "the device at the other end of this port":
 * a permanent neighbour maps it to the NIC's MAC, so the fabric never has to ask the guest.
 */
export const guestHop: Ip = ip('169.254.0.2')
export const guestHop6: Ip = ip('fe80::2')

/** The fabric's device towards the internet. */
export const internetPort = 'igw'

/** AWS limits packets through an internet gateway to 1500 bytes (VPC user guide, MTU). */
export const internetMtu = 1500

/**
 * Private and special ranges that no internet route covers: what nobody in the VPC owns there is
 * dropped as unowned and never leaves (RFC 1918, 6598, 3927, 4193).
 */
export const privateRanges: readonly Cidr[] = [
  cidr('10.0.0.0/8'),
  cidr('172.16.0.0/12'),
  cidr('192.168.0.0/16'),
  cidr('100.64.0.0/10'),
  cidr('169.254.0.0/16'),
  cidr('fc00::/7'),
]
