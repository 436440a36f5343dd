// A daemon with state but without a kernel, for tests of what stands in front of it.

import { ip, cidr } from '#core/ip.ts'
import { codes, failed } from '../spec/failure.ts'
import type {
  AddRequest,
  Attachment,
  AttachmentKey,
  Attachments,
  CheckRequest,
  DelRequest,
  GcRequest,
  StatusOutcome,
} from './ports.ts'

/** What a fake daemon holds; tests read it and set the verdicts. */
export type FakeDaemon = Attachments & {
  /** Attachments by network, container and interface. */
  readonly held: Map<string, Attachment>
  readonly requests: (AddRequest | DelRequest | CheckRequest | GcRequest)[]
  verdict: StatusOutcome
}

/** One that gives out 10.0.1.1, 10.0.1.2 and so on, at most as many as `addresses`. */
export const fakeDaemon = (addresses = 8): FakeDaemon => {
  const held = new Map<string, Attachment>()
  const requests: FakeDaemon['requests'] = []
  const daemon: FakeDaemon = {
    held,
    requests,
    verdict: { kind: 'ready' },
    add: async request => {
      requests.push(request)
      if (held.size >= addresses) {
        return failed(codes.tryAgainLater, 'no warm address; wait for the pool to grow', 'in 2 s')
      }
      const attachment = attachmentOf(request, held.size + 1)
      held.set(keyOf(request), attachment)
      return { kind: 'added', attachment }
    },
    del: async request => {
      requests.push(request)
      held.delete(keyOf(request))
      return { kind: 'deleted' }
    },
    check: async request => {
      requests.push(request)
      if (held.has(keyOf(request))) return { kind: 'intact' }
      return failed(codes.checkFailed, `nothing is attached as ${keyOf(request)}; delete the pod`)
    },
    gc: async request => {
      requests.push(request)
      const valid = new Set(
        request.valid.map(entry => keyOf({ ...entry, network: request.network })),
      )
      for (const key of held.keys()) {
        if (key.startsWith(`${request.network} `) && !valid.has(key)) held.delete(key)
      }
      return { kind: 'collected' }
    },
    status: () => daemon.verdict,
  }
  return daemon
}

const keyOf = ({ network, containerId, ifName }: AttachmentKey): string =>
  `${network} ${containerId} ${ifName}`

const attachmentOf = (request: AddRequest, number: number): Attachment => ({
  interfaces: [
    { name: `ewy${number}`, mac: '0a:58:a9:fe:01:01', mtu: 9001 },
    { name: request.ifName, mac: '0a:58:0a:00:01:01', mtu: 9001, sandbox: request.netns },
  ],
  ips: [
    {
      address: ip(`10.0.1.${number}`),
      prefixLength: 32,
      gateway: ip('169.254.1.1'),
      interface: 1,
    },
  ],
  routes: [{ destination: cidr('0.0.0.0/0'), gateway: ip('169.254.1.1') }],
})
