import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { serve } from './http.ts'

let directory: string
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'eniway-http-'))))
afterEach(() => rmSync(directory, { recursive: true }))

const get = (where: { socketPath: string } | { port: number }) =>
  new Promise<string>((resolve, reject) => {
    request({ ...where, agent: false, path: '/' }, response => {
      response.setEncoding('utf8').once('data', resolve).once('error', reject)
    })
      .once('error', reject)
      .end()
  })

test('serves on loopback, on a port of the kernel’s choice', async () => {
  const server = await serve({ kind: 'loopback', port: 0 }, (_, response) => response.end('hello'))
  expect(await get({ port: server.port })).toBe('hello')
  await server.close(1000)
})

test('a unix socket is for its owner only', async () => {
  const path = join(directory, 's')
  const server = await serve({ kind: 'unix', path }, (_, response) => response.end('hello'))
  expect(await get({ socketPath: path })).toBe('hello')
  expect(statSync(path).mode & 0o777).toBe(0o600)
  await server.close(1000)
})

test('a socket left by a killed process is replaced', async () => {
  const path = join(directory, 's')
  const script = `require('net').createServer().listen(${JSON.stringify(path)},
    () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', script])
  expect(statSync(path).isSocket()).toBe(true)
  const server = await serve({ kind: 'unix', path }, (_, response) => response.end('hello'))
  expect(await get({ socketPath: path })).toBe('hello')
  await server.close(1000)
})

test('a living socket and a file in the way are errors that name the path', async () => {
  const path = join(directory, 's')
  const server = await serve({ kind: 'unix', path }, (_, response) => response.end('first'))
  await expect(serve({ kind: 'unix', path }, () => {})).rejects.toThrow(`cannot listen on ${path}`)
  expect(await get({ socketPath: path })).toBe('first')
  await server.close(1000)
  writeFileSync(path, 'a file')
  await expect(serve({ kind: 'unix', path }, () => {})).rejects.toThrow(`cannot listen on ${path}`)
})

test('closing lets a request finish and cuts one that never does', async () => {
  const arrived = Promise.withResolvers<() => void>()
  const server = await serve({ kind: 'loopback', port: 0 }, (_, response) =>
    arrived.resolve(() => response.end('late')),
  )
  const reply = get({ port: server.port })
  const finish = await arrived.promise
  const closed = server.close(60_000)
  finish()
  expect(await reply).toBe('late')
  await closed

  const begun = Promise.withResolvers<void>()
  const stuck = await serve({ kind: 'loopback', port: 0 }, () => begun.resolve())
  const never = get({ port: stuck.port })
  const refused = expect(never).rejects.toThrow()
  await begun.promise
  await stuck.close(0)
  await refused
})

test('what is no HTTP is told so in one sentence', async () => {
  const server = await serve({ kind: 'loopback', port: 0 }, (_, response) => response.end('hello'))
  const say = (bytes: string) =>
    new Promise<string>((resolve, reject) => {
      const peer = connect(server.port, '127.0.0.1', () => peer.write(bytes))
      peer.once('error', reject)
      text(peer).then(resolve, reject)
    })
  const lines = ['connection: close', 'content-type: text/plain; charset=utf-8']
  expect(await say('HELO you\r\n\r\n')).toBe(
    [
      'HTTP/1.1 400 Bad Request',
      ...lines,
      'content-length: 80',
      '',
      'the request cannot be read as HTTP/1.1: Parse Error: Invalid method encountered\n',
    ].join('\r\n'),
  )
  expect(await say(`GET / HTTP/1.1\r\nA: ${'x'.repeat(20_000)}`)).toMatch(/^HTTP\/1\.1 431 Request/)
  expect(await say('GET / HTTP/1.1\r\nConnection: close\r\n\r\n')).toMatch(/hello/)
  await server.close(1000)
})
