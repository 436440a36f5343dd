// Habits that several clouds have in common: how ids are prefixed, which address is the router's.
import { type Cidr, type Ip, addressAt, familyOf } from '#core/ip.ts'

/** The router is the base plus one; `router6` is the one router of all IPv6 subnets. */
export const routerAfterBase =
  (router6: Ip) =>
  (subnet: Cidr): Ip =>
    familyOf(subnet) === 4 ? addressAt(subnet, 1) : router6
