import { afterEach, beforeEach, expect, test } from 'vitest'
import { fakePlugins, type FakePlugins } from './fake.ts'
import { loadNetwork } from './load.ts'

let place: FakePlugins

beforeEach(() => {
  place = fakePlugins()
})

afterEach(() => place.remove())

/** The types of the plugins, or code and sentence. */
const check = async (name: string, want: string) => {
  const outcome = await loadNetwork(place.conf, name)
  const shown =
    outcome.kind === 'failed'
      ? `${outcome.code} ${outcome.message}`
      : outcome.value.plugins.map(({ type }) => type).join(' ')
  expect(shown.replaceAll(place.conf, 'DIR')).toBe(want)
}

const list = (name: string, ...types: readonly string[]) => ({
  cniVersion: '1.0.0',
  name,
  plugins: types.map(type => ({ type })),
})

test('the first list of that name, in the order of the files’ names', async () => {
  place.write('20-b.conflist', list('net', 'late'))
  place.write('10-a.conflist', list('net', 'early'))
  place.write('05-x.conflist', list('other', 'x'))
  await check('net', 'early')
})

test('point 23: single files come after every list', async () => {
  place.write('00-single.conf', { cniVersion: '0.4.0', name: 'net', type: 'single' })
  place.write('01-single.json', { cniVersion: '0.4.0', name: 'alone', type: 'json' })
  place.write('02-nobody.conf', { type: 'loopback' })
  place.write('10-a.conflist', list('net', 'listed'))
  await check('net', 'listed')
  await check('alone', 'json')
})

test('points 12 and 13: plugins of the network’s folder follow, in name order', async () => {
  place.write('10-a.conflist', list('net', 'one'))
  place.write('net/30-c.conf', { type: 'three' })
  place.write('net/20-b.conf', { type: 'two' })
  place.write('net/notes.txt', 'not read')
  place.write('net/folder.conf/x', 'a folder is not read')
  await check('net', 'one two three')
})

test('point 14 and X6: unless the list says that it is alone', async () => {
  place.write('10-a.conflist', { ...list('net', 'one'), loadOnlyInlinedPlugins: 'True' })
  place.write('net/20-b.conf', '{')
  await check('net', 'one')
})

test('point 16: without any plugin it is no network', async () => {
  place.write('10-a.conflist', { cniVersion: '1.0.0', name: 'net' })
  await check(
    'net',
    '7 DIR/10-a.conflist: the network has no plugin; write "plugins", or .conf files into DIR/net',
  )
})

test('what cannot be read before it is found fails, with its place', async () => {
  place.write('10-a.conflist', { ...list('x', 'one'), name: 'a b' })
  place.write('20-b.conflist', list('net', 'one'))
  await check(
    'net',
    '7 DIR/10-a.conflist: name is "a b" in the network configuration; it must be a network name: it must begin with a letter or digit and hold only letters, digits, "_", "." and "-"',
  )
})

test('a network that is not there is told with those that are', async () => {
  await check('net', '7 there is no network "net" in DIR: it holds no network')
  place.write('10-a.conflist', list('a', 'one'))
  await check('net', '7 there is no network "net" in DIR: it holds a')
})
