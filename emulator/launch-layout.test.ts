import { describe, expect, test } from 'vitest'
import { defaultLayout, instanceTypes, nodesMax, parseLayout } from './launch-layout.ts'
import { loadPlatform, platformNames } from './platforms.ts'

const small = `
cidrs: [10.1.0.0/16]
throttleFactor: 2
subnets:
  - { name: a, zone: us-east-1a, cidr: 10.1.1.0/24 }
securityGroups:
  - name: web
    ingress: [{ protocol: tcp, ports: [80, 81], peer: web }, { peer: 10.1.0.0/16 }]
instances:
  - { name: n1, type: m5.large, subnet: a, securityGroups: [web], primaryAddress: 10.1.1.9 }
`

describe('a layout file', () => {
  test('becomes a description', () => {
    const { vpc: layout, limits } = parseLayout(small, 'small.yaml')
    expect(limits).toEqual({ throttleFactor: 2 })
    expect(layout.subnets[0]).toMatchObject({ name: 'a', cidr: '10.1.1.0/24' })
    expect(layout.securityGroups?.[0]?.ingress).toEqual([
      { protocol: 'tcp', ports: { from: 80, to: 81 }, peer: { group: 'web' } },
      { protocol: 'all', ports: undefined, peer: { cidr: '10.1.0.0/16' } },
    ])
    expect(layout.instances[0]).toMatchObject({ groups: ['web'], primaryAddress: '10.1.1.9' })
  })

  test('says what an instance boots with', () => {
    const boots =
      'accelerated: true, scaleSet: { name: s, mode: uniform }, secondaryNics: [{ subnet: a }]'
    const text = small.replace('subnet: a, securityGroups', `subnet: a, ${boots}, securityGroups`)
    const { vpc: layout } = parseLayout(text, 'small.yaml', 'azure')
    expect(layout.instances[0]).toMatchObject({
      accelerated: true,
      scaleSet: { name: 's', mode: 'uniform' },
      secondaryNics: [{ subnet: 'a', groups: [] }],
    })
  })

  test('names accounts as its cloud does', () => {
    const id = '00000000-0000-4000-8000-000000000001'
    const text = `${small}accounts: [{ id: ${id}, keys: [{ accessKeyId: ${id} }] }]`
    expect(parseLayout(text, 'x.yaml', 'azure').limits.accounts?.[0]?.id).toBe(id)
    expect(() => parseLayout(text, 'x.yaml', 'alibaba')).toThrow(/sixteen digits/)
  })

  test.each(platformNames)('takes the account that %s has by itself', async cloud => {
    const { defaults, regionOf } = (await loadPlatform(cloud)).traits
    const text = `${small}accounts: [${JSON.stringify(defaults.account)}]`
    const [account] = parseLayout(text, 'x.yaml', cloud).limits.accounts ?? []
    expect(account).toMatchObject(defaults.account)
    expect(defaults.instanceType).toBe(instanceTypes[cloud])
    const [subnet] = defaultLayout({ cloud, nodes: 0, instanceType: '' }).subnets
    expect([subnet?.zone, regionOf(subnet?.zone ?? '')]).toContain(regionOf(defaults.zone))
  })

  test.each([
    ['an unknown key', small.replace('zone:', 'zona:'), /x\.yaml.*zona/],
    ['a wrong prefix', small.replace('10.1.1.0/24', '10.1.1.0/33'), /not a prefix/],
    ['broken YAML', 'cidrs: [', /cannot read x\.yaml as YAML/],
    ['a wrong port', small.replace('81]', '70000]'), /65535/],
    ['a name that is no file name', small.replace('name: n1', 'name: ../n1'), /lower-case/],
  ])('with %s is refused in one sentence', (_, text, want) => {
    expect(() => parseLayout(text, 'x.yaml')).toThrow(want)
  })
})

describe('the default layout', () => {
  test('puts nodes into two subnets in turn', () => {
    const layout = defaultLayout({ nodes: 3, instanceType: 'm5.large' })
    expect(layout.instances.map(node => `${node.name} ${node.subnet}`)).toEqual([
      'node-a nodes-a',
      'node-b nodes-b',
      'node-c nodes-a',
    ])
  })

  test('is that of its cloud', () => {
    const options = { cloud: 'alibaba', nodes: 1, instanceType: 'ecs.g7.large', nics: 2 } as const
    const layout = defaultLayout(options)
    expect(layout.subnets.map(({ zone }) => zone)).toEqual(['cn-hangzhou-h', 'cn-hangzhou-i'])
    expect(layout.subnets.every(({ cidr6 }) => cidr6 !== undefined)).toBe(true)
    expect(layout.instances[0]?.secondaryNics).toEqual([{ subnet: 'nodes-a' }])
  })

  test('has subnets that span the location where the cloud has them so', () => {
    const layout = defaultLayout({ cloud: 'azure', nodes: 2, instanceType: 'Standard_D4s_v5' })
    expect(layout.subnets.map(({ zone }) => zone)).toEqual(['eastus', 'eastus'])
    expect(layout.instances.map(({ zone }) => zone)).toEqual(['eastus-1', 'eastus-2'])
  })

  test('keeps the limit', () => {
    expect(defaultLayout({ nodes: nodesMax, instanceType: 'x' }).instances).toHaveLength(nodesMax)
    expect(() => defaultLayout({ nodes: nodesMax + 1, instanceType: 'x' })).toThrow(/0 to 64/)
  })
})
