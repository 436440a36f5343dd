import { expect, test } from 'vitest'
import type { Parsed } from '../spec/failure.ts'
import { readResult, readSilence, readVersions } from './answer.ts'
import type { Ended } from './exec.ts'

const end = (changes: Partial<Ended>): Ended => ({
  code: 0,
  signal: '',
  stdout: '',
  stderr: '',
  ...changes,
})

const render = (outcome: Parsed<unknown>): string =>
  outcome.kind === 'failed'
    ? `${outcome.code} ${outcome.message}${outcome.details === '' ? '' : ` (${outcome.details})`}`
    : (JSON.stringify(outcome.value) ?? 'nothing')

test.each<[string, string, string, string]>([
  ['139: a result without a version', '{"ips":[]}', '1.0.0', '{"ips":[],"cniVersion":"1.0.0"}'],
  [
    '145: one of another version is converted',
    '{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.0.0.5/24"}]}',
    '1.0.0',
    '{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.5/24"}]}',
  ],
  [
    'keys of others stay',
    '{"cniVersion":"1.0.0","example.org/x":1}',
    '1.0.0',
    '{"cniVersion":"1.0.0","example.org/x":1}',
  ],
  [
    '5: a version newer than all we know',
    '{"cniVersion":"1.9.0","ips":[]}',
    '1.9.0',
    '{"cniVersion":"1.9.0","ips":[]}',
  ],
  [
    'an ancient result',
    '{"ip4":{"ip":"10.0.0.5/24"}}',
    '0.2.0',
    '{"ip4":{"ip":"10.0.0.5/24"},"cniVersion":"0.2.0"}',
  ],
  ['42: nothing', '', '1.0.0', '6 the result on stdout cannot be read as JSON: it is empty'],
  ['something else', '{"ips":5}', '1.0.0', '6 ips of a CNI result is 5; it must be a list'],
])('point %s', (...[, stdout, version, want]) =>
  expect(render(readResult(end({ stdout }), version))).toBe(want),
)

test.each<[string, Partial<Ended>, string]>([
  ['39: success', {}, 'nothing'],
  ['39: chatter is no failure', { stdout: 'done', stderr: 'warning' }, 'nothing'],
  [
    '43: an error object',
    { code: 1, stdout: '{"cniVersion":"1.0.0","code":11,"msg":"later","details":"in 5 s"}' },
    '11 later (in 5 s)',
  ],
  ['X2: without cniVersion', { code: 1, stdout: '{"code":999,"msg":"x"}' }, '999 x'],
  ['without a code', { code: 3, stdout: '{"msg":"x"}' }, '111 x'],
  [
    '55: stderr when stdout is empty',
    { code: 2, stderr: 'panic\n' },
    '111 ended with exit code 2 and said: panic',
  ],
  [
    '55: what cannot be read is wrapped',
    { code: 1, stdout: 'no network', stderr: 'noise' },
    '111 ended with exit code 1 and said: no network',
  ],
  ['nothing at all', { code: 1 }, '111 ended with exit code 1 and said nothing'],
  ['a signal', { code: undefined, signal: 'SIGSEGV' }, '111 was ended by SIGSEGV and said nothing'],
])('point %s', (_, changes, want) => expect(render(readSilence(end(changes)))).toBe(want))

test.each<[string, Partial<Ended>, string]>([
  [
    '107: both keys',
    { stdout: '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}' },
    '["0.4.0","1.0.0"]',
  ],
  ['107: the first of all answers', { stdout: '{"cniVersion":"0.2.0"}' }, '["0.1.0","0.2.0"]'],
  [
    '107: no list',
    { stdout: '{"cniVersion":"1.0.0"}' },
    '6 the answer to VERSION lacks supportedVersions',
  ],
  [
    '107: no version',
    { stdout: '{"supportedVersions":["1.0.0"]}' },
    '6 the answer to VERSION lacks cniVersion or supportedVersions',
  ],
  [
    '108: VERSION is unknown',
    { code: 1, stdout: '{"code":4,"msg":"unknown CNI_COMMAND: VERSION"}' },
    '["0.1.0"]',
  ],
  [
    '108: with the code of the first libraries',
    { code: 1, stdout: '{"code":100,"msg":"unknown CNI_COMMAND: VERSION"}' },
    '["0.1.0"]',
  ],
  ['another failure', { code: 1, stdout: '{"code":5,"msg":"x"}' }, '5 x'],
])('point %s', (_, changes, want) => expect(render(readVersions(end(changes)))).toBe(want))
