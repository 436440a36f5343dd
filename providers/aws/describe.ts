// Reading NICs: by id, and all that concern one instance.

import {
  DescribeNetworkInterfacesCommand,
  type EC2Client,
  type NetworkInterface,
  paginateDescribeNetworkInterfaces,
} from '@aws-sdk/client-ec2'
import type { InstanceId, NicId } from '#core/names.ts'
import { tagNames } from '../common/options.ts'
import { type Patience, readPatience } from '../common/retry.ts'
import { present } from '../common/shapes.ts'
import { call, patiently, read } from './calls.ts'

// With filters and pages EC2 grants its larger budget for describes (EC2 developer guide).
const pageSize = 100

/** One NIC by id; an absent one is the failure notFound. */
export const describeNic = (
  client: EC2Client,
  nic: NicId,
  options: { readonly signal: AbortSignal; readonly patience?: Patience },
): Promise<NetworkInterface> => {
  const { signal, patience = readPatience } = options
  const site = { call: 'DescribeNetworkInterfaces', on: `NIC ${nic}`, isRead: true }
  return patiently({ site, patience }, signal, () =>
    call(site, signal, async () => {
      const command = new DescribeNetworkInterfacesCommand({ NetworkInterfaceIds: [nic] })
      const answer = await client.send(command, { abortSignal: signal })
      return present(answer.NetworkInterfaces?.[0], `NIC ${nic}`)
    }),
  )
}

/** NICs attached to the instance, and NICs created for it that are attached to nothing. */
export const describeNicsOf = async (
  client: EC2Client,
  instance: InstanceId,
  signal: AbortSignal,
): Promise<readonly NetworkInterface[]> => {
  const lists = await Promise.all(
    ['attachment.instance-id', `tag:${tagNames.instance}`].map(name =>
      describeFiltered(client, { name, value: instance }, signal),
    ),
  )
  const byId = new Map<string, NetworkInterface>()
  for (const nic of lists.flat()) {
    const holder = nic.Attachment?.InstanceId
    const isElsewhere = holder === undefined ? nic.Attachment !== undefined : holder !== instance
    const id = present(nic.NetworkInterfaceId, 'NetworkInterfaceId')
    // Two answers may show two moments; the one with the attachment is of use for longer.
    if (!isElsewhere && (holder !== undefined || !byId.has(id))) byId.set(id, nic)
  }
  return [...byId.values()]
}

const describeFiltered = (
  client: EC2Client,
  filter: { readonly name: string; readonly value: string },
  signal: AbortSignal,
): Promise<readonly NetworkInterface[]> => {
  const site = { call: 'DescribeNetworkInterfaces', on: `instance ${filter.value}` }
  return read(site, signal, async () => {
    const input = { Filters: [{ Name: filter.name, Values: [filter.value] }] }
    const options = { abortSignal: signal }
    const nics: NetworkInterface[] = []
    const pages = paginateDescribeNetworkInterfaces({ client, pageSize }, input, options)
    for await (const page of pages)
      nics.push(...present(page.NetworkInterfaces, 'NetworkInterfaces'))
    return nics
  })
}
