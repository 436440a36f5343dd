import { expect, test } from 'vitest'
import { parseNetwork, type Network } from './network.ts'
import { attachmentProblem, configurationFor, variablesFor, type Attachment } from './request.ts'

const networkOf = (plugin: object): Network => {
  const text = JSON.stringify({ cniVersion: '1.1.0', name: 'net', plugins: [plugin] })
  const network = parseNetwork(text, 'FILE')
  if (network.kind === 'failed') throw new Error(network.message)
  return network.value
}

const attachment: Attachment = {
  containerId: 'c1',
  ifName: 'eth0',
  netns: '/run/netns/a',
  args: [
    ['IgnoreUnknown', '1'],
    ['K8S_POD_NAME', 'web=1'],
  ],
  capabilityArgs: { ips: ['10.0.0.9'], mac: '0a:00:00:00:00:01' },
}

type More = Omit<Parameters<typeof configurationFor>[0], 'network' | 'plugin'>

const check = (plugin: object, more: More, want: object) => {
  const network = networkOf(plugin)
  const [config] = network.plugins
  if (config === undefined) throw new Error('no plugin')
  expect(configurationFor({ network, plugin: config, ...more })).toEqual({
    cniVersion: '1.1.0',
    name: 'net',
    type: 'one',
    ...want,
  })
}

test('point 124: name and version are those of the list, whatever the plugin says', () =>
  check({ type: 'one', name: 'other', cniVersion: '0.3.1' }, {}, {}))

test('points 125 and 127: what is declared and given becomes runtimeConfig', () => {
  const declared = { type: 'one', capabilities: { ips: true, mac: false, bandwidth: true } }
  check(declared, { attachment }, { runtimeConfig: { ips: ['10.0.0.9'] } })
  check({ type: 'one', capabilities: { bandwidth: true } }, { attachment }, {})
  check({ type: 'one' }, { attachment }, {})
})

test('points 20 and 128: the rest passes, but for what only a runtime may say', () =>
  check(
    {
      type: 'one',
      ipam: { type: 'host-local', x: null },
      args: { cni: { a: 1 } },
      runtimeConfig: { ips: [] },
      prevResult: {},
      'cni.dev/valid-attachments': [],
      'example.org/x': 1,
    },
    { attachment },
    {
      ipam: { type: 'host-local', x: null },
      args: { cni: { a: 1 } },
      'example.org/x': 1,
    },
  ))

test('point 126: prevResult is passed as it is', () => {
  const previous = { cniVersion: '1.1.0', ips: [], 'example.org/x': 1 }
  check({ type: 'one' }, { previous }, { prevResult: previous })
})

test('point 112 and X10: the list of a GC under both names, an empty one too', () => {
  const list = [{ containerID: 'c1', ifname: 'eth0' }]
  const both = { 'cni.dev/valid-attachments': list, 'cni.dev/attachments': list }
  check({ type: 'one' }, { valid: [{ containerId: 'c1', ifName: 'eth0' }] }, both)
  const none = { 'cni.dev/valid-attachments': [], 'cni.dev/attachments': [] }
  check({ type: 'one' }, { valid: [] }, none)
})

test('variables of an attachment', () =>
  expect(variablesFor('ADD', { attachment, pluginPath: ['/a', '/b'] })).toEqual({
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: '/run/netns/a',
    CNI_IFNAME: 'eth0',
    CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=web=1',
    CNI_PATH: '/a:/b',
  }))

test('points 33 and 113: without an attachment its variables are empty, not absent', () =>
  expect(variablesFor('GC', { pluginPath: ['/a'] })).toEqual({
    CNI_COMMAND: 'GC',
    CNI_CONTAINERID: '',
    CNI_NETNS: '',
    CNI_IFNAME: '',
    CNI_ARGS: '',
    CNI_PATH: '/a',
  }))

test('point 34: VERSION has placeholders for ancient plugins', () =>
  expect(variablesFor('VERSION', { pluginPath: [] })).toMatchObject({
    CNI_NETNS: 'dummy',
    CNI_IFNAME: 'dummy',
    CNI_PATH: 'dummy',
  }))

test.each<[string, 'ADD' | 'DEL' | 'CHECK', Partial<Attachment>, string | undefined]>([
  ['all is well', 'ADD', {}, undefined],
  ['the namespace is gone', 'DEL', { netns: '' }, undefined],
  ['the namespace is missing', 'CHECK', { netns: '' }, '4 CHECK needs a network namespace'],
  [
    'two mistakes',
    'ADD',
    { containerId: '../c', ifName: 'a:b' },
    '4 container id "../c": it must begin with a letter or digit and hold only letters, digits, "_", "." and "-"; interface name "a:b": it must not hold "/", ":" or white space',
  ],
  [
    'an argument that would become two',
    'ADD',
    { args: [['A', '1;B=2']] },
    '4 argument ["A","1;B=2"]: no ";", and no "=" in its key',
  ],
])('point 68: %s', (...[, command, changes, want]) => {
  const problem = attachmentProblem(command, { ...attachment, ...changes })
  expect(problem && `${problem.code} ${problem.message}`).toBe(want)
})
