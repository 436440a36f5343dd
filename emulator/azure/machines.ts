// The actions on machines: get, list, change of NICs while deallocated, deallocate and start.
import { startInstance, stopInstance } from '#emulator/model/instances.ts'
import { attachNic } from '#emulator/model/nics.ts'
import { Refusal } from '#emulator/model/refusal.ts'
import type { Instance } from '#emulator/model/types.ts'
import { type World, nicsOfInstance, putInstance, putNic } from '#emulator/model/world.ts'
import { type Action, type Context, type Reply, replyOf } from './action.ts'
import type { Arm, ArmNic } from './arm.ts'
import { bodyObject } from './desired.ts'
import { ArmError, armError, invalidReference, resourceNotFound } from './errors.ts'
import { isCovered, isSameId, nodeGroup, vmId } from './ids.ts'
import { type JsonObject, objectOf, objectsOf, textOf } from './json.ts'
import { checkLocation, failureOf, readTags } from './nics.ts'
import { beginOperation, operationHeaders, refuseWhileBusy } from './operations.ts'
import { pageOf } from './pages.ts'
import { idOfNic, plainNics, recordOf } from './records.ts'
import { instanceView, vmJson } from './shape-vm.ts'

const type = 'Microsoft.Compute/virtualMachines'

export const readVm: Action = {
  name: 'virtualMachines/read',
  kind: 'describe',
  work: context => {
    const hasView = /instanceview/i.test(context.query.get('$expand') ?? '')
    return replyOf(200, vmJson(context.arm, found(context), hasView))
  },
}

export const readVmView: Action = {
  name: 'virtualMachines/read',
  kind: 'describe',
  work: context => replyOf(200, instanceView(found(context))),
}

export const listVms: Action = {
  name: 'virtualMachines/read',
  kind: 'describe',
  work: context => {
    const { arm, group } = context
    return pageOf(context, isCovered(nodeGroup, group) ? plainMachines(arm) : [], {
      keyOf: instance => vmId(arm, instance).toLowerCase(),
      show: instance => vmJson(arm, instance, false),
    })
  },
}

/** PUT and PATCH: what can change here is the list of NICs, and the tags. */
export const writeVm: Action = {
  name: 'virtualMachines/write',
  kind: 'modify',
  work: context => {
    const { arm, method } = context
    const instance = found(context)
    const body = bodyObject(context.body)
    if (method === 'PUT') checkLocation(arm, body, context.id)
    refuseWhileBusy(arm, vmId(arm, instance), 'Microsoft.Compute')
    const wanted = wantedNics(arm, body, vmId(arm, instance))
    const held = nicsOfInstance(arm.world, instance.id).map(nic => nic.id)
    const isSame = wanted === undefined || isEqual(held, wanted)
    if (!isSame && instance.state !== 'stopped') throw notStopped(arm, instance)
    if (body['tags'] !== undefined) {
      putInstance(arm.world, { ...instance, tags: readTags(body['tags']) })
    }
    if (!isSame) rearrange(arm, instance, wanted)
    return begun(context, instance, { succeed: () => undefined, status: 200 })
  },
}

// What only begins here and goes on as an operation.
const powerAction = (
  { name, kind }: Pick<Action, 'name' | 'kind'>,
  act: (world: World, instanceId: string) => void,
): Action => ({
  name,
  kind,
  work: context => {
    const { arm } = context
    const instance = found(context)
    refuseWhileBusy(arm, vmId(arm, instance), 'Microsoft.Compute')
    return begun(context, instance, { succeed: () => act(arm.world, instance.id), status: 202 })
  },
})

export const deallocateVm = powerAction(
  { name: 'virtualMachines/deallocate', kind: 'terminate' },
  (world, id) => void stopInstance(world, id),
)

export const startVm = powerAction(
  { name: 'virtualMachines/start', kind: 'run' },
  (world, id) => void startInstance(world, id),
)

/** Machines that are resources of their own: not the members of uniform scale sets. */
const plainMachines = (arm: Arm): readonly Instance[] =>
  [...arm.world.instances.values()].filter(
    ({ state, scaleSet }) => state !== 'terminated' && scaleSet?.mode !== 'uniform',
  )

const found = ({ arm, names, group }: Context): Instance => {
  const name = names[0] ?? ''
  const instance = plainMachines(arm).find(one => one.name.toLowerCase() === name.toLowerCase())
  if (instance !== undefined && group?.toLowerCase() === nodeGroup) return instance
  throw resourceNotFound(type, name, group ?? '')
}

const begun = (
  context: Context,
  instance: Instance,
  { succeed, status }: { readonly succeed: () => void; readonly status: number },
): Reply => {
  const { arm } = context
  const operation = beginOperation(arm, {
    provider: 'Microsoft.Compute',
    locks: [vmId(arm, instance)],
    failure: failureOf(context),
    succeed,
    fail: () => undefined,
  })
  const after = arm.world.instances.get(instance.id) ?? instance
  const body = status === 200 ? vmJson(arm, after, false) : undefined
  return replyOf(status, body, operationHeaders(context, operation))
}

const notStopped = (arm: Arm, instance: Instance): ArmError =>
  new ArmError(
    'AddingOrDeletingNetworkInterfacesOnARunningVirtualMachineNotSupported',
    'Adding or deleting network interfaces on a running virtual machine is not supported. ' +
      `Virtual machine ${vmId(arm, instance)} must be stop-deallocated before its network ` +
      'interfaces can be added or deleted.',
  )

// NICs in the order of the profile; undefined: the body leaves them as they are.
const wantedNics = (arm: Arm, body: JsonObject, by: string): readonly ArmNic[] | undefined => {
  const profile = objectOf(objectOf(body['properties'])['networkProfile'])
  if (profile['networkInterfaces'] === undefined) return undefined
  const nics = plainNics(arm)
  return objectsOf(profile['networkInterfaces']).map(reference => {
    const id = textOf(reference['id']) ?? ''
    const armNic = nics.find(one => isSameId(idOfNic(arm, one), id))
    if (armNic === undefined) throw invalidReference(id, by)
    return armNic
  })
}

const isEqual = (held: readonly string[], wanted: readonly ArmNic[]): boolean =>
  held.toSorted().join() ===
  wanted
    .map(({ nic }) => nic.id)
    .toSorted()
    .join()

// Detaches what is not wanted and attaches the rest at the next free places.
const rearrange = (arm: Arm, instance: Instance, wanted: readonly ArmNic[]): void => {
  const ids = new Set(wanted.map(({ nic }) => nic.id))
  const held = nicsOfInstance(arm.world, instance.id)
  for (const nic of held.filter(({ id }) => !ids.has(id))) {
    putNic(arm.world, nic.id, { ...nic, attachment: undefined })
  }
  for (const { nic } of wanted.filter(one => one.nic.attachment === undefined)) {
    try {
      attachNic(arm.world, {
        nicId: nic.id,
        instanceId: instance.id,
        deviceIndex: freeIndex(arm, instance),
        cardIndex: 0,
        deleteOnTermination: false,
      })
      recordOf(arm, nic)
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      const place = { id: '', prefix: '' }
      const about = vmId(arm, instance)
      throw armError(error.reason, { about, count: 1, subnet: place, holderOf: () => undefined })
    }
  }
}

const freeIndex = (arm: Arm, instance: Instance): number => {
  const used = nicsOfInstance(arm.world, instance.id).map(nic => nic.attachment?.deviceIndex)
  const next = (index: number): number => (used.includes(index) ? next(index + 1) : index)
  return next(0)
}
