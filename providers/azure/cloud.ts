// The Cloud port on Azure: composes the parts of this folder and decides nothing. NICs cannot be
// attached to a running machine, so those that are there are used, and the subnets are theirs:
// a configured choice of subnets or security groups has nothing to act on.

import type { NicId, SubnetId } from '#core/names.ts'
import type { Outcome } from '#core/ports.ts'
import { failed } from '#core/ports.ts'
import { outcomeOf } from '../common/calls.ts'
import type { CloudOptions, ProviderCloud } from '../common/options.ts'
import { lendBlocks, returnBlocks } from './blocks.ts'
import { call } from './calls.ts'
import type { Arm } from './client.ts'
import { azureEnvironment } from './config.ts'
import { createCredential } from './credential.ts'
import { ownFailure } from './failures.ts'
import { type Session, createSession } from './identity.ts'
import { createNicsMax } from './limits.ts'
import { type NodeParts, describeNode, observe } from './node.ts'
import { shortOf } from './shapes.ts'
import { createSubnets } from './subnets.ts'
import { createWriter, siteOf } from './writer.ts'

/** The cloud as this machine sees it. Nothing is sent before the first call. */
export const createAzureCloud = (options: CloudOptions): ProviderCloud => {
  const environment = azureEnvironment()
  const opened: Arm[] = []
  const session = createSession({
    environment,
    createCredential: () => createCredential(environment),
    onCall: options.onCall,
    onOpen: arm => void opened.push(arm),
  })
  const parts: NodeParts = {
    node: options.node,
    nicsMax: createNicsMax(),
    subnets: createSubnets(),
    known: new Map(),
  }
  const writer = createWriter()

  // Whatever an answer lacks, and wherever that is noticed, is a failure of the call.
  const reading = <Value>(
    signal: AbortSignal,
    work: (parts: NodeParts, opened: Session, signal: AbortSignal) => Promise<Value>,
  ): Promise<Outcome<Value>> => {
    const site = { call: 'VirtualMachines_Get', on: 'this machine', isRead: true }
    return outcomeOf(() =>
      call(site, signal, async () => work(parts, await session(signal), signal)),
    )
  }
  const writing = <Value>(
    { nic }: { readonly nic: NicId },
    signal: AbortSignal,
    work: (arm: Arm) => Promise<Value>,
  ): Promise<Outcome<Value>> =>
    outcomeOf(async () => {
      const { arm } = await session(signal)
      return call(siteOf(nic), signal, () => work(arm))
    })

  return {
    describeNode: signal => reading(signal, describeNode),
    observe: signal => reading(signal, observe),
    createNic: async ({ subnet }) => unplugged('NetworkInterfaces_CreateOrUpdate', subnet),
    attachNic: async ({ nic }) => unplugged('VirtualMachines_CreateOrUpdate', nic),
    detachNic: async nic => unplugged('VirtualMachines_CreateOrUpdate', nic),
    deleteNic: async nic => unplugged('NetworkInterfaces_Delete', nic),
    lendBlocks: (request, signal) =>
      writing(request, signal, arm =>
        lendBlocks({ arm, writer, known: parts.known }, request, signal),
      ),
    returnBlocks: (request, signal) =>
      writing(request, signal, arm => returnBlocks({ arm, writer }, request, signal)),
    close: () => {
      for (const arm of opened) arm.close()
    },
  }
}

// Nothing is sent: the machine that asks is running.
const unplugged = (call: string, on: NicId | SubnetId): Outcome<never> => {
  const text = 'Azure attaches and detaches NICs only while the VM is stopped'
  const what = { kind: 'limit', code: 'HotPlugUnsupported', text } as const
  return failed(ownFailure({ call, on: shortOf(on), isRead: false }, what))
}
