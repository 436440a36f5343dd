// The library as its users see it: by its public name, with a plugin that only remembers.

import { ip, answerCall, codes, done, failed, noDns, parsed, versions } from 'eniway/cni'
import type { Plugin, PluginCall, Result } from 'eniway/cni'
import { beforeEach, expect, test } from 'vitest'

let calls: string[] = []

beforeEach(() => {
  calls = []
})

const result: Result = {
  interfaces: [],
  ips: [{ address: ip('10.0.0.5'), prefixLength: 24 }],
  routes: [],
  dns: noDns,
}

const note = ({ command, environment, previous }: PluginCall, more = '') => {
  const behind = previous === undefined ? '' : ' behind another'
  calls.push(`${command} ${environment.containerId}${behind}${more}`)
  return done
}

const remembering: Plugin = {
  versions,
  add: call => {
    note(call)
    return parsed(call.previous ?? result)
  },
  del: call => note(call),
  check: call => note(call),
  gc: (call, valid) => note(call, ` ${JSON.stringify(valid)}`),
  status: call => note(call),
}

type Given = { readonly stdin?: string | object; readonly plugin?: Partial<Plugin> }

// Exit code, stdout with errors as `code message`, then the calls of the plugin.
const check = async (command: string, given: Given, want: readonly string[]) => {
  const { stdin = {}, plugin = {} } = given
  const text =
    typeof stdin === 'string' ? stdin : JSON.stringify({ cniVersion: '1.1.0', name: 'n', ...stdin })
  const environment = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: 'c1',
    CNI_NETNS: '/run/netns/a',
    CNI_IFNAME: 'eth0',
    CNI_PATH: '/opt/cni/bin',
  }
  const reply = await answerCall({ environment, stdin: text }, { ...remembering, ...plugin })
  const error = reply.exitCode === 0 ? undefined : JSON.parse(reply.stdout)
  const said = error === undefined ? reply.stdout.trim() : `${error.code} ${error.msg}`
  expect([`${reply.exitCode} ${said}`, ...calls]).toEqual(want)
}

const before = { prevResult: { cniVersion: '1.1.0', ips: [{ address: '10.0.0.9/24' }] } }

test('points 42 and 139: an ADD prints one result in the version asked for', () =>
  check('ADD', { stdin: { cniVersion: '0.2.0' } }, [
    '0 {"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.5/24"},"dns":{}}',
    'ADD c1',
  ]))

test('points 60 and 144: a chained ADD passes the previous result through', () =>
  check('ADD', { stdin: before }, [
    '0 {"cniVersion":"1.1.0","ips":[{"address":"10.0.0.9/24"}]}',
    'ADD c1 behind another',
  ]))

test('points 67 and 148: an ADD whose result cannot be written is undone', () =>
  check(
    'ADD',
    {
      stdin: { cniVersion: '0.1.0' },
      plugin: { add: () => parsed({ ...result, ips: [] }) },
    },
    [
      '1 1 a result without an address cannot be written in CNI 0.1.0; use 0.3.0 or newer',
      'DEL c1',
    ],
  ))

test('points 73 to 75: a DEL succeeds without prevResult and with one that cannot be read', async () => {
  await check('DEL', {}, ['0 ', 'DEL c1'])
  await check('DEL', { stdin: { prevResult: 7 } }, ['0 ', 'DEL c1', 'DEL c1'])
})

test('point 85: a CHECK needs prevResult', async () => {
  await check('CHECK', { stdin: before }, ['0 ', 'CHECK c1 behind another'])
  calls = []
  await check('CHECK', {}, [
    '1 7 prevResult is missing in the network configuration; CHECK compares with the result of ADD',
  ])
})

test('point 122: GC without a list collects nothing, with an empty one everything', async () => {
  await check('GC', {}, ['0 '])
  await check('GC', { stdin: { 'cni.dev/valid-attachments': [] } }, ['0 ', 'GC  []'])
})

test('points 99 and 101: STATUS is silent or fails with its code', async () => {
  await check('STATUS', {}, ['0 ', 'STATUS '])
  calls = []
  const status = () => failed(codes.notAvailable, 'no address is left')
  await check('STATUS', { plugin: { status } }, ['1 50 no address is left'])
})

test.each([
  ['CHECK', '0.3.1', '0.4.0'],
  ['GC', '1.0.0', '1.1.0'],
  ['STATUS', '1.0.0', '1.1.0'],
])('points 84, 98, 111: %s with a configuration of %s', (command, cniVersion, least) =>
  check(command, { stdin: { cniVersion } }, [
    `1 1 cniVersion "${cniVersion}" of the configuration does not know ${command}, which exists from ${least} on`,
  ]),
)

test('points 34 and 107: VERSION needs no configuration and echoes a readable version', async () => {
  const supported = JSON.stringify(versions)
  const echo = (version: string) => `0 {"cniVersion":"${version}","supportedVersions":${supported}}`
  await check('VERSION', { stdin: '' }, [echo('1.1.0')])
  await check('VERSION', { stdin: '{"cniVersion":"0.4.0"}' }, [echo('0.4.0')])
})

test('a plugin answers within what it supports', () =>
  check('ADD', { stdin: { cniVersion: '0.4.0' }, plugin: { versions: ['1.0.0'] } }, [
    '1 1 cniVersion "0.4.0" of the configuration is not supported here',
  ]))

test('point 41: the configuration is judged before the command', async () => {
  await check('add', { stdin: { name: '../x' } }, [
    '1 7 name is "../x" in the network configuration; it must be a network name: it must begin with a letter or digit and hold only letters, digits, "_", "." and "-"',
  ])
  await check('add', {}, [
    '1 4 CNI_COMMAND "add" is not known; it must be one of ADD, DEL, CHECK, GC, STATUS, VERSION',
  ])
})

test('an exception is an error object too, and of STATUS no readiness', async () => {
  const boom = () => Promise.reject(new Error('boom'))
  await check('ADD', { plugin: { add: boom } }, ['1 100 ADD failed unexpectedly: boom'])
  await check('STATUS', { plugin: { status: boom } }, ['1 50 STATUS failed unexpectedly: boom'])
})
