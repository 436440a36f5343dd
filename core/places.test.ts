// Pods with addresses of two families, and clouds of other kinds: what is lent, where pods go, what
// is given back and what is said when there is no place.

import { describe, expect, test } from 'vitest'
import { chooseAddresses } from './assign.ts'
import { cidr, ip } from './ip.ts'
import { after, defaultPool, nicId } from './names.ts'
import { missingPlaces, placesOf, readyPlaces, sparePlaces, surplusOf } from './places.ts'
import { explain } from './reason.ts'
import {
  type ConfigChange,
  countsText,
  deeds,
  filledNode,
  newNode,
  nicOf,
  nicsText,
  plugBeforeBirth,
  readyNode,
  refusal,
  refuse,
  type TestNode,
} from './testing.ts'
import type { TestCloudOptions } from './testing-cloud.ts'
import { verdict } from './verdict.ts'

const both = { families: [4, 6] } as const

const check = (node: TestNode, want: readonly string[]) => expect(deeds(node.turn())).toEqual(want)

const burst = (node: TestNode, pods: number): TestNode => {
  for (let i = 0; i < pods; i++) node.add(`p${i}`)
  return node
}

const answerAll = (node: TestNode): void => {
  while (node.open().length > 0) node.answer()
}

const wait = (node: TestNode, ms: number): void => {
  node.now = after(node.now, ms)
}

const why = (node: TestNode): string => {
  const { code, why: text } = explain(node.state, defaultPool, node.now)
  return `${code}: ${text}`
}

/** Somebody takes every address of a family from a NIC, and the daemon has seen it. */
const takeFamily = (node: TestNode, id: string, isGone: (block: string) => boolean): void => {
  const nic = node.cloud.nics.get(nicId(id))!
  node.cloud.nics.set(nic.id, { ...nic, blocks: nic.blocks.filter(block => !isGone(block)) })
}
const isIpv6 = (block: string): boolean => block.includes(':')

describe('two families', () => {
  test('a new NIC brings first blocks of both in one call', () => {
    const node = burst(readyNode(both), 8)
    check(node, [
      'lend 5 × /32 to eni-1, blocking',
      'create NIC in subnet-1 with 3 × /32 and 3 × /128, blocking',
    ])
    answerAll(node)
    check(node, ['attach eni-2 as 1', 'lend 5 × /128 to eni-1, blocking'])
    node.pass(10_000)
    expect(countsText(node, 4)).toBe('8 assigned')
    expect(countsText(node, 6)).toBe('8 assigned')
  })

  test('every pod has both from one NIC', () => {
    const node = burst(readyNode(both), 12)
    node.pass(10_000)
    for (const { nic, addresses } of node.state.sandboxes.values()) {
      expect(addresses.map(({ ip }) => isIpv6(ip))).toEqual([false, true])
      for (const { block } of addresses) expect(nicOf(node, nic).blocks.has(block)).toBe(true)
    }
    expect(node.state.sandboxes.size).toBe(12)
  })

  test('what is under way for one family is not ordered again on another NIC', () => {
    const node = filledNode({ ...both, pool: { warmTarget: 8 } })
    expect(nicsText(node)).toBe('eni-1 ready 10, eni-2 ready 6')
    node.configure({ pool: { warmTarget: 10 } })
    check(node, ['lend 2 × /32 to eni-2, prewarming'])
    check(node, [])
    answerAll(node)
    check(node, ['lend 2 × /128 to eni-2, prewarming'])
  })

  test('half a place is made whole before anything else is lent', () => {
    const node = filledNode({ ...both, pool: { warmTarget: 3 } }, { nicsMax: 1 })
    takeFamily(node, 'eni-1', isIpv6)
    node.pass(120_000)
    expect(countsText(node, 4)).toBe('3 warm')
    expect(countsText(node, 6)).toBe('3 warm')
  })

  test('a subnet without IPv4 addresses goes on giving IPv6 to NICs that are there', () => {
    const node = burst(readyNode({ ...both, pool: { warmTarget: 6 } }), 1)
    check(node, [
      'lend 5 × /32 to eni-1, blocking',
      'create NIC in subnet-1 with 2 × /32 and 2 × /128, blocking',
    ])
    node.answer(action => refuse(action, refusal('exhausted')), 'createNic')
    node.answer()
    check(node, ['lend 5 × /128 to eni-1, blocking'])
    node.answer(action => refuse(action, refusal('exhausted')))
    check(node, [])
  })

  test('addresses on different NICs make no place', () => {
    const node = filledNode({ ...both, pool: { warmTarget: 6 }, observeEveryMs: 1_000 })
    takeFamily(node, 'eni-1', isIpv6)
    takeFamily(node, 'eni-2', block => !isIpv6(block))
    // Nothing may be lent: the cloud is mute but for its descriptions.
    for (let i = 0; i < 40; i++) {
      wait(node, 1_000)
      node.turn()
      for (const call of node.open()) {
        if (call.kind === 'observeCloud') node.answer(undefined, call)
        else node.answer(action => refuse(action, refusal('exhausted')), call)
      }
    }
    expect(countsText(node, 4)).toBe('5 warm')
    expect(countsText(node, 6)).toBe('1 warm')
    expect(
      chooseAddresses(node.state, { pool: defaultPool, delegator: undefined }, node.now),
    ).toBeUndefined()
    const { state, now } = node
    expect(readyPlaces(state, defaultPool, now)).toBe(0)
    expect(placesOf(state, defaultPool, now)).toBe(0)
    expect(missingPlaces(state, defaultPool, now)).toBe(6)
    expect(verdict(state, defaultPool, now).kind).toBe('unready')
    expect(why(node)).toMatch(/^Exhausted: no NIC has a free address of each family: subnet /)
  })

  test('the family that lacks is named', () => {
    const node = filledNode({ ...both, pool: { warmTarget: 2 } })
    burst(node, 2)
    node.work()
    expect(why(node)).toMatch(/: no IPv4 and no IPv6 address is free: /)
    const other = filledNode({ ...both, pool: { warmTarget: 1 } })
    takeFamily(other, 'eni-1', isIpv6)
    other.configure({ observeEveryMs: 1_000, pool: { warmTarget: 1 } })
    for (let i = 0; i < 3; i++) {
      wait(other, 6_000)
      other.turn()
      for (const call of other.open()) {
        if (call.kind === 'observeCloud') other.answer(undefined, call)
        else other.answer(action => refuse(action, refusal('denied')), call)
      }
    }
    expect(why(other)).toMatch(/^Denied: no IPv6 address is free: cannot lend 1 × \/128 to eni-1/)
  })

  test('a surplus of one family goes by itself', () => {
    const node = filledNode({ ...both, pool: { warmTarget: 5 } }, { nicsMax: 1 })
    takeFamily(node, 'eni-1', block => isIpv6(block) && block !== '2001:db8:0:1::100/128')
    node.configure({ pool: { warmTarget: 1 } })
    node.pass(1_000_000)
    expect([...nicOf(node, 'eni-1').blocks.keys()]).toEqual([
      '10.0.17.0/32',
      '2001:db8:0:1::100/128',
    ])
  })

  test('addresses that can make no place go although the pool is short', () => {
    // All the instance's blocks are IPv4; then pods are to have both.
    const node = filledNode({ pool: { warmTarget: 6 } }, { blocksPerNodeMax: 6, blocksMax: 6 })
    expect(countsText(node, 4)).toBe('6 warm')
    node.configure({ ...both, pool: { warmTarget: 3 } })
    node.pass(1_000_000)
    expect(countsText(node, 4)).toBe('3 warm')
    expect(countsText(node, 6)).toBe('3 warm')
  })

  test('a family that pods are no longer to have is given back', () => {
    const node = filledNode({ ...both, pool: { warmTarget: 2 } })
    node.configure({ families: [4], pool: { warmTarget: 2 } })
    node.pass(1_000_000)
    expect(countsText(node, 4)).toBe('2 warm')
    expect(countsText(node, 6)).toBe('none')
  })

  test('surplus and spare places, by family', () => {
    const node = filledNode({ ...both, pool: { warmTarget: 5 } })
    node.configure({ pool: { warmTarget: 2 } })
    const { state, now } = node
    expect(surplusOf(state, defaultPool, { family: 4, now })).toBe(3)
    expect(surplusOf(state, defaultPool, { family: 6, now })).toBe(3)
    expect(sparePlaces(state, defaultPool, now)).toBe(3)
  })

  // Alibaba's limit of IPv6 counts what the guest takes for itself; asked for one too many, the
  // cloud refuses for ever.
  test('an own address that takes a place leaves one fewer to lend, on that NIC alone', () => {
    const node = readyNode({ families: [6] })
    const { limits } = node.cloud.facts
    const facts = { ...node.cloud.facts, limits: { ...limits, ownTakesPlaceIn: [6] as const } }
    const primary = nicOf(node, 'eni-1')
    const own = { ...primary, primaryAddresses: [...primary.primaryAddresses, ip('2001:db8::4')] }
    const nics = new Map([...node.state.nics, [own.id, own]])
    node.state = { ...node.state, node: facts, nics }
    check(burst(node, 6), [
      'lend 4 × /128 to eni-1, blocking',
      'create NIC in subnet-1 with 2 × /128, blocking',
    ])
  })

  test('an instance type without IPv6: nothing is lent, and the sentence says so', () => {
    const node = readyNode(both)
    const { limits } = node.cloud.facts
    const blocksPerNicMax = { ...limits.blocksPerNicMax, 6: 0 }
    node.state = {
      ...node.state,
      node: { ...node.cloud.facts, limits: { ...limits, blocksPerNicMax } },
    }
    check(burst(node, 2), [])
    expect(why(node)).toBe(
      'NicLimit: no IPv4 and no IPv6 address is free: instance type test.large takes no IPv6 ' +
        'addresses; use another type or leave ipv6 out of ipFamilies',
    )
  })

  test('a subnet without an IPv6 prefix: nothing is lent, and the sentence says so', () => {
    const node = newNode({ ...both, pool: { warmTarget: 2 } })
    const [subnet] = node.cloud.facts.subnets
    const subnets = [{ ...subnet!, cidrs: [cidr('10.0.16.0/20')] }]
    node.cloud.facts = { ...node.cloud.facts, subnets }
    expect(deeds(node.pass(10_000))).toEqual([])
    expect(why(node)).toBe(
      'Exhausted: no IPv4 and no IPv6 address is free: subnet subnet-1 has no IPv6 prefix; give it ' +
        'one or leave ipv6 out of ipFamilies',
    )
  })

  test('at its maximum a pool says of which family', () => {
    const node = burst(readyNode({ ...both, pool: { maximum: 2 } }), 4)
    node.pass(10_000)
    expect(why(node)).toBe(
      'PoolMaximum: no IPv4 and no IPv6 address is free: pool default holds its maximum of 2 IPv4 ' +
        'addresses; raise pool.maximum or lower max-pods',
    )
  })
})

describe('blocks that are counted over the instance', () => {
  const shared = (change: ConfigChange, options: TestCloudOptions): TestNode =>
    burst(readyNode(change, { hotPlug: false, nicsMax: 1, ...options }), 20)

  test('one family takes them all', () =>
    check(shared({}, { blocksPerNodeMax: 7, blocksMax: 9 }), ['lend 7 × /32 to eni-1, blocking']))

  test('of two families neither starves the other', () => {
    const node = shared(both, { blocksPerNodeMax: 7, blocksMax: 9 })
    check(node, ['lend 3 × /32 to eni-1, blocking'])
    answerAll(node)
    check(node, ['lend 3 × /128 to eni-1, blocking'])
    node.pass(10_000)
    expect(countsText(node, 4)).toBe('3 assigned')
    expect(why(node)).toBe(
      'NicLimit: no IPv4 and no IPv6 address is free: instance type test.large takes 7 addresses or ' +
        "prefixes on all its NICs together, and has no room for another pod's; lower max-pods or use more " +
        'nodes',
    )
  })

  test('a /28 counts as one, so that single IPv6 addresses get the rest', () => {
    const node = shared({ ...both, blockLength: 28 }, { blocksPerNodeMax: 9, blocksMax: 9 })
    node.pass(10_000)
    expect(countsText(node, 6)).toBe('8 assigned')
  })

  test('what one NIC was promised no other NIC takes', () => {
    const node = newNode({ ...both, blockLength: 28 }, { hotPlug: false, blocksPerNodeMax: 6 })
    plugBeforeBirth(node.cloud, 'eni-2', 1)
    node.pass(1_000)
    burst(node, 20).pass(20_000)
    expect(countsText(node, 4)).toMatch(/^(11 warm, )?5 assigned$/)
    expect(countsText(node, 6)).toBe('5 assigned')
  })
})

describe('NICs that cannot be plugged', () => {
  const born = (change: ConfigChange = {}): TestNode => {
    const node = newNode(change, { hotPlug: false })
    plugBeforeBirth(node.cloud, 'eni-2', 1)
    node.pass(1_000)
    return node
  }

  test('those that are there serve, though nobody of us created them', () => {
    const node = burst(born(), 8)
    check(node, ['lend 5 × /32 to eni-1, blocking', 'lend 3 × /32 to eni-2, blocking'])
    node.pass(10_000)
    expect(countsText(node)).toBe('8 assigned')
  })

  test('no NIC is made or taken away, and the sentence says what helps', () => {
    const node = burst(born(), 40)
    const done = node.pass(3_600_000)
    expect(done.filter(text => /^(create|attach|detach|delete)/.test(text))).toEqual([])
    expect(nicsText(node)).toBe('eni-1 ready 5, eni-2 ready 5')
    expect(why(node)).toBe(
      'NicLimit: the 2 NICs of instance type test.large have 10 addresses in use, and this cloud ' +
        'attaches NICs to stopped instances only; lower max-pods, use a larger size, or attach ' +
        'another NIC while the instance is stopped',
    )
    for (let i = 0; i < 40; i++) node.del(`p${i}`)
    const later = node.pass(3_600_000)
    expect(later.filter(text => /^(create|attach|detach|delete)/.test(text))).toEqual([])
    expect(nicsText(node)).toBe('eni-1 ready 0, eni-2 ready 0')
  })

  test('a device that does not come: said once, looked for seldom, nothing built on it', () => {
    const node = newNode({ pool: { warmTarget: 2 } }, { hotPlug: false })
    plugBeforeBirth(node.cloud, 'eni-2', 1)
    node.kernel.hidden.add(nicId('eni-2'))
    node.pass(400_000)
    expect(node.state.problems.get('device eni-2')?.text).toMatch(
      /^eni-2 was attached but its device did not appear within 180 s; its addresses are not used/,
    )
    const looks = node.pass(3_600_000).filter(text => text === 'reconcile').length
    expect(looks).toBeLessThan(300)
    node.kernel.hidden.clear()
    node.pass(20_000)
    expect(nicOf(node, 'eni-2').phase.kind).toBe('ready')
    expect(node.state.problems.has('device eni-2')).toBe(false)
  })

  test('detached under its pods: asked at once, lost, told, and nothing of it given again', () => {
    const node = burst(born({ observeEveryMs: 300_000 }), 8)
    node.pass(10_000)
    const nic = node.cloud.nics.get(nicId('eni-2'))!
    const held = [...nicOf(node, 'eni-2').uses.keys()]
    node.cloud.nics.delete(nic.id)
    const since = node.now
    while (nicOf(node, 'eni-2').phase.kind !== 'lost') node.pass(1_000)
    expect(node.now - since).toBeLessThan(30_000)
    expect(verdict(node.state, defaultPool, node.now)).toMatchObject({
      kind: 'unready',
      connectivity: 'limited',
      message: expect.stringContaining('eni-2 is no longer attached to this instance'),
    })
    burst(node, 12)
    node.pass(100_000)
    for (const { nic: id, addresses } of node.state.sandboxes.values()) {
      if (id === nic.id) continue
      for (const { ip } of addresses) expect(held).not.toContain(ip)
    }
  })
})

describe('addresses that a NIC was born with', () => {
  const gift = (change: ConfigChange = {}): TestNode => filledNode(change, { gift: true })

  test('serve pods, and take no place of those that can be lent', () => {
    const node = burst(gift(), 16)
    node.pass(20_000)
    // Five on the primary NIC, five and one on each of the others.
    expect(countsText(node)).toBe('1 warm, 16 assigned')
    expect(nicsText(node)).toBe('eni-1 ready 5, eni-2 ready 6, eni-3 ready 6')
  })

  test('are never returned, and their surplus plans nothing', () => {
    const node = burst(gift(), 6)
    node.pass(20_000)
    node.del('p0')
    node.pass(60_000)
    node.configure({ pool: { warmTarget: 0 } })
    const done = deeds(node.pass(3_600_000))
    expect(done.join()).not.toMatch(/return[^,]*10\.0\.16\.5\/32/)
    expect(deeds(node.pass(3_600_000))).toEqual([])
  })

  test('go with their NIC when it is idle', () => {
    const node = burst(gift(), 6)
    node.pass(20_000)
    expect(node.state.nics.size).toBe(2)
    for (let i = 0; i < 6; i++) node.del(`p${i}`)
    node.pass(3_600_000)
    expect(nicsText(node)).toBe('eni-1 ready 0')
    expect([...node.cloud.nics.keys()]).toEqual(['eni-1'])
  })
})

describe('/28 of a subnet that is fragmented', () => {
  test.each([[[4]], [[4, 6]]] as const)(
    'families %j: single addresses there at once, /28 on a NIC elsewhere',
    families => {
      const node = newNode({ families, blockLength: 'auto' }, { subnets: 2 })
      const [one, two] = node.cloud.facts.subnets
      node.cloud.facts = { ...node.cloud.facts, subnets: [{ ...one!, available: 1 }, two!] }
      node.pass(1_000)
      burst(node, 2).turn()
      node.answer(action => refuse(action, refusal('fragmented')), 'lendBlocks')
      check(node, ['lend 2 × /32 to eni-1, blocking'])
      node.pass(3_000)
      expect(node.state.sandboxes.size).toBe(2)
      for (let i = 0; i < 8; i++) node.add(`q${i}`)
      const second = families.length === 2 ? ' and 5 × /128' : ''
      check(node, [
        'lend 3 × /32 to eni-1, blocking',
        `create NIC in subnet-2 with 1 × /28${second}, blocking`,
      ])
    },
  )
})
