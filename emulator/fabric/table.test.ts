import { describe, expect, test } from 'vitest'
import { cidr, hostCidr, ip } from '#core/ip.ts'
import type { FabricNic, FabricSecurityGroup } from '../ports.ts'
import type { Port } from './port.ts'
import { newTable } from './table.ts'
import type { Table } from './table.ts'

const anywhere = { kind: 'cidr', cidr: cidr('0.0.0.0/0') } as const
const groupA: FabricSecurityGroup = {
  id: 'sg-a',
  ingress: [{ protocol: 'tcp', ports: { from: 80, to: 81 }, peer: { kind: 'group', id: 'sg-b' } }],
  egress: [{ protocol: 'all', ports: undefined, peer: anywhere }],
}

const portOf = (number: number, change: Partial<FabricNic> = {}): Port => ({
  number,
  netns: 'guest',
  nic: {
    id: `eni-${number}`,
    instanceId: 'i-1',
    mac: '02:00:00:00:00:01',
    deviceIndex: 0,
    primary: false,
    subnet: cidr('10.0.1.0/24'),
    gateway: ip('10.0.1.1'),
    subnet6: undefined,
    gateway6: undefined,
    deviceName: undefined,
    fastPath: 'none',
    mtu: 9001,
    primaryAddress: ip('10.0.1.5'),
    blocks: [cidr('10.0.1.5/32')],
    sourceDestCheck: true,
    securityGroups: [],
    ...change,
  },
})

const check = (
  table: Table,
  ports: readonly [Port | undefined, Port | undefined],
  want: readonly string[],
) => {
  const change = table.change(ports[0], ports[1])
  change.commit()
  expect(change.lines.map(line => line.replace(' inet fabric', ''))).toEqual(want)
}

const plug = (port: Port): readonly [undefined, Port] => [undefined, port]

describe('a port', () => {
  test('comes, and goes as it came', () => {
    const table = newTable()
    const port = portOf(1, { primary: true })
    check(table, plug(port), [
      'add chain p1_in',
      'add chain p1_out',
      'add element ports { "p1" }',
      'add element mac { "p1" . 02:00:00:00:00:01 }',
      'add element leaving { "p1" : jump p1_out }',
      'add element entering { "p1" : jump p1_in }',
      'add element source4 { "p1" . 10.0.1.5 }',
      'add element public4 { 10.0.1.5 }',
    ])
    check(
      table,
      [port, undefined],
      [
        'delete element ports { "p1" }',
        'delete element mac { "p1" . 02:00:00:00:00:01 }',
        'delete element leaving { "p1" }',
        'delete element entering { "p1" }',
        'delete element source4 { "p1" . 10.0.1.5 }',
        'delete element public4 { 10.0.1.5 }',
        'flush chain p1_in',
        'flush chain p1_out',
        'delete chain p1_in',
        'delete chain p1_out',
      ],
    )
  })

  test('that did not change needs nothing', () => {
    const table = newTable()
    const port = portOf(1, { securityGroups: [groupA] })
    table.change(undefined, port).commit()
    check(table, [port, port], [])
  })

  test('changes by its difference only', () => {
    const table = newTable()
    const before = portOf(1)
    table.change(undefined, before).commit()
    const blocks = [cidr('10.0.1.16/28'), cidr('2001:db8::5/128')]
    check(
      table,
      [before, portOf(1, { blocks, sourceDestCheck: false })],
      [
        'delete element source4 { "p1" . 10.0.1.5 }',
        'add element unchecked { "p1" }',
        'add element block4 { "p1" . 10.0.1.16/28 }',
        'add element source6 { "p1" . 2001:db8::5 }',
        'add element public6 { 2001:db8::5 }',
      ],
    )
  })
})

describe('a group', () => {
  test('is made with its peers, and its rules follow', () => {
    const table = newTable()
    const port = portOf(1, { securityGroups: [groupA] })
    const lines = table.change(undefined, port).lines.join('\n')
    for (const line of [
      'add set inet fabric g2_host4 { type ipv4_addr; }',
      'add rule inet fabric g1_in ip saddr @g2_host4 tcp dport 80-81 accept',
      'add rule inet fabric g1_in ip6 saddr @g2_block6 tcp dport 80-81 accept',
      'add rule inet fabric g1_out meta nfproto ipv4 accept',
      'add rule inet fabric p1_in jump g1_in',
      'add element inet fabric g1_host4 { 10.0.1.5 }',
    ]) {
      expect(lines).toContain(line)
    }
  })

  test('whose rules changed is flushed and filled', () => {
    const table = newTable()
    const before = portOf(1, { securityGroups: [{ ...groupA, ingress: [] }] })
    table.change(undefined, before).commit()
    const icmp = { protocol: 'icmp', ports: undefined, peer: anywhere } as const
    const after = portOf(1, { securityGroups: [{ ...groupA, ingress: [icmp] }] })
    const { lines } = table.change(before, after)
    expect(lines).toContain('flush chain inet fabric g1_in')
    expect(lines).toContain('add rule inet fabric g1_in meta nfproto ipv4 meta l4proto icmp accept')
  })
})

// The loser of an address may be told after the winner; the shared entry must survive that.
test('an entry that two ports share goes with the last', () => {
  const table = newTable()
  const blocks = [hostCidr(ip('2001:db8::5'))]
  const [loser, winner] = [portOf(1, { blocks }), portOf(2, { blocks })]
  table.change(undefined, loser).commit()
  expect(table.change(undefined, winner).lines.join()).not.toContain('public6')
  table.change(undefined, winner).commit()
  check(
    table,
    [loser, portOf(1, { blocks: [] })],
    ['delete element source6 { "p1" . 2001:db8::5 }'],
  )
  const { lines } = table.change(winner, undefined)
  expect(lines).toContain('delete element inet fabric public6 { 2001:db8::5 }')
})
