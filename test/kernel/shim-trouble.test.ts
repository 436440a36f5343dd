// The executable when the machine is against it: daemons that are stopped or killed, signals,
// callers that do not read or write, closed descriptors, an empty root, a replacement under way.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { connect, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { installExecutable } from '#cni/install.ts'
import { fakeDaemon, type FakeDaemon } from '#cni/plugin/fake.ts'
import { cniRequestHandler } from '#cni/plugin/http.ts'
import { buildShim } from '#tools/shim.mjs'
import { configFor, listenRaw, makePlace, runShim, type Run } from './shim.ts'

let place: ReturnType<typeof makePlace>
let endings: (() => unknown)[] = []

beforeEach(() => {
  place = makePlace()
  endings = []
})

afterEach(async () => {
  for (const end of endings.toReversed()) await end()
  place.remove()
})

const pending = () => join(place.directory, 'pending-del')
const config = (more: object = {}) =>
  configFor(place.socket, { cniVersion: '1.1.0', timeoutSeconds: 1, ...more })

// `exit code message` of an error, else the exit code and stdout.
const outcome = async (run: Run): Promise<string> => {
  const { exitCode, stdout } = await runShim(run)
  if (exitCode === 0 || stdout === '') return `${exitCode} ${stdout}`
  const error = JSON.parse(stdout) as { code: number; msg: string }
  return `${exitCode} ${error.code} ${error.msg}`.replaceAll(place.directory, 'DIR')
}

const serveFake = async (): Promise<FakeDaemon> => {
  const daemon = fakeDaemon(1000)
  const server = createServer(cniRequestHandler(daemon))
  await new Promise<void>(resolve => server.listen(place.socket, resolve))
  endings.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return daemon
}

const serveRaw = async (onConnection: (peer: Socket) => void): Promise<Server> => {
  const server = await listenRaw(place.socket, onConnection)
  endings.push(() => server.close())
  return server
}

const later = 'check the eniway DaemonSet pod on this node, kubelet will retry'
const unanswered = `eniway daemon is not answering on DIR/cni.sock: no answer within 1 s; ${later}`

describe('a daemon in a process of its own', () => {
  const start = async (backlog = 511) => {
    const program = join(import.meta.dirname, 'shim-daemon-program.ts')
    const child = spawn(process.execPath, [program, place.socket, String(backlog)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    endings.push(async () => {
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
    })
    expect((await lines.next()).value).toBe('ready')
    return {
      kill: (signal: NodeJS.Signals) => child.kill(signal),
      held: async () => {
        child.stdin.write('\n')
        return JSON.parse(String((await lines.next()).value)) as string[]
      },
    }
  }

  test('that is stopped costs the deadline, and has forgotten nobody when it goes on', async () => {
    const daemon = await start()
    expect(await outcome({ command: 'ADD', stdin: config() })).toMatch(/^0 {/)
    daemon.kill('SIGSTOP')
    const env = { CNI_CONTAINERID: 'c2' }
    const [add, del, version] = await Promise.all([
      outcome({ command: 'ADD', stdin: config(), env }),
      outcome({ command: 'DEL', stdin: config() }),
      outcome({ command: 'VERSION', stdin: config() }),
    ])
    expect(add).toBe(`1 11 ${unanswered}`)
    expect(del).toBe('0 ')
    expect(version).toMatch(/^0 {"cniVersion":"1.1.0","supportedVersions":/)
    expect(readdirSync(pending())).toEqual(['c1:eth0.json'])
    daemon.kill('SIGCONT')
    expect(await outcome({ command: 'STATUS', stdin: config() })).toBe('0 ')
    expect(await outcome({ command: 'DEL', stdin: config(), env })).toBe('0 ')
    expect(await daemon.held()).toEqual([])
  })

  test('whose queue of callers is full is a reason at once', async () => {
    const daemon = await start(1)
    daemon.kill('SIGSTOP')
    const stdin = config({ timeoutSeconds: 100 })
    const peers = Array.from({ length: 4 }, () =>
      connect(place.socket).on('error', () => undefined),
    )
    endings.push(() => peers.forEach(peer => peer.destroy()))
    await sleep(100)
    expect(await outcome({ command: 'ADD', stdin })).toBe(
      `1 11 eniway daemon is not answering on DIR/cni.sock: resource temporarily unavailable; ${later}`,
    )
    expect(await outcome({ command: 'DEL', stdin })).toBe('0 ')
    expect(readdirSync(pending())).toEqual(['c1:eth0.json'])
  })

  test('that is killed while it is asked is a reason at once', async () => {
    const daemon = await start()
    daemon.kill('SIGSTOP')
    const stdin = config({ timeoutSeconds: 100 })
    const asked = ['ADD', 'DEL', 'STATUS'].map(command => outcome({ command, stdin }))
    await sleep(200)
    daemon.kill('SIGKILL')
    const [add, del, status] = await Promise.all(asked)
    expect(add).toMatch(/^1 11 .*: (connection reset by peer|it closed the connection)/)
    expect(status).toMatch(/^1 50 .*: (connection reset by peer|it closed the connection)/)
    expect(del).toBe('0 ')
    expect(readdirSync(pending())).toEqual(['c1:eth0.json'])
  })
})

describe('time', () => {
  test('an answer that drips does not outlast timeoutSeconds', async () => {
    await serveRaw(peer => {
      const drip = setInterval(() => peer.write('H'), 20)
      peer.once('close', () => clearInterval(drip))
    })
    expect(await outcome({ command: 'ADD', stdin: config() })).toBe(`1 11 ${unanswered}`)
  })

  const dripInto = async (command: string) => {
    const child = spawn(buildShim(), {
      env: { CNI_COMMAND: command, CNI_CONTAINERID: 'c1', CNI_NETNS: '/x', CNI_IFNAME: 'eth0' },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    child.stdin.on('error', () => undefined)
    const drip = setInterval(() => child.stdin.write(' '), 20)
    const startedMs = performance.now()
    const said = await text(child.stdout)
    clearInterval(drip)
    return { said, seconds: (performance.now() - startedMs) / 1000 }
  }

  test('nor does a stdin that drips: VERSION knows its answer, STATUS has five seconds', async () => {
    const [version, status] = await Promise.all([dripInto('VERSION'), dripInto('STATUS')])
    expect(version.said).toContain('"supportedVersions"')
    expect(version.seconds).toBeLessThan(3)
    expect(JSON.parse(status.said)).toMatchObject({
      code: 5,
      msg: 'cannot read the configuration from stdin: Operation timed out',
    })
    expect(status.seconds).toBeLessThan(8)
  })

  test('an endless stdin is too large at once', async () => {
    const run = { command: 'ADD', shell: 'exec "$0" </dev/zero' }
    expect(await outcome(run)).toMatch(/^1 5 the network configuration on stdin is too large/)
  })

  test('a reader that stops in the middle of a long answer holds it for ten seconds', async () => {
    const body = 'x'.repeat(900_000)
    const head = `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\neniway-exit-code: 0\r\n\r\n`
    await serveRaw(peer => peer.once('data', () => peer.write(head + body)))
    const shell = '"$0" | (sleep 13; wc -c >&2); exit 0'
    const { stderr } = await runShim({ command: 'ADD', stdin: config(), shell })
    expect(stderr).toMatch(
      /^eniway: cannot write the answer to stdout: Operation timed out\n\s*65536/,
    )
  }, 30_000)
})

describe('signals while it waits', () => {
  const waiting = async (command = 'ADD') => {
    let peer: Socket | undefined
    const asked = new Promise<void>(resolve => {
      void serveRaw(connected => {
        peer = connected
        connected.once('data', () => resolve())
      }).then(() => undefined)
    })
    await expect.poll(() => existsSync(place.socket)).toBe(true)
    const child = spawn(buildShim(), {
      env: { CNI_COMMAND: command, CNI_CONTAINERID: 'c1', CNI_NETNS: '/x', CNI_IFNAME: 'eth0' },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    child.stdin.end(config({ timeoutSeconds: 100 }))
    const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
    const said = text(child.stdout)
    await asked
    return { child, ended, said, peer }
  }

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGKILL'] as const)(
    '%s ends it at once, silently, and the daemon sees its caller leave',
    async signal => {
      const { child, ended, said, peer } = await waiting('DEL')
      const left = new Promise(resolve => peer?.once('end', resolve))
      child.kill(signal)
      expect(await ended).toEqual([null, signal])
      expect(await said).toBe('')
      await left
      // The runtime knows that this DEL has failed, and repeats it.
      expect(existsSync(pending())).toBe(false)
    },
  )

  test('SIGPIPE is nothing, nor is being stopped for a while', async () => {
    const { child, ended, said, peer } = await waiting()
    child.kill('SIGPIPE')
    child.kill('SIGSTOP')
    await sleep(100)
    child.kill('SIGCONT')
    await sleep(100)
    peer?.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\neniway-exit-code: 0\r\n\r\n{}')
    expect(await ended).toEqual([0, null])
    expect(await said).toBe('{}')
  })
})

describe('descriptors', () => {
  test.each([
    ['stdin', '<&-', '1 5 cannot read the configuration from stdin: Bad file descriptor'],
    ['stdout', '>&-', '1 '],
    ['stdin and stdout', '<&- >&-', '1 '],
    ['all three', '<&- >&- 2>&-', '1 '],
    ['stderr', '2>&-', /^0 {"cniVersion":"1.1.0"/],
    ['none, but a full disk behind stdout', '>/dev/full', '1 '],
    ['none, but a directory behind stdin', '</', /^1 5 .*: Is a directory$/],
  ])('closed at its start: %s', async (_, redirections, want) => {
    const daemon = await serveFake()
    const shell = `exec "$0" ${redirections}`
    const got = await outcome({ command: 'ADD', stdin: config(), shell })
    if (typeof want === 'string') expect(got).toBe(want)
    else expect(got).toMatch(want)
    // Nothing but whole calls has reached the daemon: it still answers.
    const wasAsked = !redirections.includes('<')
    expect(daemon.requests).toHaveLength(wasAsked ? 1 : 0)
    expect(await outcome({ command: 'DEL', stdin: config() })).toBe('0 ')
  })

  test('no descriptor left for a socket is a reason like others', async () => {
    const shell = 'ulimit -n 3; exec "$0"'
    const got = await outcome({ command: 'ADD', stdin: config(), shell })
    expect(got).toBe(
      `1 11 eniway daemon is not answering on DIR/cni.sock: no file descriptors available; ${later}`,
    )
  })
})

test('nonsense of any kind is no answer: one error object, ADD can be repeated', async () => {
  let said = Buffer.alloc(0)
  await serveRaw(peer => peer.once('data', () => peer.end(said)))
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map(bytes => Buffer.from(bytes)),
    fc
      .constantFrom('HTTP/1.1 200 ', 'HTTP/1.1 503 No', '\r\n', '\r\n\r\n', 'content-length: 9')
      .map(word => Buffer.from(word)),
    fc.string({ unit: 'binary' }).map(word => Buffer.from(word)),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async pieces => {
      said = Buffer.concat(pieces)
      expect(await outcome({ command: 'ADD', stdin: config() })).toMatch(/^1 11 eniway daemon is/)
    }),
    { numRuns: 80 },
  )
})

describe('the environment', () => {
  test('may be empty', async () => {
    const { status, stdout, stderr } = spawnSync(buildShim(), { env: {}, encoding: 'utf8' })
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' })
    expect(stderr).toMatch(/^eniway: CNI plugin /)
  })

  const many = (prefix: string) =>
    Object.fromEntries(
      Array.from({ length: 12_000 }, (_, i) => [`${prefix}${i}`, 'x'.repeat(90)] as const),
    )

  test('may be enormous, as long as little of it is ours', async () => {
    await serveFake()
    const env = { ...many('OTHER_'), CNI_ARGS: `IgnoreUnknown=1;A=${'x'.repeat(120_000)}` }
    expect(await outcome({ command: 'ADD', stdin: config(), env })).toMatch(/^0 {/)
    expect(await outcome({ command: 'ADD', stdin: config(), env: many('CNI_') })).toMatch(
      /^1 5 the network configuration on stdin is too large: with the environment it may have at most 1 MiB/,
    )
  })

  test('may hold what is no text; the error that quotes it is UTF-8 all the same', () => {
    const script = 'CNI_COMMAND=DEL CNI_CONTAINERID=$(printf "/\\377\\355\\240\\200") exec "$0"'
    const { status, stdout } = spawnSync('sh', ['-c', script, buildShim()], {
      env: { CNI_IFNAME: 'eth0' },
      input: config(),
    })
    const error = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(stdout))
    expect({ status, code: error.code }).toEqual({ status: 1, code: 4 })
    expect(error.msg).toContain('they are "/\ufffd\ufffd\ufffd\ufffd" and "eth0"')
  })
})

test('a version that would end its JSON string is not echoed', async () => {
  const stdin = config({ cniVersion: '0.1.0","0.2.0' })
  const { stdout } = await runShim({ command: 'ADD', stdin })
  expect(JSON.parse(stdout)).toMatchObject({ cniVersion: '1.1.0', code: 11 })
})

test('DELs of one attachment that wait at once leave one whole file', async () => {
  const stdin = config({ padding: 'x'.repeat(200_000) })
  const dels = Array.from({ length: 20 }, () => outcome({ command: 'DEL', stdin }))
  expect(new Set(await Promise.all(dels))).toEqual(new Set(['0 ']))
  expect(readdirSync(pending())).toEqual(['c1:eth0.json'])
  const call = JSON.parse(readFileSync(join(pending(), 'c1:eth0.json'), 'utf8')) as object
  expect(call).toMatchObject({ stdin })
})

describe('as the only file on a host', () => {
  // Neither /proc nor /dev, no libc, no directory but the root.
  const inEmptyRoot = (command: string, redirections = '') => {
    copyFileSync(buildShim(), join(place.directory, 'eniway'))
    return runShim({
      command,
      stdin: configFor('/cni.sock', { timeoutSeconds: 1 }),
      executable: place.directory,
      shell: `exec chroot "$0" /eniway ${redirections}`,
    })
  }

  test('it asks for no interpreter and no library', () => {
    const bytes = readFileSync(buildShim())
    const at = Number(bytes.readBigUInt64LE(32))
    const kinds = Array.from({ length: bytes.readUInt16LE(56) }, (_, i) =>
      bytes.readUInt32LE(at + i * bytes.readUInt16LE(54)),
    )
    const dynamic = 2
    const interpreter = 3
    expect(kinds).not.toContain(dynamic)
    expect(kinds).not.toContain(interpreter)
  })

  test('it serves every verb, with a daemon and without', async () => {
    expect(JSON.parse((await inEmptyRoot('ADD')).stdout)).toMatchObject({ code: 11 })
    expect(await inEmptyRoot('DEL')).toEqual({ exitCode: 0, stdout: '', stderr: '' })
    expect(readdirSync(pending())).toEqual(['c1:eth0.json'])
    expect((await inEmptyRoot('VERSION')).stdout).toContain('"supportedVersions"')
    const daemon = await serveFake()
    const { exitCode, stdout } = await inEmptyRoot('ADD')
    expect({ exitCode, result: JSON.parse(stdout) }).toMatchObject({ exitCode: 0, result: {} })
    expect(daemon.held.size).toBe(1)
  })

  test('its socket does not become stdout where there is no /dev/null either', async () => {
    let received = ''
    await serveRaw(peer => {
      peer.on('data', bytes => (received += bytes.toString()))
      peer.once('data', () =>
        peer.write('HTTP/1.1 200 OK\r\ncontent-length: 6\r\neniway-exit-code: 0\r\n\r\nanswer'),
      )
    })
    expect(await inEmptyRoot('ADD', '>&- 2>&-')).toEqual({ exitCode: 1, stdout: '', stderr: '' })
    expect(received).toMatch(/^POST [^]*}$/)
    expect(JSON.parse((await inEmptyRoot('ADD', '<&-')).stdout)).toMatchObject({ code: 5 })
  })

  test('and runs no command that happens to lie in the working directory', async () => {
    writeFileSync(join(place.directory, 'eniway-cli'), '')
    copyFileSync(buildShim(), join(place.directory, 'eniway'))
    const shell = 'mkdir -p "$0/deep"; exec chroot "$0" /eniway status'
    const { exitCode, stderr } = await runShim({ executable: place.directory, shell })
    expect(exitCode).toBe(1)
    expect(stderr).toMatch(/needs \/eniway-cli, which cannot be run: Permission denied/)
  })
})

test('hundreds of invocations do not notice that it is replaced', async () => {
  const daemon = await serveFake()
  const binDirectory = join(place.directory, 'bin')
  const longer = join(place.directory, 'longer')
  // What lies behind an executable's segments does not count, but makes it another file.
  writeFileSync(longer, Buffer.concat([readFileSync(buildShim()), Buffer.from('newer')]))
  const install = (source: string) => installExecutable({ source, binDirectory })
  const { path } = await install(longer)
  const replaced = { times: 0, isOver: false }
  const replacing = (async () => {
    for (; !replaced.isOver; replaced.times++) {
      await install(replaced.times % 2 === 0 ? buildShim() : longer)
    }
  })()
  const callTwenty = (command: string) =>
    Array.from({ length: 20 }, (_, index) =>
      outcome({
        command,
        stdin: config({ timeoutSeconds: 60 }),
        env: { CNI_CONTAINERID: `c${index}` },
        executable: path,
      }),
    )
  for (let round = 0; round < 10 || replaced.times < 20; round++) {
    const added = await Promise.all(callTwenty('ADD'))
    expect(added.filter(line => !line.startsWith('0 {'))).toEqual([])
    expect(daemon.held.size).toBe(20)
    expect(new Set(await Promise.all(callTwenty('DEL')))).toEqual(new Set(['0 ']))
    expect(daemon.held.size).toBe(0)
  }
  replaced.isOver = true
  await replacing
  expect(readdirSync(binDirectory)).toEqual(['eniway'])
})
