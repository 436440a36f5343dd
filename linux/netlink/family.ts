// Address families as Linux numbers them.

import { familyOf } from '#core/ip.ts'
import type { Cidr, Family, Ip } from '#core/ip.ts'

const AF_INET = 2
const AF_INET6 = 10

/** AF_INET or AF_INET6 of an address, a prefix or our own family number. */
export const linuxFamily = (of: Ip | Cidr | Family): number => {
  const family = typeof of === 'number' ? of : familyOf(of)
  return family === 4 ? AF_INET : AF_INET6
}

/** Our family for AF_INET and AF_INET6; undefined for all others (multicast dumps use 128, 129). */
export const familyFromLinux = (number: number): Family | undefined => {
  if (number === AF_INET) return 4
  return number === AF_INET6 ? 6 : undefined
}
