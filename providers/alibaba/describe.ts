// Reading NICs: by id, and all that concern one instance.

import { DescribeNetworkInterfacesRequest } from '@alicloud/ecs20140526'
import type { InstanceId, NicId } from '#core/names.ts'
import { CallFailed, tolerating } from '../common/calls.ts'
import type { Site } from '../common/failures.ts'
import { tagNames } from '../common/options.ts'
import { type Patience, readPatience } from '../common/retry.ts'
import { present } from '../common/shapes.ts'
import { call, patiently, read } from './calls.ts'
import type { Client } from './client.ts'
import { ownFailure } from './failures.ts'
import { type Nic, holderOf, idOf } from './shapes.ts'

// The largest; left out it would be 10.
const pageSize = 500
const pagesMax = 100

const name = 'DescribeNetworkInterfaces'

/** One NIC by id; an absent one is the failure notFound. */
export const describeNic = (
  client: Client,
  nic: NicId,
  options: { readonly signal: AbortSignal; readonly patience?: Patience },
): Promise<Nic> => {
  const { signal, patience = readPatience } = options
  const site = { call: name, on: `NIC ${nic}`, isRead: true }
  return patiently({ site, patience }, signal, () =>
    call(site, signal, async () => {
      const answer = await page(client, { networkInterfaceId: [nic] }, signal)
      const found = answer.nics.find(({ networkInterfaceId: id }) => id === nic)
      if (found !== undefined) return found
      throw absent(site)
    }),
  )
}

// An unknown id is no error to ECS: the list is empty.
const absent = (site: Site): CallFailed => {
  const text = 'there is no such NIC'
  return new CallFailed(ownFailure(site, { kind: 'notFound', code: 'InvalidEniId.NotFound', text }))
}

/** Undefined when there is no such NIC. */
export const findNic = (client: Client, nic: NicId, signal: AbortSignal) =>
  tolerating('notFound', () => describeNic(client, nic, { signal }))

/** NICs attached to the instance, and NICs created for it that are attached to nothing. */
export const describeNicsOf = async (
  client: Client,
  instance: InstanceId,
  signal: AbortSignal,
): Promise<readonly Nic[]> => {
  const lists = await Promise.all(
    [{ instanceId: instance }, { tag: [{ key: tagNames.instance, value: instance }] }].map(filter =>
      describeAll(client, { filter, instance }, signal),
    ),
  )
  const byId = new Map<NicId, Nic>()
  for (const nic of lists.flat()) {
    const holder = holderOf(nic)
    const isElsewhere = holder === undefined ? isHeldByService(nic) : holder !== instance
    // What is being deleted is as good as gone.
    if (isElsewhere || nic.status === 'Deleting') continue
    // Two answers may show two moments; the one with the attachment is of use for longer.
    if (holder !== undefined || !byId.has(idOf(nic))) byId.set(idOf(nic), nic)
  }
  return [...byId.values()]
}

const isHeldByService = ({ status }: Nic): boolean => status === 'InUse'

type Filter = Readonly<Record<string, unknown>>

const describeAll = (
  client: Client,
  { filter, instance }: { readonly filter: Filter; readonly instance: InstanceId },
  signal: AbortSignal,
): Promise<readonly Nic[]> =>
  read({ call: name, on: `instance ${instance}` }, signal, async () => {
    const nics: Nic[] = []
    let nextToken: string | undefined
    for (let pages = 0; pages < pagesMax; pages++) {
      const given = nextToken === undefined ? filter : { ...filter, nextToken }
      const answer = await page(client, given, signal)
      nics.push(...answer.nics)
      nextToken = answer.nextToken
      if (nextToken === undefined) break
    }
    return nics
  })

const page = async (client: Client, filter: Filter, signal: AbortSignal) => {
  const body = await client.ecs(name, signal, (ecs, regionId) =>
    ecs.describeNetworkInterfaces(
      new DescribeNetworkInterfacesRequest({ regionId, maxResults: pageSize, ...filter }),
    ),
  )
  const nics = present(body.networkInterfaceSets?.networkInterfaceSet, 'NetworkInterfaceSet')
  return { nics, nextToken: body.nextToken ? body.nextToken : undefined }
}
