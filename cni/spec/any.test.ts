// The library under input of any kind: every text has an answer, never an exception, and what the
// encoder writes is what the decoder reads.

import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { cidr, ip } from '#core/ip.ts'
import { failureReply, readCall, versionReply } from './call.ts'
import { parseConfig, parseHead, parseValidAttachments } from './config.ts'
import { decodeResult, previousResult } from './decode.ts'
import { encodeResult } from './encode.ts'
import { parseEnvironment } from './environment.ts'
import { failed } from './failure.ts'
import { parseObject, show, type JsonObject } from './json.ts'
import type { Result } from './result.ts'
import { isAtLeast, versions } from './versions.ts'

const someVersion = fc.constantFrom(...versions)
const word = fc.stringMatching(/^[a-z0-9:./-]{1,12}$/)
const number = fc.integer({ min: 1, max: 2 ** 31 - 1 })

// An absent key, never one that is undefined.
const optional = <T extends object>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(shape, { requiredKeys: [] }) as fc.Arbitrary<Partial<T>>

const address4 = fc.ipV4().map(text => ({ address: ip(text), prefixLength: 32 }))
const address6 = fc
  .integer({ min: 1, max: 0xffff })
  .map(last => ({ address: ip(`fd00::${last.toString(16)}`), prefixLength: 64 }))
const gateways = optional<{ gateway: ReturnType<typeof ip> }>({
  gateway: fc.constantFrom(ip('169.254.1.1'), ip('fe80::1')),
})

const interfaces = fc
  .tuple(
    fc.record({ name: word, mac: fc.constantFrom('', '0a:58:a9:fe:01:01') }),
    optional({ mtu: number, sandbox: word, socketPath: word, pciId: word }),
  )
  .map(([own, more]) => ({ ...own, ...more }))
const ips = fc
  .tuple(fc.oneof(address4, address6), gateways, optional({ interface: fc.nat(3) }))
  .map(([own, gateway, more]) => ({ ...own, ...gateway, ...more }))
const routes = fc
  .tuple(
    fc.constantFrom(cidr('0.0.0.0/0'), cidr('10.0.0.0/8'), cidr('::/0'), cidr('fd00::/8')),
    gateways,
    optional({ mtu: number, advmss: number, priority: number, table: number, scope: fc.nat(254) }),
  )
  .map(([destination, gateway, more]) => ({ destination, ...gateway, ...more }))
const dns = fc.record({
  nameservers: fc.array(word, { maxLength: 3 }),
  domain: fc.oneof(fc.constant(''), word),
  search: fc.array(word, { maxLength: 3 }),
  options: fc.array(word, { maxLength: 3 }),
})
const results: fc.Arbitrary<Result> = fc.record({
  interfaces: fc.array(interfaces, { maxLength: 3 }),
  ips: fc.array(ips, { maxLength: 4 }),
  routes: fc.array(routes, { maxLength: 4 }),
  dns,
})

test('1.1.0 reads back any result it wrote, through its JSON text', () =>
  fc.assert(
    fc.property(results, result => {
      const written = encodeResult(result, '1.1.0')
      expect.assert(written.kind === 'parsed')
      const text = parseObject(JSON.stringify(written.value), 'the result')
      expect.assert(text.kind === 'parsed')
      expect(decodeResult(text.value, '0.3.0')).toEqual({ kind: 'parsed', value: result })
    }),
    { numRuns: 400 },
  ))

test('in any version a result that was read once stays what it is', () =>
  fc.assert(
    fc.property(results, someVersion, (result, version) => {
      const written = encodeResult(result, version)
      if (written.kind === 'failed') {
        expect(isAtLeast(version, '0.3.0') || result.ips.length > 0).toBe(false)
        return
      }
      const read = decodeResult(written.value, version)
      expect.assert(read.kind === 'parsed')
      expect(encodeResult(read.value, version)).toEqual(written)
    }),
    { numRuns: 400 },
  ))

// Objects whose keys mean something, with values that may be anything.
const keys = fc.constantFrom(
  'cniVersion',
  'name',
  'type',
  'dns',
  'runtimeConfig',
  'prevResult',
  'ips',
  'routes',
  'interfaces',
  'ip4',
  'ip6',
  'address',
  'gateway',
  'gw',
  'dst',
  'cni.dev/attachments',
  'cni.dev/valid-attachments',
  'containerID',
  'ifname',
  '__proto__',
  'toString',
)
const leaf = fc.oneof(
  fc.constantFrom<unknown>('1.0.0', '0.2.0', '1.1.0', '10.0.0.1/24', '::1/128', 'net', null, -1),
  fc.jsonValue(),
)
const near = fc.letrec<{ value: unknown; object: JsonObject }>(tie => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    tie('object'),
    fc.array(tie('value'), { maxLength: 3 }),
  ),
  object: fc.dictionary(keys, tie('value'), { maxKeys: 6 }),
})).object
const texts = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.json(),
  near.map(value => JSON.stringify(value)),
  fc.constantFrom('['.repeat(9000), `{"name":${'['.repeat(9000)}${']'.repeat(9000)}}`),
)

// A failure that a person can read, whatever was given.
const checkAnswer = (answer: { readonly kind: string; readonly message?: string }) => {
  if (answer.kind === 'failed') expect(answer.message).toMatch(/^\S[^]{9,2000}$/)
}

test('a result of any shape is read or refused', () =>
  fc.assert(
    fc.property(near, someVersion, (value, version) => checkAnswer(decodeResult(value, version))),
    { numRuns: 500 },
  ))

test('a configuration of any text is read or refused', () =>
  fc.assert(
    fc.property(texts, someVersion, (text, version) => {
      const head = parseHead(text)
      checkAnswer(head)
      if (head.kind === 'failed') return
      checkAnswer(parseValidAttachments(head.value.raw))
      const config = parseConfig(head.value, version)
      checkAnswer(config)
      if (config.kind === 'parsed') checkAnswer(previousResult(config.value))
    }),
    { numRuns: 500 },
  ))

const variables = fc.dictionary(
  fc.constantFrom(
    'CNI_COMMAND',
    'CNI_CONTAINERID',
    'CNI_NETNS',
    'CNI_IFNAME',
    'CNI_ARGS',
    'CNI_PATH',
  ),
  fc.oneof(
    fc.constantFrom('ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION', 'c1', 'eth0', 'A=1;B=2'),
    fc.string({ unit: 'binary' }),
  ),
)

test('a call of any variables and text is taken or refused, in JSON', () =>
  fc.assert(
    fc.property(variables, texts, (environment, stdin) => {
      checkAnswer(parseEnvironment(environment))
      const read = readCall({ environment, stdin }, versions)
      checkAnswer(read)
      const failure = read.kind === 'failed' ? read : failed(100, 'no')
      const said: unknown = JSON.parse(failureReply(failure, stdin).stdout)
      expect(said).toMatchObject({ code: failure.code, msg: failure.message })
      const answer: unknown = JSON.parse(versionReply(stdin, versions))
      expect(answer).toMatchObject({ supportedVersions: versions })
    }),
    { numRuns: 500 },
  ))

test('500 levels are read, one more is not', () => {
  const nested = (levels: number) => `{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`
  const most = parseObject(nested(500), 'it')
  expect.assert(most.kind === 'parsed')
  expect(show(most.value)).toHaveLength(80)
  expect(parseObject(nested(501), 'it')).toMatchObject({
    code: 6,
    message: 'it is nested more than 500 levels deep',
  })
})
