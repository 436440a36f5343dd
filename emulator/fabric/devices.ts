// The guest's side of a plugged NIC in the kernel: makes its devices, renames them as a boot's
// udev does, and lets an accelerated NIC's virtual function vanish and come back.
import { ipBatch, runCommand } from './command.ts'
import { type ShownLink, bootLines, masterLines, nicDevice, slaveLines } from './guest.ts'
import { guestDevice } from './guest.ts'
import type { Port } from './port.ts'

/** Makes what must be there before the pair: the device above its end, where there is one. */
export const makeMaster = async ({ nic, netns }: Port): Promise<void> => {
  if (nic.fastPath === 'none') return
  await quietBridges(netns)
  await ipBatch(netns, masterLines(nic))
}

/** Completes what the pair's creation began; the first NIC is configured as a boot would. */
export const makeDevice = async ({ nic, netns }: Port): Promise<void> => {
  await ipBatch(netns, [
    ...slaveLines(nic, guestDevice(nic)),
    ...(nic.primary ? bootLines(nic) : []),
  ])
  if (nic.deviceName !== undefined) await renameDevice({ nic, netns })
}

/** Gives the device its new name; one that the guest has hidden or removed keeps its own. */
export const renameDevice = async ({ nic, netns }: Pick<Port, 'nic' | 'netns'>): Promise<void> => {
  const links = await shownLinks(netns)
  const name = nicDevice(links, nic)
  const wanted = nic.deviceName ?? guestDevice(nic)
  const isTaken = links.some(({ ifname }) => ifname === wanted)
  // udev gives up too when another device has the name.
  if (name === undefined || isTaken) return
  await ipBatch(netns, [`link set ${name} name ${wanted}`])
}

/** Puts the pair's new end below the master that was there before. */
export const switchPath = async ({ nic, netns }: Port): Promise<void> => {
  const master = nicDevice(await shownLinks(netns), nic)
  if (master !== undefined) await ipBatch(netns, slaveLines(nic, master))
}

/** Removes what the pair does not take along when it goes. */
export const forgetDevice = async ({ nic, netns }: Port): Promise<void> => {
  if (nic.fastPath === 'none') return
  // Gone with the guest's namespace, perhaps in this moment: that is what was wanted.
  const links = await shownLinks(netns).catch(() => [])
  const master = nicDevice(links, nic)
  if (master !== undefined) await ipBatch(netns, [`link del ${master}`]).catch(() => undefined)
}

const shownLinks = async (netns: string): Promise<readonly ShownLink[]> =>
  JSON.parse(await runCommand({ netns, argv: ['ip', '-j', '-d', 'link'] })) as ShownLink[]

// Where the kernel has br_netfilter, bridged packets would meet the guest's firewall twice.
const quietBridges = async (netns: string): Promise<void> => {
  const script =
    'for f in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -e $f ] || echo 0 > $f; done'
  await runCommand({ netns, argv: ['sh', '-c', script] })
}
