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
  const routes = [...(await routesOf(netns, '-4')), ...(await routesOf(netns, '-6'))]
  return {
    links: links
      .map(({ ifname }) => ifname)
      .filter(name => name.startsWith('ewy'))
      .sort(),
    routes: routes
      .filter(({ table }) => table === '200')
      .map(({ dst, dev }) => `${dst} ${dev}`)
      .sort(),
    elements: [...(await elementsOf(netns, 4)), ...(await elementsOf(netns, 6))].sort(),
  }
}

/** Addresses on an interface in a namespace, IPv4 first, without those that are its link's own. */
export const addressesIn = async (netns: string, device = 'eth0'): Promise<readonly string[]> => {
  const links = (await shown(netns, ['ip', '-j', 'address'])) as readonly {
    ifname: string
    addr_info: readonly { local: string; scope: string }[]
  }[]
  const listed = links.find(({ ifname }) => ifname === device)?.addr_info ?? []
  return listed.flatMap(({ local, scope }) => (scope === 'link' ? [] : [local]))
}

type Route = { readonly dst: string; readonly dev: string; readonly table?: string }

const routesOf = async (netns: string, family: '-4' | '-6') =>
  (await shown(netns, ['ip', '-j', family, 'route', 'show', 'table', 'all'])) as readonly Route[]

const shown = async (netns: string, argv: readonly string[]): Promise<unknown> => {
  const text = await runCommand({ netns, argv })
  return text.trim() === '' ? [] : (JSON.parse(text) as unknown)
}

type MapElement = readonly [{ readonly concat: readonly [unknown, string] }, unknown]

const elementsOf = async (netns: string, family: 4 | 6): Promise<string[]> => {
  const argv = ['nft', '-j', 'list', 'map', 'inet', 'eniway', `pods${family}`]
  const { nftables } = (await shown(netns, argv)) as {
    nftables: readonly { map?: { elem?: readonly MapElement[] } }[]
  }
  const map = nftables.find(entry => entry.map !== undefined)?.map
  return (map?.elem ?? []).map(([key]) => key.concat[1])
}
