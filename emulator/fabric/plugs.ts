// Plugged NICs: brings devices, routes and nftables elements from one state of a NIC to the next,
// and back when the kernel refuses half-way. Callers make one change at a time.
import type { Cidr } from '#core/ip.ts'
import type { FabricNic } from '../ports.ts'
import { ipBatch, nftApply } from './command.ts'
import { forgetDevice, makeDevice, makeMaster, renameDevice, switchPath } from './devices.ts'
import { portDevice, portLines, routeLine, subnetLines, unrouteLine } from './port.ts'
import type { Port } from './port.ts'
import { newTable } from './table.ts'

/** The NICs of one fabric. Not safe for concurrent use; `fabric.ts` queues. */
export interface Plugs {
  plug(nic: FabricNic): Promise<void>
  update(nic: FabricNic): Promise<void>
  unplug(nicId: string): Promise<void>
  /** Unplugs every NIC whose guest end was made in the namespace. */
  unplugAll(guest: string): Promise<void>
}

export const newPlugs = (
  netns: string,
  netnsOf: (instanceId: string) => string | undefined,
): Plugs => {
  const table = newTable()
  const ports = new Map<string, Port>()
  const owners = newOwners()
  let lastNumber = 0

  const applyTable = async (before: Port | undefined, after: Port | undefined): Promise<void> => {
    const change = table.change(before, after)
    await nftApply(netns, change.lines)
    change.commit()
  }

  const plug = async (nic: FabricNic): Promise<void> => {
    if (ports.has(nic.id)) return update(nic)
    const guest = netnsOf(nic.instanceId)
    if (guest === undefined) throw new Error(`cannot plug ${nic.id}: add ${nic.instanceId} first`)
    const port: Port = { number: ++lastNumber, nic, netns: guest }
    await applyTable(undefined, port)
    try {
      await makeMaster(port)
      const routes = owners.routeLines(port, [])
      await ipBatch(netns, [...subnetLines(nic), ...portLines(port), ...routes])
      await makeDevice(port)
    } catch (cause) {
      await remove(port)
      throw new Error(`cannot plug ${nic.id} into ${guest}; nothing was kept`, { cause })
    }
    owners.own(port)
    ports.set(nic.id, port)
  }

  const update = async (nic: FabricNic): Promise<void> => {
    const before = ports.get(nic.id)
    if (before === undefined) throw new Error(`cannot update ${nic.id}: it is not plugged`)
    const after: Port = { ...before, nic }
    await applyTable(before, after)
    const isSwitched = before.nic.fastPath !== nic.fastPath
    try {
      if (isSwitched) await switchPorts(before, after)
      // Routes through a port go with its device, those of blocks that it loses now included.
      await ipBatch(netns, owners.routeLines(after, isSwitched ? [] : before.nic.blocks))
      if (before.nic.deviceName !== nic.deviceName) await renameDevice(after)
    } catch (cause) {
      // Which lines had an effect is unknown, so every route of the old state is set again.
      await ipBatch(
        netns,
        before.nic.blocks.map(block => routeLine(before, block)),
      )
      await applyTable(after, before)
      throw new Error(`cannot update ${nic.id}; its former state is back`, { cause })
    }
    owners.own(after)
    ports.set(nic.id, after)
  }

  // The slow path takes over what the fast one carried, and gives it back.
  const switchPorts = async (before: Port, after: Port): Promise<void> => {
    await deleteLink(netns, portDevice(before))
    const kept = after.nic.blocks.filter(block => owners.isOwner(before, block))
    await ipBatch(netns, [...portLines(after), ...kept.map(block => routeLine(after, block))])
    await switchPath(after)
  }

  // Each waits 20 to 40 ms for the kernel to forget; together they wait once.
  const remove = async (port: Port): Promise<void> => {
    await Promise.all([
      deleteLink(netns, portDevice(port)),
      applyTable(port, undefined),
      forgetDevice(port),
    ])
  }

  const unplug = async (nicId: string): Promise<void> => {
    const port = ports.get(nicId)
    if (port === undefined) return
    await remove(port)
    owners.disown(port)
    ports.delete(nicId)
  }

  const unplugAll = async (guest: string): Promise<void> => {
    for (const [id, port] of ports) if (port.netns === guest) await unplug(id)
  }

  return { plug, update, unplug, unplugAll }
}

// Blocks move between NICs, and the loser may be told after the winner: a route is only the
// loser's to remove while the winner has not replaced it.
const newOwners = () => {
  const owners = new Map<Cidr, number>()

  const disown = (port: Port): void => {
    for (const [block, number] of owners) if (number === port.number) owners.delete(block)
  }

  return {
    disown,
    isOwner: (port: Port, block: Cidr): boolean => owners.get(block) === port.number,
    own: (port: Port): void => {
      disown(port)
      for (const block of port.nic.blocks) owners.set(block, port.number)
    },
    routeLines: (port: Port, had: readonly Cidr[]): readonly string[] => {
      const isOurs = (block: Cidr): boolean => owners.get(block) === port.number
      const has = port.nic.blocks
      return [
        ...had
          .filter(block => isOurs(block) && !has.includes(block))
          .map(b => unrouteLine(port, b)),
        ...has.filter(block => !isOurs(block)).map(block => routeLine(port, block)),
      ]
    },
  }
}

const deleteLink = async (netns: string, device: string): Promise<void> => {
  try {
    await ipBatch(netns, [`link del ${device}`])
  } catch (cause) {
    // Gone with the guest's namespace: that is what was wanted.
    if (!String(cause).includes('Cannot find device')) throw cause
  }
}
