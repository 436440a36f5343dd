import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseArguments } from './arguments.ts'
import {
  answerVersion,
  parseConfig,
  parseHead,
  parseValidAttachments,
  requireVersion,
} from './config.ts'
import { parseEnvironment, type Variables } from './environment.ts'
import { errorObject, failed, type Parsed } from './failure.ts'
import { ifNameProblem, isName } from './names.ts'
import { isAtLeast, parseVersion, versions } from './versions.ts'

// One line: what was read, or the code and the sentence.
const render = (outcome: Parsed<unknown>): string =>
  outcome.kind === 'failed'
    ? `${outcome.code} ${outcome.message}`
    : JSON.stringify(outcome.value, (_, value: unknown) =>
        value instanceof Map ? Object.fromEntries(value) : value,
      )

test.each<[string, string]>([
  ['1.1.0', '1,1,0'],
  ['1', '1,0,0'],
  ['0.4', '0,4,0'],
  ['', '0,1,0'],
  ['1.2.3.4', 'no'],
  ['1.0.0-rc1', 'no'],
  ['v1.0.0', 'no'],
  ['1..0', 'no'],
  [' 1.0.0', 'no'],
])('version text "%s" reads as %s', (text, want) =>
  expect(String(parseVersion(text) ?? 'no')).toBe(want),
)

test('versions are ordered oldest first', () => {
  expect(versions.filter(version => isAtLeast(version, '0.4.0'))).toEqual([
    '0.4.0',
    '1.0.0',
    '1.1.0',
  ])
})

test.each<[string, boolean]>([
  ['a', true],
  ['0abc', true],
  ['a_b.c-D9', true],
  ['', false],
  ['-a', false],
  ['.a', false],
  ['_a', false],
  ['a/b', false],
  ['a b', false],
  ['ä', false],
  ['a\n', false],
])('name "%s" usable: %s', (text, want) => expect(isName(text)).toBe(want))

test.each<[string, boolean]>([
  ['eth0', true],
  ['e', true],
  ['123456789012345', true],
  ['1234567890123456', false],
  // Bytes count, not characters.
  ['äääääääa', true],
  ['ääääääää', false],
  ['', false],
  ['.', false],
  ['..', false],
  ['...', true],
  ['a/b', false],
  ['a:b', false],
  ['a b', false],
  ['a\tb', false],
  ['eth%d', false],
])('interface name "%s" usable: %s', (text, want) =>
  expect(ifNameProblem(text) === undefined).toBe(want),
)

const attachment = { CNI_CONTAINERID: 'c1', CNI_NETNS: '/run/netns/a', CNI_IFNAME: 'eth0' }

const environment = (variables: Variables, want: string) =>
  expect(render(parseEnvironment(variables))).toBe(want)

const read = (command: string, more: object = {}) =>
  JSON.stringify({
    command,
    containerId: 'c1',
    ifName: 'eth0',
    netns: '/run/netns/a',
    args: {},
    allowsOwnNetns: false,
    ...more,
  })

const bare = (command: string) =>
  `{"containerId":"","netns":"","ifName":"","args":{},"allowsOwnNetns":false,"command":"${command}"}`

test('a complete environment is read', () => {
  environment({ ...attachment, CNI_COMMAND: 'ADD' }, read('ADD'))
  environment(
    { ...attachment, CNI_COMMAND: 'CHECK', CNI_ARGS: 'A=1' },
    read('CHECK', { args: { A: '1' } }),
  )
  environment({ ...attachment, CNI_COMMAND: 'DEL', CNI_NETNS: '' }, read('DEL', { netns: '' }))
  environment(
    { ...attachment, CNI_COMMAND: 'ADD', CNI_NETNS_OVERRIDE: 'TRUE' },
    read('ADD', { allowsOwnNetns: true }),
  )
})

test('verbs without an attachment ignore its variables, be they empty or bad', () => {
  environment({ CNI_COMMAND: 'STATUS', CNI_CONTAINERID: '', CNI_IFNAME: '' }, bare('STATUS'))
  environment({ CNI_COMMAND: 'GC', CNI_PATH: '/opt/cni/bin', CNI_IFNAME: '/' }, bare('GC'))
  environment({ CNI_COMMAND: 'VERSION', CNI_ARGS: 'dummy' }, bare('VERSION'))
})

test('an unknown command is left to the caller, which has to look at the configuration first', () =>
  environment({ CNI_COMMAND: 'add' }, bare('add')))

test('all missing variables are named at once', () => {
  environment({}, '4 missing environment variable: CNI_COMMAND; the runtime must set it')
  environment(
    { CNI_COMMAND: 'ADD' },
    '4 missing environment variables for ADD: CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME; the runtime must set them',
  )
  environment(
    { CNI_COMMAND: 'DEL', CNI_CONTAINERID: '', CNI_IFNAME: 'eth0' },
    '4 missing environment variable for DEL: CNI_CONTAINERID; the runtime must set it',
  )
  environment(
    { CNI_COMMAND: 'GC' },
    '4 missing environment variable for GC: CNI_PATH; the runtime must set it',
  )
})

test('all unusable values are named at once', () =>
  environment(
    { ...attachment, CNI_COMMAND: 'ADD', CNI_CONTAINERID: '../x', CNI_IFNAME: 'a:b' },
    '4 CNI_CONTAINERID "../x" is not usable: it must begin with a letter or digit and hold only letters, digits, "_", "." and "-"; CNI_IFNAME "a:b" is not usable: it must not hold "/", ":" or white space',
  ))

test('bad CNI_ARGS fail an ADD but not a DEL', () => {
  const bad = { ...attachment, CNI_ARGS: 'IgnoreUnknown' }
  environment(
    { ...bad, CNI_COMMAND: 'ADD' },
    '4 CNI_ARGS holds "IgnoreUnknown", which is not KEY=VALUE; join such pairs with ";"',
  )
  environment({ ...bad, CNI_COMMAND: 'DEL' }, read('DEL'))
})

test.each<[string, string]>([
  ['', '{}'],
  ['A=1;B=2', '{"A":"1","B":"2"}'],
  ['A=1;', '{"A":"1"}'],
  ['A=1;;B=2', '{"A":"1","B":"2"}'],
  ['A=b=c', '{"A":"b=c"}'],
  ['A=', '{"A":""}'],
  ['A=1;A=2', '{"A":"2"}'],
  ['=1', '4 CNI_ARGS holds "=1", which is not KEY=VALUE; join such pairs with ";"'],
])('CNI_ARGS "%s"', (text, want) => expect(render(parseArguments(text))).toBe(want))

test('CNI_ARGS reads back whatever pairs were joined, in any order', () => {
  const key = fc.stringMatching(/^[A-Z][A-Z0-9_]{0,20}$/)
  const value = fc.string().filter(text => !text.includes(';'))
  fc.assert(
    fc.property(fc.dictionary(key, value), pairs => {
      const joined = Object.entries(pairs).map(([name, text]) => `${name}=${text}`)
      expect(render(parseArguments(joined.join(';')))).toBe(JSON.stringify({ ...pairs }))
    }),
  )
})

test('CNI_ARGS of any text is an answer, never an exception', () =>
  fc.assert(
    fc.property(fc.string(), text => {
      expect(['parsed', 'failed']).toContain(parseArguments(text).kind)
    }),
  ))

const head = (text: string, want: string) => {
  const outcome = parseHead(text)
  expect(
    outcome.kind === 'failed'
      ? render(outcome)
      : `${outcome.value.cniVersion} ${outcome.value.name}`,
  ).toBe(want)
}

test('the head of a configuration', () => {
  head('{"cniVersion":"1.0.0","name":"n"}', '1.0.0 n')
  head('{"name":"n","unknown":[1]}', '0.1.0 n')
  head('{"cniVersion":"1.0","name":"n"}', '1.0 n')
  head('', '6 the network configuration on stdin cannot be read as JSON: it is empty')
  head('[1]', '6 the network configuration on stdin must hold one JSON object, not [1]')
  head('null', '6 the network configuration on stdin must hold one JSON object, not null')
  head(
    '{"cniVersion":1,"name":"n"}',
    '6 cniVersion 1 cannot be read; write a version such as "1.1.0"',
  )
  head(
    '{"cniVersion":"one","name":"n"}',
    '6 cniVersion "one" cannot be read; write a version such as "1.1.0"',
  )
  const rule =
    'it must be a network name: it must begin with a letter or digit and hold only letters, digits, "_", "." and "-"'
  head('{"cniVersion":"1.0.0"}', `7 name is missing in the network configuration; ${rule}`)
  head('{"name":"a/b"}', `7 name is "a/b" in the network configuration; ${rule}`)
  head('{"name":5}', `7 name is 5 in the network configuration; ${rule}`)
})

test('garbage is refused with what the parser says', () =>
  expect(render(parseHead('{"name":'))).toMatch(
    /^6 the network configuration on stdin cannot be read as JSON: ./,
  ))

test('versions match by exact text, and a mismatch shows both sides', () => {
  expect(render(requireVersion('0.3.1', versions))).toBe('"0.3.1"')
  expect(requireVersion('1.0', ['1.0.0', '1.1.0'])).toEqual({
    kind: 'failed',
    code: 1,
    message: 'cniVersion "1.0" of the configuration is not supported here',
    details: 'config is "1.0", plugin supports ["1.0.0","1.1.0"]',
  })
})

test.each<[string, string]>([
  ['{"cniVersion":"0.3.1"}', '0.3.1'],
  ['{}', '0.1.0'],
  ['{"cniVersion":"9.9.9"}', '1.1.0'],
  ['{"cniVersion":7}', '1.1.0'],
  ['garbage', '1.1.0'],
])('%s is answered in %s', (text, want) => expect(answerVersion(text)).toBe(want))

const config = (keys: object): string => {
  const outcome = parseConfig({ raw: { ...keys }, cniVersion: '1.0.0', name: 'n' }, '1.0.0')
  if (outcome.kind === 'failed') return render(outcome)
  const { runtimeConfig, dns, prevResult } = outcome.value
  return JSON.stringify({ runtimeConfig, dns, prevResult })
}

test('keys every plugin shares', () => {
  expect(config({})).toBe(
    '{"runtimeConfig":{},"dns":{"nameservers":[],"domain":"","search":[],"options":[]}}',
  )
  expect(config({ dns: { nameservers: ['10.0.0.2'], search: null }, prevResult: null })).toBe(
    '{"runtimeConfig":{},"dns":{"nameservers":["10.0.0.2"],"domain":"","search":[],"options":[]}}',
  )
  expect(config({ runtimeConfig: 'x' })).toBe(
    '7 runtimeConfig is "x" in the network configuration; it must be an object',
  )
  expect(config({ dns: { options: [1] } })).toBe(
    '7 dns is {"options":[1]} in the network configuration; it must be an object whose lists hold strings',
  )
})

const gcList = (raw: object) => render(parseValidAttachments({ ...raw }))

test('the GC list: absent is not empty, both names are read, the new one first', () => {
  const one = [{ containerID: 'c', ifname: 'eth0' }]
  const two = [{ containerID: 'd', ifname: 'net1' }]
  expect(parseValidAttachments({})).toEqual({ kind: 'parsed', value: undefined })
  expect(parseValidAttachments({ 'cni.dev/valid-attachments': null })).toEqual({
    kind: 'parsed',
    value: undefined,
  })
  expect(gcList({ 'cni.dev/valid-attachments': [] })).toBe('[]')
  expect(gcList({ 'cni.dev/attachments': one })).toBe('[{"containerId":"c","ifName":"eth0"}]')
  expect(gcList({ 'cni.dev/valid-attachments': two, 'cni.dev/attachments': one })).toBe(
    '[{"containerId":"d","ifName":"net1"}]',
  )
  expect(gcList({ 'cni.dev/valid-attachments': [{ containerID: 'c' }] })).toBe(
    '7 cni.dev/valid-attachments is [{"containerID":"c"}] in the network configuration; it must be a list of objects with the strings containerID and ifname',
  )
})

test('an error object carries the version and leaves empty details out', () => {
  expect(errorObject(failed(11, 'later', 'in 5 s'), '1.0.0')).toEqual({
    cniVersion: '1.0.0',
    code: 11,
    msg: 'later',
    details: 'in 5 s',
  })
  expect(errorObject(failed(7, 'bad'), '0.4.0')).toEqual({
    cniVersion: '0.4.0',
    code: 7,
    msg: 'bad',
  })
})
