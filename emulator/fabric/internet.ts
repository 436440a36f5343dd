// The world outside the VPC: one namespace with one host that says which source address it saw.
// Packets reach it through the fabric's internet gateway, without translation.
import type { Ip } from '#core/ip.ts'
import { ipBatch } from './command.ts'
import {
  echoPort,
  guestHop,
  guestHop6,
  internetHost,
  internetHost6,
  internetMtu,
  internetNetns,
  internetPort,
  routerMac,
  vpcNetns,
} from './layout.ts'
import { addNetns, removeNetns } from './netns.ts'
import { startEcho } from './node.ts'
import type { Helper } from './node.ts'

/** The internet host and its echo services. */
export interface Internet {
  readonly netns: string
  readonly address: Ip
  readonly address6: Ip
  readonly udpPort: number
  readonly tcpPort: number
  close(): Promise<void>
}

/** Creates the internet of a run whose fabric is open. */
export const openInternet = async (run: string): Promise<Internet> => {
  const netns = internetNetns(run)
  await addNetns(run, netns)
  const echo = await connect(run, netns).catch(async (cause: unknown) => {
    await removeNetns(run, netns)
    throw new Error(`cannot open the internet of run ${run}`, { cause })
  })
  return {
    netns,
    address: internetHost,
    address6: internetHost6,
    udpPort: echoPort,
    tcpPort: echoPort,
    close: async () => {
      await echo.close()
      await removeNetns(run, netns)
    },
  }
}

const connect = async (run: string, netns: string): Promise<Helper> => {
  await ipBatch(vpcNetns(run), gatewayLines(netns))
  await ipBatch(netns, hostLines)
  return startEcho({ netns, port: echoPort, addresses: [internetHost, internetHost6] })
}

const hostMac = '02:ec:03:00:00:01'

// Both ends have permanent neighbours: nothing is asked, nothing can be answered wrongly.
const gatewayLines = (netns: string): readonly string[] => {
  const peer = `name eth0 address ${hostMac} mtu ${internetMtu} netns ${netns}`
  return [
    `link add ${internetPort} address ${routerMac} mtu ${internetMtu} type veth peer ${peer}`,
    `link set ${internetPort} up`,
    `neighbour add ${guestHop} lladdr ${hostMac} dev ${internetPort} nud permanent`,
    `neighbour add ${guestHop6} lladdr ${hostMac} dev ${internetPort} nud permanent`,
    `route add default via ${guestHop} dev ${internetPort} onlink`,
    `route add default via ${guestHop6} dev ${internetPort}`,
  ]
}

const hostLines: readonly string[] = [
  'link set lo up',
  `address add ${internetHost}/32 dev eth0`,
  `address add ${internetHost6}/128 dev eth0 nodad`,
  'link set eth0 up',
  `neighbour add ${guestHop} lladdr ${routerMac} dev eth0 nud permanent`,
  `neighbour add ${guestHop6} lladdr ${routerMac} dev eth0 nud permanent`,
  `route add default via ${guestHop} dev eth0 onlink`,
  `route add default via ${guestHop6} dev eth0`,
]
