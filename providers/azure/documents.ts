// A NIC as it is read and as it is written. A machine's NIC is one resource for both; the NIC of an
// instance in a uniform scale set is read there and written through the instance's model.

import type { NicId } from '#core/names.ts'
import { present } from '../common/shapes.ts'
import { read } from './calls.ts'
import type { Arm, ArmAnswer, ArmRequest, Json } from './client.ts'
import { type RawConfig, type RawNic, configsOf, listOf, shortOf } from './shapes.ts'

/** Versions that every Azure cloud has, the newest that was proved; raw JSON depends on them. */
const versions = {
  network: '2025-05-01',
  compute: '2025-04-01',
  /** The only one for NICs inside a scale set. */
  uniformNics: '2018-10-01',
} as const

export const networkPath = (path: string): string => `${path}?api-version=${versions.network}`
export const computePath = (path: string): string => `${path}?api-version=${versions.compute}`

/** A NIC with the list of configurations that the next write replaces. */
export type Document = {
  readonly nic: RawNic
  readonly configs: readonly RawConfig[]
  /** False where configurations take neither a prefix nor a way of allocation. */
  readonly isComplete: boolean
  /** The write that makes these the configurations and leaves all else as it was read. */
  readonly write: (configs: readonly RawConfig[]) => ArmRequest
}

const uniformNic =
  /^(.*\/virtualmachinescalesets\/[^/]+\/virtualmachines\/[^/]+)\/networkinterfaces\/([^/]+)$/i

/** True for a NIC inside a uniform scale set. */
export const isUniformNic = (nic: NicId): boolean => uniformNic.test(nic)

export const uniformNicsPath = (instancePath: string): string =>
  `${instancePath}/networkInterfaces?api-version=${versions.uniformNics}`

/** The NIC itself; an absent one is the failure notFound. */
export const readNic = async (arm: Arm, nic: NicId, signal: AbortSignal): Promise<RawNic> =>
  (await fetchNic(arm, nic, signal)).body as RawNic

const fetchNic = (arm: Arm, nic: NicId, signal: AbortSignal): Promise<ArmAnswer> => {
  const isUniform = isUniformNic(nic)
  const call = isUniform
    ? 'NetworkInterfaces_GetVirtualMachineScaleSetNetworkInterface'
    : 'NetworkInterfaces_Get'
  const path = isUniform ? `${nic}?api-version=${versions.uniformNics}` : networkPath(nic)
  return read({ call, on: `NIC ${shortOf(nic)}` }, signal, async () => {
    const answer = await arm.send({ service: 'network', call, method: 'GET', path }, signal)
    // A 200 that is no NIC must not be taken for a NIC without addresses.
    configsOf(present(answer.body, 'NIC'))
    return answer
  })
}

export const readDocument = async (
  arm: Arm,
  nic: NicId,
  signal: AbortSignal,
): Promise<Document> => {
  const answer = await fetchNic(arm, nic, signal)
  const match = uniformNic.exec(nic)
  if (match === null) return nicDocument(answer, nic)
  const [, path = '', name = ''] = match
  const call = 'VirtualMachineScaleSetVMs_Get'
  const instance = await read(
    { call, on: `scale set instance ${shortOf(path)}` },
    signal,
    async () => {
      const request = { service: 'compute', call, method: 'GET', path: computePath(path) } as const
      const found = await arm.send(request, signal)
      nicModelsOf(found)
      return found
    },
  )
  return instanceDocument({ nic: answer.body as RawNic, instance, path, name })
}

const nicDocument = ({ body, headers }: ArmAnswer, id: NicId): Document => {
  const nic = present(body, 'NIC') as Json & RawNic
  return {
    nic,
    configs: configsOf(nic),
    isComplete: true,
    write: ipConfigurations => ({
      service: 'network',
      call: 'NetworkInterfaces_CreateOrUpdate',
      method: 'PUT',
      path: networkPath(id),
      body: { ...nic, properties: { ...nic.properties, ipConfigurations } },
      // Without it a write replaces whatever another writer has added meanwhile.
      ifMatch: present(nic.etag ?? headers['etag'], 'etag'),
    }),
  }
}

type NicModel = Json & {
  readonly name?: string
  readonly properties?: Json & { readonly ipConfigurations?: readonly RawConfig[] }
}

const nicModelsOf = ({ body }: ArmAnswer): readonly NicModel[] => {
  const properties = present(body?.['properties'], 'properties') as Json
  const network = properties['networkProfileConfiguration'] as Json | undefined
  const models = present(network, 'networkProfileConfiguration')['networkInterfaceConfigurations']
  return listOf(models as readonly NicModel[] | undefined, 'networkInterfaceConfigurations')
}

const instanceDocument = (given: {
  readonly nic: RawNic
  readonly instance: ArmAnswer
  readonly path: string
  readonly name: string
}): Document => {
  const { nic, instance, path, name } = given
  const models = nicModelsOf(instance)
  // A NIC there is called like its configuration.
  const isIt = (model: NicModel): boolean => model.name?.toLowerCase() === name.toLowerCase()
  const model = present(models.find(isIt), `configuration of NIC ${name}`)
  return {
    nic,
    configs: listOf(model.properties?.ipConfigurations, 'ipConfigurations'),
    isComplete: false,
    write: ipConfigurations => ({
      service: 'compute',
      call: 'VirtualMachineScaleSetVMs_Update',
      method: 'PUT',
      path: computePath(path),
      body: withModels(
        instance.body ?? {},
        models.map(other =>
          other === model
            ? { ...other, properties: { ...other.properties, ipConfigurations } }
            : other,
        ),
      ),
      ifMatch: (instance.body?.['etag'] as string | undefined) ?? instance.headers['etag'],
    }),
  }
}

const withModels = (instance: Json, models: readonly NicModel[]): Json => {
  const properties = (instance['properties'] ?? {}) as Json
  const network = (properties['networkProfileConfiguration'] ?? {}) as Json
  const storage = properties['storageProfile'] as Json | undefined
  // An image in another subscription would have to be readable for this write (Cilium issue 19695).
  const { imageReference: _, ...disks } = storage ?? {}
  return {
    ...instance,
    properties: {
      ...properties,
      networkProfileConfiguration: { ...network, networkInterfaceConfigurations: models },
      ...(storage === undefined ? {} : { storageProfile: disks }),
    },
  }
}
