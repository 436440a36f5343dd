// What a node's kernel holds of pods, told by the system's own tools, so that our codecs are not
// their own judge.

import { runCommand } from '#emulator/fabric/command.ts'

/** Pod links, routes to pods and map elements of one node, each as sorted readable text. */
export type PodTraces = {
  readonly links: readonly string[]
  readonly routes: readonly string[]
  readonly elements: readonly string[]
}

/** Looks into the node's namespace. */
export const podTraces = async (netns: string): Promise<PodTraces> => {
  const links = (await shown(netns, ['ip', '-j', 'link'])) as readonly { ifname: string }[]
  const routes = (await shown(netns, ['ip', '-j', 'route', 'show', 'table', 'all'])) as readonly {
    dst: string
    dev: string
    table?: string
  }[]
  return {
    links: links
      .map(({ ifname }) => ifname)
      .filter(name => name.startsWith('ewy'))
      .sort(),
    routes: routes
      .filter(({ table }) => table === '200')
      .map(({ dst, dev }) => `${dst} ${dev}`)
      .sort(),
    elements: (await elementsOf(netns)).sort(),
  }
}

/** The IPv4 addresses on an interface in a namespace; empty when there is no such interface. */
export const addressesIn = async (netns: string, device = 'eth0'): Promise<readonly string[]> => {
  const links = (await shown(netns, ['ip', '-j', '-4', 'address'])) as readonly {
    ifname: string
    addr_info: readonly { local: string }[]
  }[]
  const link = links.find(({ ifname }) => ifname === device)
  return link?.addr_info.map(({ local }) => local) ?? []
}

const shown = async (netns: string, argv: readonly string[]): Promise<unknown> => {
  const text = await runCommand({ netns, argv })
  return text.trim() === '' ? [] : (JSON.parse(text) as unknown)
}

type MapElement = readonly [{ readonly concat: readonly [unknown, string] }, unknown]

const elementsOf = async (netns: string): Promise<string[]> => {
  const argv = ['nft', '-j', 'list', 'map', 'inet', 'eniway', 'pods4']
  const { nftables } = (await shown(netns, argv)) as {
    nftables: readonly { map?: { elem?: readonly MapElement[] } }[]
  }
  const map = nftables.find(entry => entry.map !== undefined)?.map
  return (map?.elem ?? []).map(([key]) => key.concat[1])
}
