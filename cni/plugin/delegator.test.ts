// When we are an IPAM plugin, where our keys are then, and what the other plugin's keys say of the
// link it makes.

import { expect, test } from 'vitest'
import type { JsonObject } from '../spec/json.ts'
import { parseDelegator } from './delegator.ts'
import { parseSettings } from './settings.ts'

const ipam = { type: 'eniway' }

const check = (raw: JsonObject, want: unknown) => {
  const parsed = parseDelegator(raw)
  expect(parsed.kind === 'parsed' ? parsed.value : parsed.message).toEqual(want)
}

test.each([
  [{ type: 'eniway' }],
  [{ type: 'eniway', ipam }],
  [{ type: 'eniway', ipam: { type: 'host-local' } }],
  [{ type: 'ptp', ipam: { type: 'host-local' } }],
  [{ type: 'ptp', ipam: 'eniway' }],
  [{}],
])('%j: the link is ours', raw => check(raw, undefined))

test.each([
  [
    { type: 'ptp', ipam },
    { kind: 'routed', bridge: undefined },
  ],
  [{ ipam }, { kind: 'routed', bridge: undefined }],
  [
    { type: 'bridge', ipam },
    { kind: 'routed', bridge: 'cni0' },
  ],
  [
    { type: 'bridge', bridge: 'b', ipam, isGateway: false },
    { kind: 'routed', bridge: 'b' },
  ],
  [
    { type: 'macvlan', ipam },
    { kind: 'shared', master: undefined },
  ],
  [
    { type: 'macvlan', master: '', ipam },
    { kind: 'shared', master: undefined },
  ],
  [
    { type: 'ipvlan', master: 'eth1', ipam },
    { kind: 'shared', master: 'eth1' },
  ],
  [
    { type: 'vlan', master: 'eth1', ipam: { ...ipam, gateway: 'subnet' } },
    { kind: 'shared', master: 'eth1' },
  ],
  [
    { type: 'macvlan', ipam: { ...ipam, gateway: 'node' } },
    { kind: 'routed', bridge: undefined },
  ],
])('%j: the link is %j', (raw, want) => check(raw, want))

test.each([
  [{ type: 'bridge', ipam, isGateway: true }, /a bridge that is a gateway needs a subnet/],
  [{ type: 'bridge', ipam, isDefaultGateway: true }, /a bridge that is a gateway needs a subnet/],
  [{ type: 'bridge', ipam, bridge: 7 }, /bridge is 7/],
  [{ type: 'macvlan', ipam, master: 7 }, /master is 7/],
  [{ type: 'ptp', ipam: { ...ipam, gateway: 'x' } }, /ipam\.gateway is "x"/],
])('%j is refused', (raw, want) => check(raw, expect.stringMatching(want)))

test('our keys are in ipam then, and only there', () => {
  const own = { socket: '/a.sock', timeoutSeconds: 7, pool: 'p' }
  const other = { socket: 'not ours', timeoutSeconds: 'not ours', pool: 7 }
  for (const raw of [
    { type: 'ptp', ...other, ipam: { ...ipam, ...own } },
    { type: 'eniway', ...own, ipam: { ...ipam, ...other } },
  ]) {
    expect(parseSettings(raw)).toEqual({ kind: 'parsed', value: own })
  }
})
