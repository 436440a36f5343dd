import { expect, test } from 'vitest'
import { parseNetwork, parsePluginFile, parseSingle } from './network.ts'

const base = { cniVersion: '1.0.0', name: 'net', plugins: [{ type: 'one' }] }

const check = (changes: object, want: string | object) => {
  const outcome = parseNetwork(JSON.stringify({ ...base, ...changes }), 'FILE')
  if (outcome.kind === 'failed') expect(`${outcome.code} ${outcome.message}`).toBe(want)
  else expect(outcome.value).toMatchObject(typeof want === 'string' ? { error: want } : want)
}

test('a list is read as it is written', () =>
  check(
    { plugins: [{ type: 'one', capabilities: { ips: true, mac: false }, 'x.y/z': [1] }] },
    {
      name: 'net',
      cniVersion: '1.0.0',
      disableCheck: false,
      disableGc: false,
      loadOnlyInlinedPlugins: false,
      plugins: [{ type: 'one', capabilities: ['ips'], raw: { 'x.y/z': [1] } }],
    },
  ))

test.each<[string, object, string | object]>([
  ['2: versions', { cniVersions: ['0.4.0', '1.1.0'] }, { cniVersion: '1.1.0' }],
  ['6: unknown keys', { future: { a: 1 } }, { name: 'net' }],
  ['9: disableCheck', { disableCheck: true }, { disableCheck: true }],
  ['11: a text', { disableGC: 'TRUE', disableCheck: 'false' }, { disableGc: true }],
  ['12: no plugins yet', { plugins: undefined }, { plugins: [] }],
  ['24: nothing else', {}, { cniVersions: ['1.0.0'] }],
])('point %s', (_, changes, want) => check(changes, want))

const rule =
  'it must be a network name: it must begin with a letter or digit and hold only letters, digits, "_", "." and "-"'

test.each<[string, object, string]>([
  [
    '7: no name',
    { name: undefined },
    `7 FILE: name is missing in the network configuration; ${rule}`,
  ],
  ['7: a path', { name: '../x' }, `7 FILE: name is "../x" in the network configuration; ${rule}`],
  [
    '11: a number',
    { disableCheck: 1 },
    '7 FILE: disableCheck is 1 in the network configuration; it must be true or false',
  ],
  [
    '15: alone without plugins',
    { loadOnlyInlinedPlugins: true, plugins: undefined },
    '7 FILE: plugins is missing in the network configuration; it must be a list of at least one plugin object',
  ],
  [
    '16: empty',
    { plugins: [] },
    '7 FILE: plugins is [] in the network configuration; it must be a list of at least one plugin object',
  ],
  [
    '16: no list',
    { plugins: { type: 'one' } },
    '7 FILE: plugins is {"type":"one"} in the network configuration; it must be a list of at least one plugin object',
  ],
  [
    '18: no type',
    { plugins: [{ type: 'one' }, {}] },
    '7 FILE: plugins[1]: type is missing in the network configuration; it must be the file name of a plugin in CNI_PATH',
  ],
  [
    '18: a path',
    { plugins: [{ type: '../../bin/sh' }] },
    '7 FILE: plugins[0]: type is "../../bin/sh" in the network configuration; it must be the file name of a plugin in CNI_PATH',
  ],
  [
    '125: capabilities',
    { plugins: [{ type: 'one', capabilities: { ips: 'yes' } }] },
    '7 FILE: plugins[0]: capabilities is {"ips":"yes"} in the network configuration; it must be an object of true and false',
  ],
])('point %s fails', (_, changes, want) => check(changes, want))

test('point 23: a single plugin becomes a list of one', () => {
  const text = JSON.stringify({ cniVersion: '0.4.0', name: 'net', type: 'one', x: 1 })
  expect(parseSingle(text, 'FILE')).toMatchObject({
    value: { name: 'net', cniVersion: '0.4.0', plugins: [{ type: 'one', raw: { x: 1 } }] },
  })
  expect(parseSingle('{', 'FILE')).toMatchObject({ code: 6 })
})

test('a file of one plugin', () => {
  expect(parsePluginFile('{"type":"two"}', 'FILE')).toMatchObject({ value: { type: 'two' } })
  expect(parsePluginFile('[]', 'FILE')).toMatchObject({
    code: 6,
    message: 'FILE must hold one JSON object, not []',
  })
})
