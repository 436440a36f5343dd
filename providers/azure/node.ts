// This machine as Azure describes it: its NICs in their order, and the facts that decisions need.

import type { NicId, SubnetId } from '#core/names.ts'
import { nicId } from '#core/names.ts'
import type { CloudNic, CloudObservation, NodeFacts } from '#core/ports.ts'
import { tolerating } from '../common/calls.ts'
import { present } from '../common/shapes.ts'
import { read } from './calls.ts'
import { computePath, readNic, uniformNicsPath } from './documents.ts'
import type { Session } from './identity.ts'
import { type NicsMaxSource, addressesMax } from './limits.ts'
import { pagesOf } from './pages.ts'
import { type Known, type RawNic, cloudNicOf, foreignCountOf, listOf } from './shapes.ts'
import { isManaged, nicIdOf, ownBlocks, shortOf, subnetIdOf } from './shapes.ts'
import { type SubnetSource, networkPrefixes } from './subnets.ts'

export type NodeParts = {
  readonly node: string
  readonly nicsMax: NicsMaxSource
  readonly subnets: SubnetSource
  readonly known: Map<NicId, Known>
}

/** Everything Azure says of this node that decisions need. */
export const describeNode = async (
  parts: NodeParts,
  session: Session,
  signal: AbortSignal,
): Promise<NodeFacts> => {
  const { identity, arm } = session
  const nicsMaxSoon = parts.nicsMax(session, signal)
  // Both are awaited below; until then a failure of one must not be unhandled.
  nicsMaxSoon.catch(() => undefined)
  const nics = await nicsOf(session, signal)
  const [primary] = nics
  const home = subnetIdOf(present(primary, 'primary NIC'))
  const [nicsMax, vpc, subnets] = await Promise.all([
    nicsMaxSoon,
    networkPrefixes(arm, home, signal),
    parts.subnets(session, managedSubnets(nics), signal),
  ])
  const taken = nics.reduce((sum, nic) => sum + foreignCountOf(nic), 0)
  return {
    node: parts.node,
    instanceId: identity.instanceId,
    instanceType: identity.vmSize,
    zone: identity.zone,
    limits: {
      nicsMax,
      hotPlug: false,
      blocksPerNicMax: { 4: addressesMax - 1, 6: addressesMax - 1 },
      blocksPerNodeMax: Math.max(0, addressesMax - taken),
      prefixes: !identity.isUniform,
    },
    vpc,
    subnets: [...subnets.values()],
    securityGroups: [],
  }
}

/** The machine's NICs with their blocks; those of others are shown and not managed. */
export const observe = async (
  parts: NodeParts,
  session: Session,
  signal: AbortSignal,
): Promise<CloudObservation> => {
  const nics = await nicsOf(session, signal)
  const subnets = await parts.subnets(session, managedSubnets(nics), signal)
  const seen = nics.map((nic, deviceIndex): CloudNic => {
    const id = nicIdOf(nic)
    const known = parts.known.get(id)
    parts.known.set(id, new Set(ownBlocks(nic, known).keys()))
    const instance = session.identity.instanceId
    return cloudNicOf(nic, { instance, deviceIndex, subnets, known })
  })
  return { nics: seen, subnets: [...subnets.values()] }
}

// Somebody else's NIC may lie in a network this node may not read.
const managedSubnets = (nics: readonly RawNic[]): readonly SubnetId[] => [
  ...new Set(nics.filter((nic, index) => isManaged(nic, index === 0)).map(subnetIdOf)),
]

/** The primary NIC first, the others in the order of the machine's model. */
const nicsOf = (session: Session, signal: AbortSignal): Promise<readonly RawNic[]> =>
  session.identity.isUniform ? uniformNics(session, signal) : machineNics(session, signal)

const uniformNics = async (
  { arm, identity }: Session,
  signal: AbortSignal,
): Promise<readonly RawNic[]> => {
  const call = 'NetworkInterfaces_ListVirtualMachineScaleSetVMNetworkInterfaces'
  const on = `scale set instance ${shortOf(identity.path)}`
  const path = uniformNicsPath(identity.path)
  const nics: RawNic[] = []
  for await (const page of pagesOf<RawNic>(arm, { service: 'network', call, on, path }, signal)) {
    nics.push(...page.map(nic => ({ ...nic, tags: { ...identity.tags, ...nic.tags } })))
  }
  return primaryFirst(nics, nic => nic.properties?.primary)
}

type Attached = { readonly id: NicId; readonly isPrimary: boolean | undefined }

const machineNics = async (session: Session, signal: AbortSignal): Promise<readonly RawNic[]> => {
  const attached = await attachedTo(session, signal)
  const nics = await Promise.all(
    attached.map(({ id }) =>
      // One that was deleted since is on no machine.
      tolerating('notFound', () => readNic(session.arm, id, signal)),
    ),
  )
  return nics.filter(nic => nic !== undefined)
}

const attachedTo = (
  { arm, identity }: Session,
  signal: AbortSignal,
): Promise<readonly Attached[]> => {
  const call = 'VirtualMachines_Get'
  return read({ call, on: `VM ${shortOf(identity.path)}` }, signal, async () => {
    const path = computePath(identity.path)
    const request = { service: 'compute', call, method: 'GET', path } as const
    const { body } = await arm.send(request, signal)
    const { properties } = present(body, 'VM') as RawMachine
    const nics = listOf(properties?.networkProfile?.networkInterfaces, 'networkInterfaces')
    const attached = nics.map(nic => ({
      id: nicId(present(nic.id, 'id of a NIC').toLowerCase()),
      isPrimary: nic.properties?.primary,
    }))
    return primaryFirst(attached, ({ isPrimary }) => isPrimary)
  })
}

type RawMachine = {
  readonly properties?: {
    readonly networkProfile?: {
      readonly networkInterfaces?: readonly {
        readonly id?: string
        readonly properties?: { readonly primary?: boolean }
      }[]
    }
  }
}

// Where there is one NIC, nothing says that it is the primary one.
const primaryFirst = <Nic>(
  nics: readonly Nic[],
  isPrimary: (nic: Nic) => boolean | undefined,
): readonly Nic[] => {
  const primary = present(nics.find(nic => isPrimary(nic) === true) ?? nics[0], 'primary NIC')
  return [primary, ...nics.filter(nic => nic !== primary)]
}
