// Compares what a cloud has lent to a node with what the node's daemon holds, both families.

import type { TrueNic } from './admin.ts'
import type { StageNode } from './node.ts'
import type { Stage } from './stage.ts'

const instanceTag = 'eniway.io/node-instance'

/** NICs that are on the node's instance, or were made for it. */
export const nicsOf = async (stage: Stage<string>, node: StageNode): Promise<readonly TrueNic[]> =>
  (await stage.admin.nics()).filter(
    ({ tags, attachment }) =>
      tags[instanceTag] === node.instanceId || attachment?.instanceId === node.instanceId,
  )

/**
 * Empty when the cloud has lent to attached NICs of the node exactly what its daemon knows, else
 * both sides as text. On Alibaba Cloud, where a secondary NIC's own address is a pod's, too.
 */
export const leakOf = async (stage: Stage<string>, node: StageNode): Promise<string> => {
  const { nics } = await node.view()
  const held = textOf(nics.map(({ id, blocks }) => [id, 'attached', ...blocks]))
  const lent = textOf(
    (await nicsOf(stage, node)).map(nic => [
      nic.id,
      nic.attachment?.state ?? 'alone',
      ...blocksOf(nic),
    ]),
  )
  return held === lent ? '' : `the cloud:\n${lent}\nthe daemon:\n${held}`
}

const blocksOf = (nic: TrueNic): readonly string[] => {
  const isFirst = nic.attachment?.deviceIndex === 0
  const addresses = isFirst ? nic.addresses : [nic.primaryAddress, ...nic.addresses]
  const addresses6 = isFirst ? nic.addresses6.slice(1) : nic.addresses6
  return [
    ...addresses.map(address => `${address}/32`),
    ...nic.prefixes,
    ...addresses6.map(address => `${address}/128`),
    ...nic.prefixes6,
  ]
}

const textOf = (nics: readonly (readonly string[])[]): string =>
  nics
    .map(words => words.toSorted().join(' '))
    .toSorted()
    .join('\n')
