import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { chosenVersion, conflist } from './conflist.ts'
import { installConflist, installExecutable, removeConflist, removeExecutable } from './install.ts'

let root = ''

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ew-install-'))
})

afterEach(() => rmSync(root, { recursive: true }))

test('the executable is installed, left alone, replaced and removed', async () => {
  const source = join(root, 'built')
  const binDirectory = join(root, 'opt', 'bin')
  const path = join(binDirectory, 'eniway')
  writeFileSync(source, 'one')
  const install = () => installExecutable({ source, binDirectory })
  expect(await install()).toEqual({ path, change: 'written' })
  chmodSync(path, 0o600)
  expect(await install()).toEqual({ path, change: 'unchanged' })
  expect(statSync(path).mode & 0o777).toBe(0o755)
  writeFileSync(source, 'two')
  expect(await install()).toEqual({ path, change: 'written' })
  expect(readFileSync(path, 'utf8')).toBe('two')
  expect(readdirSync(binDirectory)).toEqual(['eniway'])
  await removeExecutable(binDirectory)
  await removeExecutable(binDirectory)
  expect(readdirSync(binDirectory)).toEqual([])
})

test('the list is installed and removed', async () => {
  const configDirectory = join(root, 'net.d')
  const path = join(configDirectory, '10-eniway.conflist')
  const text = conflist()
  expect(await installConflist({ text, configDirectory })).toEqual({ path, change: 'written' })
  expect(await installConflist({ text, configDirectory })).toEqual({ path, change: 'unchanged' })
  expect(readFileSync(path, 'utf8')).toBe(text)
  expect(statSync(path).mode & 0o777).toBe(0o644)
  await removeConflist(configDirectory)
  await removeConflist(configDirectory)
  expect(readdirSync(configDirectory)).toEqual([])
})

test('errors name the path, the reason and what to do', async () => {
  const file = join(root, 'file')
  writeFileSync(file, '')
  await expect(
    installExecutable({ source: join(root, 'none'), binDirectory: root }),
  ).rejects.toThrow(
    /^cannot read the CNI executable .*none: ENOENT.*; check the directory and its permissions$/,
  )
  await expect(installConflist({ text: '', configDirectory: file })).rejects.toThrow(
    /^cannot install .*file\/10-eniway\.conflist: .*; check the directory and its permissions$/,
  )
})

test('the list that every runtime can use', () =>
  expect(JSON.parse(conflist())).toEqual({
    cniVersion: '1.0.0',
    cniVersions: ['0.4.0', '1.0.0', '1.1.0'],
    name: 'eniway',
    plugins: [{ type: 'eniway', socket: '/run/eniway/cni.sock' }],
  }))

test.each([
  ['auto', '1.0.0', ['0.4.0', '1.0.0', '1.1.0']],
  ['0.4.0', '0.4.0', ['0.4.0']],
  ['1.1.0', '1.1.0', ['1.1.0']],
] as const)('version %s of the list', (choice, cniVersion, cniVersions) =>
  expect(JSON.parse(conflist(chosenVersion(choice)))).toMatchObject({ cniVersion, cniVersions }),
)

test('the list takes other versions, our keys and plugins behind ours', () =>
  expect(
    JSON.parse(
      conflist({
        cniVersion: '1.1.0',
        cniVersions: ['1.1.0', '1.0.0'],
        name: 'pods',
        socket: '/run/x.sock',
        timeoutSeconds: 30,
        pool: 'gpu',
        capabilities: { 'io.kubernetes.cri.pod-annotations': true },
        chained: [{ type: 'portmap', capabilities: { portMappings: true } }],
      }),
    ),
  ).toEqual({
    cniVersion: '1.1.0',
    cniVersions: ['1.0.0', '1.1.0'],
    name: 'pods',
    plugins: [
      {
        type: 'eniway',
        socket: '/run/x.sock',
        timeoutSeconds: 30,
        pool: 'gpu',
        capabilities: { 'io.kubernetes.cri.pod-annotations': true },
      },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  }))
