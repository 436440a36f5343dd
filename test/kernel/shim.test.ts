// The executable with a daemon that answers, well or badly.

import { spawn } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import type { Server as RawServer, Socket } from 'node:net'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fakeDaemon, type FakeDaemon } from '#cni/plugin/fake.ts'
import { cniRequestHandler } from '#cni/plugin/http.ts'
import { callBytesMax, type Call } from '#cni/plugin/wire.ts'
import { buildShim } from '#tools/shim.mjs'
import { configFor, listenRaw, makePlace, runShim, type Run } from './shim.ts'

let place: ReturnType<typeof makePlace>

beforeEach(() => {
  place = makePlace()
})

afterEach(() => place.remove())

const pending = () => join(place.directory, 'pending-del')

// Exit code, then stdout, errors as `code message`.
const check = async (run: Run, want: string | RegExp) => {
  const { exitCode, stdout } = await runShim(run)
  const error = exitCode === 0 ? undefined : JSON.parse(stdout)
  const line = error === undefined ? `0 ${stdout}` : `${exitCode} ${error.code} ${error.msg}`
  const shown = line.replaceAll(place.directory, 'DIR')
  if (typeof want === 'string') expect(shown).toBe(want)
  else expect(shown).toMatch(want)
}

describe('with a daemon', () => {
  let daemon: FakeDaemon
  let server: Server
  let calls: Call[] = []

  const listen = async (socket: string) => {
    server = createServer(cniRequestHandler(daemon, { onAnswered: ({ call }) => calls.push(call) }))
    await new Promise<void>(resolve => server.listen(socket, resolve))
  }

  beforeEach(async () => {
    daemon = fakeDaemon(1000)
    calls = []
    await listen(place.socket)
  })

  afterEach(() => {
    server.closeAllConnections()
    server.close()
  })

  const config = (more: object = {}) => configFor(place.socket, more)

  test('a life: ADD, CHECK, DEL, DEL again', async () => {
    const { exitCode, stdout, stderr } = await runShim({ command: 'ADD', stdin: config() })
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({ ips: [{ address: '10.0.1.1/32' }] })
    const stdin = config({ prevResult: JSON.parse(stdout) })
    await check({ command: 'CHECK', stdin }, '0 ')
    await check({ command: 'DEL', stdin }, '0 ')
    await check({ command: 'DEL', stdin: config(), env: { CNI_NETNS: '' } }, '0 ')
    await check({ command: 'CHECK', stdin }, /^1 101 nothing is attached/)
    expect(daemon.held.size).toBe(0)
    expect(existsSync(pending())).toBe(false)
  })

  test('errors of the daemon pass through with its exit code', () =>
    check({ command: 'ADD', stdin: config({ timeoutSeconds: 0 }) }, /^1 7 timeoutSeconds is 0/))

  test('VERSION, GC and STATUS', async () => {
    await check({ command: 'VERSION', stdin: config() }, /^0 {"cniVersion":"1.0.0","supportedV/)
    const stdin = config({ cniVersion: '1.1.0' })
    await check({ command: 'GC', stdin, env: { CNI_PATH: '/opt/cni/bin' } }, '0 ')
    await check({ command: 'STATUS', stdin }, '0 ')
  })

  test('fifty at once', async () => {
    const runs = Array.from({ length: 50 }, (_, index) =>
      runShim({ command: 'ADD', stdin: config(), env: { CNI_CONTAINERID: `c${index}` } }),
    )
    const ran = await Promise.all(runs)
    expect(ran.filter(({ exitCode }) => exitCode !== 0)).toEqual([])
    expect(daemon.held.size).toBe(50)
  })

  test('only CNI_* and trace variables travel, whatever their values hold', async () => {
    const env = {
      CNI_ARGS: 'A="\\\u0001\n\t;B=\u{1f600}é',
      CNI_X: '',
      TRACEPARENT: '00-1-2-03',
      TRACESTATE: 'a=b=c',
      BAGGAGE: 'k=v',
      TRACEPARENTS: 'no',
      SECRET: 'no',
      xCNI_A: 'no',
    }
    await runShim({ command: 'ADD', stdin: config(), env })
    const { TRACEPARENTS: _, SECRET: __, xCNI_A: ___, ...wanted } = env
    expect(calls[0]?.environment).toEqual({
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c1',
      CNI_IFNAME: 'eth0',
      CNI_NETNS: '/run/netns/ew-none',
      ...wanted,
    })
  })

  test('any text behind the configuration reaches the daemon unchanged', () =>
    fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), async noise => {
        calls = []
        const stdin = `${config()}\n${noise}`
        await runShim({ command: 'ADD', stdin, env: { CNI_ARGS: 'A=1' } })
        expect(calls).toMatchObject([{ stdin: Buffer.from(stdin).toString() }])
      }),
      { numRuns: 60 },
    ))

  test('bytes that are not UTF-8 arrive replaced, as garbage with a proper answer', () =>
    check(
      { command: 'ADD', stdin: Buffer.concat([Buffer.from(config()), Buffer.from([0xff, 0, 1])]) },
      /^1 6 the network configuration on stdin cannot be read as JSON/,
    ))

  test.each<[string, (socket: string) => string]>([
    [
      'behind nested keys of the same name',
      s =>
        `{"ipam":{"socket":"/no","a":[{"socket":"/no"}]},"args":[["socket","/no"]],"name":"net","socket":"${s}"}`,
    ],
    ['before them', s => `{"name":"net","socket":"${s}","prevResult":{"socket":"/no"}}`],
    [
      'in a text that looks like a key',
      s => `{"a":"\\"socket\\":\\"/no\\"","socket":"${s}","b":"}\\\\","name":"net"}`,
    ],
    ['twice, the last counts', s => `{"socket":"/no","name":"net","socket":"${s}"}`],
    ['with an escaped key', s => `{"\\u0073oc\\u006Bet":"${s}","name":"net"}`],
    ['with escaped slashes', s => `{"socket":"${s.replaceAll('/', '\\/')}","name":"net"}`],
    ['with escapes in the value', s => `{"socket":"${s.replaceAll('/', '\\u002f')}","name":"net"}`],
    ['between white space', s => ` \t\r\n{ "name" :\n"net" ,\t"socket"\r: "${s}" } \n`],
    [
      'after numbers, literals and empty things',
      s => `{"a":-1.5e+3,"b":true,"c":null,"d":{},"e":[],"f":"","socket":"${s}","name":"net"}`,
    ],
    [
      'after long and foreign keys',
      s =>
        `{"${'k'.repeat(500)}":1,"ключ":"значение","\\ud83d\\ude00":"\\u00e9","socket":"${s}","name":"net"}`,
    ],
  ])('the socket is found %s', async (_, write) => {
    await check({ command: 'DEL', stdin: write(place.socket) }, '0 ')
    expect(calls).toHaveLength(1)
  })

  test('the socket is found in any object', () => {
    const members = fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 6 })
    return fc.assert(
      fc.asyncProperty(members, members, fc.nat(3), async (before, after, indent) => {
        calls = []
        const own = { cniVersion: '1.0.0', name: 'net', socket: place.socket }
        const stdin = JSON.stringify({ ...before, ...own, ...pick(after, own) }, undefined, indent)
        await runShim({ command: 'DEL', stdin })
        expect(calls).toMatchObject([{ stdin }])
      }),
      { numRuns: 60 },
    )
  })

  test('a socket in a directory with a foreign name', async () => {
    server.close()
    const socket = join(place.directory, 'сокет.sock')
    await listen(socket)
    await check({ command: 'DEL', stdin: configFor(socket) }, '0 ')
    expect(calls).toHaveLength(1)
  })

  test('a call of just under 1 MiB goes through, a larger one is refused with the limit', async () => {
    const env = { CNI_COMMAND: 'DEL', CNI_CONTAINERID: 'c1', CNI_NETNS: '', CNI_IFNAME: 'eth0' }
    const sizeOf = (stdin: string) => JSON.stringify({ environment: env, stdin }).length
    const padding = 'x'.repeat(callBytesMax - sizeOf(config({ padding: '' })))
    const want =
      '1 5 the network configuration on stdin is too large: with the environment it may have at most 1 MiB as JSON'
    await check({ command: 'DEL', stdin: config({ padding }), env }, '0 ')
    await check({ command: 'DEL', stdin: config({ padding: `${padding}x` }), env }, want)
    await check({ command: 'ADD', stdin: ' '.repeat(callBytesMax + 1), env }, want)
    await check({ command: 'ADD', stdin: ' '.repeat(3 * callBytesMax), env }, want)
    expect(calls).toHaveLength(1)
  })

  test('an answer nobody reads is an error, not a success', async () => {
    const closed = { command: 'ADD', stdin: config(), shell: 'exec "$0" >&-' }
    const { exitCode, stderr } = await runShim(closed)
    expect(exitCode).toBe(1)
    expect(stderr).toMatch(/^eniway: cannot write the answer to stdout: /)
  })

  test('nor is one whose reader has left', async () => {
    const env = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c1', CNI_NETNS: '/x', CNI_IFNAME: 'eth0' }
    const child = spawn(buildShim(), { env, stdio: ['pipe', 'pipe', 'ignore'] })
    child.stdout.once('close', () => child.stdin.end(config()))
    child.stdout.destroy()
    expect(await new Promise(resolve => child.once('close', resolve))).toBe(1)
    expect(daemon.held.size).toBe(1)
  })

  test('a closed stdin is an error that says so', () =>
    check(
      { command: 'ADD', stdin: config(), shell: 'exec "$0" <&-' },
      /^1 5 cannot read the configuration from stdin: /,
    ))
})

const pick = (value: object, taken: object): object =>
  Object.fromEntries(Object.entries(value).filter(([key]) => !(key in taken)))

describe('with a daemon that breaks off', () => {
  let server: RawServer | undefined

  afterEach(() => {
    server?.close()
  })

  const answer = async (onCall: (peer: Socket) => void) => {
    server = await listenRaw(place.socket, peer => peer.once('data', () => onCall(peer)))
  }

  const advice = 'check the eniway DaemonSet pod on this node, kubelet will retry'
  const config = () => configFor(place.socket, { cniVersion: '1.1.0', timeoutSeconds: 1 })
  const head = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nEniway-Exit-Code:3\r\n'

  test('an answer in single bytes is put together', async () => {
    await answer(peer => {
      const bytes = `${head}\r\n{"code":9}`.split('')
      const next = () => {
        const byte = bytes.shift()
        if (byte !== undefined) peer.write(byte, () => setImmediate(next))
      }
      next()
    })
    expect(await runShim({ command: 'ADD', stdin: config() })).toEqual({
      exitCode: 3,
      stdout: '{"code":9}',
      stderr: '',
    })
  })

  test.each([
    ['nothing', ''],
    ['half a head', head],
    ['half a body', `${head}\r\n{"code"`],
    ['a head without length', 'HTTP/1.1 200 OK\r\neniway-exit-code: 0\r\n\r\ncontent-length: 0'],
  ])('%s is no answer: ADD fails, DEL is kept', async (_, said) => {
    await answer(peer => peer.end(said))
    const reason = 'it closed the connection before its answer was complete'
    const want = `eniway daemon is not answering on DIR/cni.sock: ${reason}; ${advice}`
    await check({ command: 'ADD', stdin: config() }, `1 11 ${want}`)
    await check({ command: 'STATUS', stdin: config() }, `1 50 ${want}`)
    await check({ command: 'DEL', stdin: config() }, '0 ')
    expect(readdirSync(pending())).toEqual(['c1:eth0.json'])
  })

  test.each([
    [
      'another server',
      'HTTP/1.1 404 No\r\ncontent-length: 9\r\n\r\nnot here\n',
      'HTTP/1.1 404, not here',
    ],
    ['no exit code', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}', 'HTTP/1.1 200, {}'],
    [
      'a header in the body',
      'HTTP/1.1 200 OK\r\ncontent-length: 19\r\n\r\neniway-exit-code: 0',
      'HTTP/1.1 200, eniway-exit-code: 0',
    ],
  ])('%s is no answer either', async (_, said, shown) => {
    await answer(peer => peer.write(said))
    await check(
      { command: 'ADD', stdin: config() },
      `1 11 eniway daemon is not answering on DIR/cni.sock: it refused with ${shown}; ${advice}`,
    )
    await check({ command: 'DEL', stdin: config() }, '0 ')
    expect(readdirSync(pending())).toEqual(['c1:eth0.json'])
  })

  test('an endless answer is cut at its limit', async () => {
    await answer(peer => peer.write(`${head.replace('10', '9999999')}\r\n${'x'.repeat(2 << 20)}`))
    await check({ command: 'ADD', stdin: config() }, /^1 11 .*: its answer is larger than 1 MiB; /)
  })

  test('silence ends with timeoutSeconds', async () => {
    await answer(() => undefined)
    const want = `eniway daemon is not answering on DIR/cni.sock: no answer within 1 s; ${advice}`
    await check({ command: 'ADD', stdin: config() }, `1 11 ${want}`)
    await check({ command: 'STATUS', stdin: config() }, `1 50 ${want}`)
    await check({ command: 'VERSION', stdin: config() }, /^0 {"cniVersion":"1.1.0","supp/)
    await check({ command: 'DEL', stdin: config() }, '0 ')
    expect(readdirSync(pending())).toEqual(['c1:eth0.json'])
  })

  test('so does a daemon that stops reading in the middle of a call', async () => {
    server = await listenRaw(place.socket, peer => peer.pause())
    const stdin = configFor(place.socket, { timeoutSeconds: 1, padding: 'x'.repeat(900_000) })
    await check({ command: 'ADD', stdin }, /^1 11 .*: no answer within 1 s; /)
  })

  test('a socket file that nobody serves any more', async () => {
    server = await listenRaw(place.socket, () => undefined)
    rmSync(place.socket)
    await check({ command: 'ADD', stdin: config() }, /^1 11 .*: no such file or directory; /)
  })
})
