// The real EC2 SDK against the emulator over the wire, configured only by the SDK's own environment
// variables: what a provider will meet, good and bad.
import {
  AssignIpv6AddressesCommand,
  AssignPrivateIpAddressesCommand,
  AttachNetworkInterfaceCommand,
  CreateNetworkInterfaceCommand,
  CreateTagsCommand,
  DeleteNetworkInterfaceCommand,
  DeleteTagsCommand,
  DescribeInstanceTypesCommand,
  DescribeInstancesCommand,
  DescribeNetworkInterfacesCommand,
  DescribeSecurityGroupsCommand,
  DescribeSubnetsCommand,
  DescribeVpcsCommand,
  DetachNetworkInterfaceCommand,
  EC2Client,
  type EC2ClientConfig,
  EC2ServiceException,
  ModifyNetworkInterfaceAttributeCommand,
  RunInstancesCommand,
  TerminateInstancesCommand,
  UnassignIpv6AddressesCommand,
  UnassignPrivateIpAddressesCommand,
  paginateDescribeNetworkInterfaces,
} from '@aws-sdk/client-ec2'
import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  type Emulator,
  type EmulatorOptions,
  defaultAccount,
  startEmulator,
} from '#emulator/emulator.ts'
import { latencyProfiles } from '#emulator/model/latency.ts'
import { sampleVpc } from '#emulator/sample.ts'

const open: { close: () => Promise<void> }[] = []

afterEach(async () => {
  vi.unstubAllEnvs()
  for (const one of open.splice(0).toReversed()) await one.close()
})

const [key] = defaultAccount.keys

const start = async (options: Partial<EmulatorOptions> = {}) => {
  const emulator = await startEmulator({ seed: 1, latency: 'none', vpc: sampleVpc, ...options })
  open.push(emulator)
  vi.stubEnv('AWS_ENDPOINT_URL_EC2', emulator.endpoint)
  vi.stubEnv('AWS_REGION', emulator.region)
  vi.stubEnv('AWS_ACCESS_KEY_ID', key.accessKeyId)
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', key.secretAccessKey)
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
  return { emulator, ec2: client(), ...thingsOf(emulator) }
}

const client = (config: EC2ClientConfig = {}): EC2Client => {
  const ec2 = new EC2Client({ maxAttempts: 1, ...config })
  open.push({ close: async () => ec2.destroy() })
  return ec2
}

const thingsOf = (emulator: Emulator) => {
  const instance = emulator.ids.instanceIds['node-a'] ?? ''
  const { nics } = emulator.state()
  const nic = nics.find(one => one.attachment?.instanceId === instance)?.id ?? ''
  return { instance, nic, subnet: (name: string) => emulator.ids.subnetIds[name] ?? '' }
}

/** The SDK's name for a connection that the other side resets. */
const reset = 'TimeoutError'

/** The error's code and status, or `ok`. */
const outcome = async (call: Promise<unknown>): Promise<string> => {
  try {
    await call
    return 'ok'
  } catch (error) {
    if (!(error instanceof EC2ServiceException)) {
      return error instanceof Error ? error.name : String(error)
    }
    return `${error.name} ${error.$metadata.httpStatusCode}`
  }
}

const assign = (nic: string, count: number) =>
  new AssignPrivateIpAddressesCommand({
    NetworkInterfaceId: nic,
    SecondaryPrivateIpAddressCount: count,
  })

const prefix = (nic: string, count: number) =>
  new AssignPrivateIpAddressesCommand({ NetworkInterfaceId: nic, Ipv4PrefixCount: count })

const describeNic = async (ec2: EC2Client, id: string) => {
  const input = { NetworkInterfaceIds: [id] }
  const { NetworkInterfaces } = await ec2.send(new DescribeNetworkInterfacesCommand(input))
  return NetworkInterfaces?.[0]
}

describe('the life of a network interface', () => {
  test('create with addresses and tags, attach, modify, detach, delete', async () => {
    const { ec2, instance, subnet } = await start()
    const created = await ec2.send(
      new CreateNetworkInterfaceCommand({
        SubnetId: subnet('a'),
        Description: 'pods & "more"',
        SecondaryPrivateIpAddressCount: 4,
        Ipv6AddressCount: 2,
        TagSpecifications: [
          { ResourceType: 'network-interface', Tags: [{ Key: 'owner', Value: 'eniway <1>' }] },
        ],
      }),
    )
    const id = created.NetworkInterface?.NetworkInterfaceId ?? ''
    expect(created.NetworkInterface).toMatchObject({
      Status: 'available',
      Description: 'pods & "more"',
      TagSet: [{ Key: 'owner', Value: 'eniway <1>' }],
    })
    expect(created.NetworkInterface?.PrivateIpAddresses).toHaveLength(5)
    expect(created.NetworkInterface?.Ipv6Addresses).toHaveLength(2)
    expect(created.NetworkInterface?.PrivateIpAddresses?.map(one => one.Primary)).toEqual([
      true,
      false,
      false,
      false,
      false,
    ])
    const attached = await ec2.send(
      new AttachNetworkInterfaceCommand({
        NetworkInterfaceId: id,
        InstanceId: instance,
        DeviceIndex: 1,
      }),
    )
    expect(attached.NetworkCardIndex).toBe(0)
    await ec2.send(
      new ModifyNetworkInterfaceAttributeCommand({
        NetworkInterfaceId: id,
        Attachment: { AttachmentId: attached.AttachmentId, DeleteOnTermination: true },
      }),
    )
    await ec2.send(
      new ModifyNetworkInterfaceAttributeCommand({
        NetworkInterfaceId: id,
        SourceDestCheck: { Value: false },
      }),
    )
    const described = await describeNic(ec2, id)
    expect(described).toMatchObject({ Status: 'in-use', SourceDestCheck: false })
    expect(described?.Attachment).toMatchObject({
      AttachmentId: attached.AttachmentId,
      InstanceId: instance,
      DeviceIndex: 1,
      Status: 'attached',
      DeleteOnTermination: true,
    })
    const deletion = new DeleteNetworkInterfaceCommand({ NetworkInterfaceId: id })
    expect(await outcome(ec2.send(deletion))).toBe('InvalidParameterValue 400')
    await ec2.send(new DetachNetworkInterfaceCommand({ AttachmentId: attached.AttachmentId }))
    await ec2.send(deletion)
    expect(await outcome(ec2.send(deletion))).toBe('InvalidNetworkInterfaceID.NotFound 400')
  })

  test('addresses and prefixes of both families come and go', async () => {
    const { ec2, nic } = await start()
    const { AssignedPrivateIpAddresses: one } = await ec2.send(assign(nic, 2))
    const { AssignedIpv4Prefixes: two } = await ec2.send(prefix(nic, 2))
    const v6 = { NetworkInterfaceId: nic }
    const six = await ec2.send(new AssignIpv6AddressesCommand({ ...v6, Ipv6PrefixCount: 1 }))
    expect([one?.length, two?.length, six.AssignedIpv6Prefixes?.length]).toEqual([2, 2, 1])
    expect(six.AssignedIpv6Prefixes?.[0]).toMatch(/^2600:1f18:.*\/80$/)
    const before = await describeNic(ec2, nic)
    expect(before?.Ipv4Prefixes).toEqual(two)
    expect(before?.Ipv6Prefixes).toEqual([{ Ipv6Prefix: six.AssignedIpv6Prefixes?.[0] }])
    await ec2.send(
      new UnassignPrivateIpAddressesCommand({
        NetworkInterfaceId: nic,
        PrivateIpAddresses: [one?.[0]?.PrivateIpAddress ?? ''],
        Ipv4Prefixes: [two?.[0]?.Ipv4Prefix ?? ''],
      }),
    )
    const gone = { ...v6, Ipv6Prefixes: six.AssignedIpv6Prefixes }
    const removed = await ec2.send(new UnassignIpv6AddressesCommand(gone))
    expect(removed.UnassignedIpv6Prefixes).toEqual(six.AssignedIpv6Prefixes)
    const after = await describeNic(ec2, nic)
    expect([after?.PrivateIpAddresses?.length, after?.Ipv4Prefixes?.length]).toEqual([2, 1])
    expect(after?.Ipv6Prefixes).toEqual([])
  })

  test('tags of interfaces, subnets and instances', async () => {
    const { ec2, nic, instance, subnet } = await start()
    const ids = [nic, instance, subnet('a')]
    await ec2.send(new CreateTagsCommand({ Resources: ids, Tags: [{ Key: 'k', Value: 'v' }] }))
    const filter = { Filters: [{ Name: 'tag:k', Values: ['v'] }] }
    const { Subnets } = await ec2.send(new DescribeSubnetsCommand(filter))
    expect(Subnets?.map(one => one.SubnetId)).toEqual([subnet('a')])
    await ec2.send(new DeleteTagsCommand({ Resources: ids, Tags: [{ Key: 'k' }] }))
    expect((await ec2.send(new DescribeSubnetsCommand(filter))).Subnets).toEqual([])
    expect((await describeNic(ec2, nic))?.TagSet).toEqual([])
  })

  test('instances are launched and terminated', async () => {
    const { ec2, subnet, emulator } = await start()
    const { Instances } = await ec2.send(
      new RunInstancesCommand({
        ImageId: 'ami-1',
        InstanceType: 'm5.large',
        SubnetId: subnet('a'),
        MinCount: 1,
        MaxCount: 1,
      }),
    )
    const id = Instances?.[0]?.InstanceId ?? ''
    expect(Instances?.[0]).toMatchObject({ State: { Name: 'pending' }, InstanceType: 'm5.large' })
    expect(emulator.state().instances.find(one => one.id === id)?.state).toBe('running')
    const ended = await ec2.send(new TerminateInstancesCommand({ InstanceIds: [id] }))
    expect(ended.TerminatingInstances?.[0]?.PreviousState?.Name).toBe('running')
    expect(emulator.state().nics).toHaveLength(2)
  })
})

describe('describes', () => {
  test('what a provider reads at start', async () => {
    const { ec2, instance, subnet, emulator } = await start()
    const found = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [instance] }))
    const [described] = found.Reservations?.[0]?.Instances ?? []
    expect(described).toMatchObject({
      InstanceType: 'm5.large',
      SubnetId: subnet('a'),
      PrivateIpAddress: '10.0.0.10',
      Placement: { AvailabilityZone: 'us-east-1a' },
    })
    expect(described?.NetworkInterfaces?.[0]?.Attachment?.DeviceIndex).toBe(0)
    const { Subnets } = await ec2.send(new DescribeSubnetsCommand({ SubnetIds: [subnet('tiny')] }))
    expect(Subnets?.[0]).toMatchObject({ CidrBlock: '10.0.1.0/28', AvailableIpAddressCount: 11 })
    const { Vpcs } = await ec2.send(new DescribeVpcsCommand({ VpcIds: [emulator.ids.vpcId] }))
    expect(Vpcs?.[0]?.CidrBlockAssociationSet?.map(one => one.CidrBlock)).toEqual(['10.0.0.0/16'])
    const names = { Filters: [{ Name: 'group-name', Values: ['closed'] }] }
    const { SecurityGroups } = await ec2.send(new DescribeSecurityGroupsCommand(names))
    expect(SecurityGroups?.[0]?.GroupId).toBe(emulator.ids.groupIds['closed'])
    const types = { InstanceTypes: ['p4d.24xlarge' as const] }
    const { InstanceTypes } = await ec2.send(new DescribeInstanceTypesCommand(types))
    expect(InstanceTypes?.[0]?.NetworkInfo).toMatchObject({
      MaximumNetworkInterfaces: 60,
      MaximumNetworkCards: 4,
      Ipv4AddressesPerInterface: 50,
    })
  })

  test('the SDK pages through many interfaces, filtered', async () => {
    const { ec2, subnet } = await start()
    const made: (string | undefined)[] = []
    for (let i = 0; i < 17; i++) {
      const input = { SubnetId: subnet('b'), Description: `page ${i}` }
      const { NetworkInterface } = await ec2.send(new CreateNetworkInterfaceCommand(input))
      made.push(NetworkInterface?.NetworkInterfaceId)
    }
    const filters = [
      { Name: 'description', Values: ['page *'] },
      { Name: 'status', Values: ['available'] },
      { Name: 'subnet-id', Values: [subnet('b')] },
    ]
    const pages: (string | undefined)[][] = []
    const paging = { client: ec2, pageSize: 5 }
    for await (const page of paginateDescribeNetworkInterfaces(paging, { Filters: filters })) {
      pages.push(page.NetworkInterfaces?.map(one => one.NetworkInterfaceId) ?? [])
    }
    expect(pages.map(page => page.length)).toEqual([5, 5, 5, 2])
    expect(new Set(pages.flat())).toEqual(new Set(made))
  })

  test('a stale view after a change, the truth some time later', async () => {
    const staleMs = { min: 300, max: 300 }
    const { ec2, nic } = await start({ latency: { ...latencyProfiles.none, staleMs } })
    await ec2.send(assign(nic, 3))
    expect((await describeNic(ec2, nic))?.PrivateIpAddresses).toHaveLength(1)
    await vi.waitFor(async () => {
      expect((await describeNic(ec2, nic))?.PrivateIpAddresses).toHaveLength(4)
    })
  })

  test('a new interface is not found for a while', async () => {
    const newIdMs = { min: 300, max: 300 }
    const { ec2, subnet } = await start({ latency: { ...latencyProfiles.none, newIdMs } })
    const input = { SubnetId: subnet('a') }
    const { NetworkInterface } = await ec2.send(new CreateNetworkInterfaceCommand(input))
    const id = NetworkInterface?.NetworkInterfaceId ?? ''
    expect(await outcome(describeNic(ec2, id))).toBe('InvalidNetworkInterfaceID.NotFound 400')
    expect(await outcome(ec2.send(assign(id, 1)))).toBe('InvalidNetworkInterfaceID.NotFound 400')
    await vi.waitFor(async () => expect((await describeNic(ec2, id))?.Status).toBe('available'))
  })
})

describe('idempotency', () => {
  test('one ClientToken, one interface; other parameters are a mismatch', async () => {
    const { ec2, subnet, emulator } = await start()
    const create = (description: string) =>
      ec2.send(
        new CreateNetworkInterfaceCommand({
          SubnetId: subnet('a'),
          Description: description,
          ClientToken: 'intent-1',
        }),
      )
    const [one, two] = [await create('x'), await create('x')]
    expect(two.NetworkInterface?.NetworkInterfaceId).toBe(one.NetworkInterface?.NetworkInterfaceId)
    expect(await outcome(create('y'))).toBe('IdempotentParameterMismatch 400')
    expect(emulator.state().nics).toHaveLength(3)
  })

  test('a lost reply: the token finds the interface, a count lends twice', async () => {
    const { ec2, subnet, nic, emulator } = await start()
    emulator.addFault({ effect: { kind: 'loseReply' }, action: 'CreateNetworkInterface', count: 1 })
    const input = { SubnetId: subnet('a'), ClientToken: 'intent-2' }
    expect(await outcome(ec2.send(new CreateNetworkInterfaceCommand(input)))).toBe(reset)
    const again = await ec2.send(new CreateNetworkInterfaceCommand(input))
    expect(emulator.state().nics.map(one => one.id)).toContain(
      again.NetworkInterface?.NetworkInterfaceId,
    )
    expect(emulator.state().nics).toHaveLength(3)
    emulator.addFault({ effect: { kind: 'loseReply' }, instance: 'node-a', count: 1 })
    expect(await outcome(ec2.send(assign(nic, 2)))).toBe(reset)
    await ec2.send(assign(nic, 2))
    expect((await describeNic(ec2, nic))?.PrivateIpAddresses).toHaveLength(5)
    expect(emulator.results()).toMatchObject({
      CreateNetworkInterface: { loseReply: 1, ok: 1 },
      AssignPrivateIpAddresses: { loseReply: 1, ok: 1 },
    })
  })
})

describe('what a subnet and an instance refuse', () => {
  test('exhausted, fragmented, and over the limits', async () => {
    const { ec2, nic, subnet, instance, emulator } = await start()
    const create = (count: number) =>
      ec2.send(
        new CreateNetworkInterfaceCommand({
          SubnetId: subnet('tiny'),
          SecondaryPrivateIpAddressCount: count,
        }),
      )
    await create(9)
    expect(await outcome(create(1))).toBe('InsufficientFreeAddressesInSubnet 400')
    const six = { SubnetId: subnet('b'), Ipv6AddressCount: 1 }
    expect(await outcome(ec2.send(new CreateNetworkInterfaceCommand(six)))).toBe(
      'InvalidParameterValue 400',
    )
    emulator.addFault({ effect: { kind: 'subnetFragmented' }, subnet: subnet('a'), count: 1 })
    expect(await outcome(ec2.send(prefix(nic, 1)))).toBe('InsufficientCidrBlocks 400')
    expect(await outcome(ec2.send(assign(nic, 10)))).toBe('PrivateIpAddressLimitExceeded 400')
    const attach = async (index: number) => {
      const made = await ec2.send(new CreateNetworkInterfaceCommand({ SubnetId: subnet('a') }))
      const id = made.NetworkInterface?.NetworkInterfaceId
      const at = { InstanceId: instance, DeviceIndex: index }
      return outcome(ec2.send(new AttachNetworkInterfaceCommand({ NetworkInterfaceId: id, ...at })))
    }
    expect(await attach(0)).toBe('InvalidParameterValue 400')
    expect([await attach(1), await attach(2)]).toEqual(['ok', 'ok'])
    expect(await attach(3)).toBe('AttachmentLimitExceeded 400')
  })

  test('a prefix that does not fit is another error than no aligned block', async () => {
    const { ec2, subnet } = await start()
    const input = { SubnetId: subnet('tiny'), Ipv4PrefixCount: 1 }
    const call = ec2.send(new CreateNetworkInterfaceCommand(input))
    await expect(call).rejects.toThrow("There aren't sufficient free Ipv4 addresses or prefixes")
    expect(await outcome(call)).toBe('InvalidParameterValue 400')
  })
})

describe('throttling and faults', () => {
  test('the 51st describe without filter or page at once is too many', async () => {
    const { ec2, emulator } = await start()
    const calls = Array.from({ length: 70 }, () =>
      outcome(ec2.send(new DescribeNetworkInterfacesCommand({}))),
    )
    const results = await Promise.all(calls)
    const refused = results.filter(one => one === 'RequestLimitExceeded 503').length
    expect(refused).toBeGreaterThan(0)
    expect(refused).toBeLessThanOrEqual(20)
    const paged = new DescribeNetworkInterfacesCommand({ MaxResults: 5 })
    expect(await outcome(ec2.send(paged))).toBe('ok')
    const seen = emulator.results()['DescribeNetworkInterfaces']
    expect(seen).toMatchObject({ RequestLimitExceeded: refused, ok: 71 - refused })
    expect(emulator.calls()['DescribeNetworkInterfaces']).toBe(71)
  })

  test('every kind of bad answer looks to the SDK as it does in reality', async () => {
    const { ec2, nic, emulator } = await start()
    const struck = async (effect: Parameters<Emulator['addFault']>[0]['effect']) => {
      emulator.addFault({
        effect,
        instance: 'node-a',
        action: 'AssignPrivateIpAddresses',
        count: 1,
      })
      return outcome(ec2.send(assign(nic, 1), { abortSignal: AbortSignal.timeout(500) }))
    }
    expect(await struck({ kind: 'throttle' })).toBe('RequestLimitExceeded 503')
    expect(await struck({ kind: 'fail', code: 'InternalError' })).toBe('InternalError 500')
    expect(await struck({ kind: 'html', status: 502 })).toBe('Unknown 502')
    expect(await struck({ kind: 'reset' })).toBe(reset)
    expect(await struck({ kind: 'hang' })).toBe('AbortError')
    expect((await describeNic(ec2, nic))?.PrivateIpAddresses).toHaveLength(1)
    // Cut off after the work: the answer is lost, the address is not.
    expect(await struck({ kind: 'malformed' })).toBe('Error')
    expect((await describeNic(ec2, nic))?.PrivateIpAddresses).toHaveLength(2)
    expect(await struck({ kind: 'delay', ms: 10 })).toBe('ok')
  })

  test('the SDK retries a throttled call by itself when it is allowed to', async () => {
    const { emulator } = await start()
    emulator.addFault({ effect: { kind: 'fail', code: 'Unavailable' }, count: 2 })
    const patient = client({ maxAttempts: 3 })
    const { $metadata } = await patient.send(new DescribeVpcsCommand({}))
    expect($metadata.attempts).toBe(3)
    expect(emulator.results()['DescribeVpcs']).toEqual({ Unavailable: 2, ok: 1 })
  })

  test('fewer blocks than asked for, when the cloud is told so', async () => {
    const { ec2, nic, emulator } = await start()
    emulator.addFault({ effect: { kind: 'partial', granted: 2 }, count: 1 })
    const { AssignedPrivateIpAddresses } = await ec2.send(assign(nic, 5))
    expect(AssignedPrivateIpAddresses).toHaveLength(2)
  })
})

describe('credentials', () => {
  test('unknown key, wrong secret, denied action, dry run', async () => {
    const { nic, emulator } = await start({
      accounts: [
        defaultAccount,
        {
          id: '210987654321',
          keys: [
            {
              accessKeyId: 'AKIALIMITED',
              secretAccessKey: 's',
              deniedActions: ['AssignPrivateIpAddresses', 'DeleteNetworkInterface'],
            },
          ],
        },
      ],
    })
    const as = (accessKeyId: string, secretAccessKey: string) =>
      client({ credentials: { accessKeyId, secretAccessKey } })
    const call = (ec2: EC2Client) => outcome(ec2.send(assign(nic, 1)))
    const dry = { NetworkInterfaceId: nic, DryRun: true }
    const dryRun = (ec2: EC2Client) => outcome(ec2.send(new DeleteNetworkInterfaceCommand(dry)))
    expect(await call(as('AKIANOBODY', 'x'))).toBe('AuthFailure 401')
    expect(await call(as(key.accessKeyId, 'wrong'))).toBe('SignatureDoesNotMatch 403')
    expect(await call(as('AKIALIMITED', 's'))).toBe('UnauthorizedOperation 403')
    expect(await dryRun(client())).toBe('DryRunOperation 412')
    expect(await dryRun(as('AKIALIMITED', 's'))).toBe('UnauthorizedOperation 403')
    expect(emulator.state().nics.every(one => one.addresses.length === 0)).toBe(true)
  })

  test('a node uses its role through the metadata service, as SDKs do by default', async () => {
    const { emulator } = await start({ deniedToRoles: { 'eniway-node': ['DeleteTags'] } })
    vi.stubEnv('AWS_ACCESS_KEY_ID', undefined)
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined)
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', undefined)
    vi.stubEnv('AWS_EC2_METADATA_V1_DISABLED', 'true')
    vi.stubEnv('AWS_EC2_METADATA_SERVICE_ENDPOINT', await emulator.metadataEndpoint('node-a'))
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/dev/null')
    vi.stubEnv('AWS_CONFIG_FILE', '/dev/null')
    const ec2 = client()
    expect((await ec2.send(new DescribeVpcsCommand({}))).Vpcs).toHaveLength(1)
    const { accessKeyId } = await ec2.config.credentials()
    expect(accessKeyId).toMatch(/^ASIA/)
    const tags = new DeleteTagsCommand({ Resources: [emulator.ids.vpcId], Tags: [{ Key: 'k' }] })
    expect(await outcome(ec2.send(tags))).toBe('UnauthorizedOperation 403')
    // A fault aimed at the node strikes what it signs, also when the call names no instance.
    emulator.addFault({ effect: { kind: 'throttle' }, instance: 'node-b' })
    emulator.addFault({ effect: { kind: 'fail', code: 'InternalError' }, instance: 'node-a' })
    const input = { SubnetId: emulator.ids.subnetIds['a'] }
    const creation = new CreateNetworkInterfaceCommand(input)
    expect(await outcome(ec2.send(creation))).toBe('InternalError 500')
  })
})

test('the same seed answers the same calls with the same ids, addresses and MACs', async () => {
  const run = async (seed: number) => {
    const { ec2, nic, subnet } = await start({ seed })
    const { AssignedIpv4Prefixes } = await ec2.send(prefix(nic, 2))
    const input = { SubnetId: subnet('a'), SecondaryPrivateIpAddressCount: 3 }
    const { NetworkInterface, $metadata } = await ec2.send(new CreateNetworkInterfaceCommand(input))
    const { NetworkInterfaceId, MacAddress, PrivateIpAddresses } = NetworkInterface ?? {}
    const made = { NetworkInterfaceId, MacAddress, PrivateIpAddresses }
    return { AssignedIpv4Prefixes, made, requestId: $metadata.requestId }
  }
  const first = await run(42)
  expect(await run(42)).toEqual(first)
  expect(await run(43)).not.toEqual(first)
})
