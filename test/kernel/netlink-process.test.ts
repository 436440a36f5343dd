// What the addon must never do to the process around it: leave a thread in a foreign namespace,
// stop the event loop for a link, keep a finished program alive. Each test is a program of its own.

import { beforeAll, beforeEach, expect, test } from 'vitest'
import { ipJson, makeNamespace, nodeIn, prepare } from './netlink-lab.ts'
import type { Namespace } from './netlink-lab.ts'

let host: Namespace
let pod: Namespace

beforeAll(() => prepare(['ip']))

beforeEach(() => {
  host = makeNamespace()
  pod = makeNamespace()
})

const PRELUDE = `
  import { openSync, promises, readdirSync, readlinkSync } from 'node:fs'
  import { deleteLinkInBackground, dumpLinks, findLink, request } from './linux/kernel.ts'
  import { peerCredentials } from './linux/native.ts'
  import { createLink, createVeth } from './linux/netlink/link.ts'
  const report = value => console.log(JSON.stringify(value))`

// New threads inherit the namespace of the thread that starts them, and Node 24 starts its pool at
// the first use of it, here in the middle of exchanges with another namespace.
test('no thread is ever left in the namespace of a pod', () => {
  const found = nodeIn(
    host,
    `${PRELUDE}
    const own = readlinkSync('/proc/thread-self/ns/net')
    const pod = openSync('${pod.path}', 'r')
    const seen = []
    for (let round = 0; round < 50; round++) {
      const links = promises.readlink('/proc/thread-self/ns/net')
      for (let exchange = 0; exchange < 20; exchange++) dumpLinks(pod)
      seen.push(links)
    }
    const pool = await Promise.all(seen)
    await deleteLinkInBackground(4242)
    const tasks = readdirSync('/proc/self/task')
    const threads = tasks.map(id => readlinkSync('/proc/self/task/' + id + '/ns/net'))
    const strange = [...pool, ...threads].filter(link => link !== own).length
    report({ workers: new Set(pool).size, strange, threads: threads.length })`,
  )
  expect(found).toMatchObject({ workers: 1, strange: 0 })
})

test('fifty links are deleted while the event loop runs on', () => {
  const found = nodeIn(
    host,
    `${PRELUDE}
    import { monitorEventLoopDelay } from 'node:perf_hooks'
    const pod = openSync('${pod.path}', 'r')
    const indexes = Array.from({ length: 50 }, (_, place) => 1000 + place)
    const acks = indexes.map(index => request(-1, [createVeth({
      index, name: 'ewy' + index, mac: '0a:58:a9:fe:01:01', mtu: 1500, group: 57879,
      peer: { index, name: 'eth' + index, mac: '0a:58:0a:00:00:05', netnsFd: pod },
    })])[0])
    let largestGapMs = 0
    let last = performance.now()
    let isRunning = true
    const watch = () => {
      largestGapMs = Math.max(largestGapMs, performance.now() - last)
      last = performance.now()
      if (isRunning) setImmediate(watch)
    }
    setImmediate(watch)
    const start = performance.now()
    const errnos = await Promise.all(indexes.map(deleteLinkInBackground))
    const totalMs = performance.now() - start
    isRunning = false
    const absent = await deleteLinkInBackground(1000)
    report({ acks: acks.filter(ack => ack.ok).length, errnos: [...new Set(errnos)], absent,
      left: dumpLinks(-1).length, figures: { largestGapMs, totalMs } })`,
  ) as Record<string, unknown>
  expect(found).toMatchObject({ acks: 50, errnos: [0], absent: 19, left: 1 })
  expect(ipJson(pod, 'link').length).toBe(1)
  console.log('50 background deletions', found['figures'])
})

// The program ends by itself although the deleting thread lives; and it does not end too early.
test('a pending deletion keeps the program alive, a finished one does not', () => {
  const found = nodeIn(
    host,
    `${PRELUDE}
    request(-1, [createLink({ kind: 'bridge', index: 700, name: 'br0' })])
    deleteLinkInBackground(700).then(errno => {
      report({ errno, left: findLink(-1, { index: 700 }) ?? null })
    })`,
  )
  expect(found).toEqual({ errno: 0, left: null })
})

// Whoever floods the queue gets an answer for each call; none is lost and memory has a bound.
test('more deletions than the queue holds are refused one by one', () => {
  const found = nodeIn(
    host,
    `${PRELUDE}
    // Twenty real links, 15 ms each, keep the deleting thread busy while the queue fills up.
    const pod = openSync('${pod.path}', 'r')
    const indexes = Array.from({ length: 20 }, (_, place) => 1000 + place)
    for (const index of indexes) request(-1, [createVeth({
      index, name: 'ewy' + index, mac: '0a:58:a9:fe:01:01', mtu: 1500, group: 57879,
      peer: { index, name: 'eth' + index, mac: '0a:58:0a:00:00:05', netnsFd: pod },
    })])
    indexes.forEach(index => void deleteLinkInBackground(index))
    const deletions = Array.from({ length: 70_000 }, () => deleteLinkInBackground(4242))
    const errnos = await Promise.all(deletions)
    const count = errno => errnos.filter(other => other === errno).length
    report({ answered: count(19) + count(105), refused: count(105) })`,
  ) as Record<string, number>
  expect(found['answered']).toBe(70_000)
  expect(found['refused']).toBeGreaterThan(0)
})

// A change with the flags of a dump and without an ack: its answer never comes.
test('a missing answer ends in ETIMEDOUT, and the socket works afterwards', () => {
  const found = nodeIn(
    host,
    `${PRELUDE}
    const header = Buffer.from([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    const silent = { type: 19, flags: 0x301, header, attributes: [] }
    try {
      request(-1, [silent])
    } catch (error) {
      report({ code: error.code, message: error.message, links: dumpLinks(-1).length })
    }`,
  )
  expect(found).toMatchObject({ code: 'ETIMEDOUT', links: 1 })
  expect((found as Record<string, string>)['message']).toContain('in the own network namespace')
})

test('the peer of a unix socket is the process that connected', () => {
  const found = nodeIn(
    host,
    `${PRELUDE}
    import { createServer, connect } from 'node:net'
    const path = '\\0eniway-test-' + process.pid
    const server = createServer(socket => {
      report({ ...peerCredentials(socket._handle.fd), own: process.pid })
      socket.destroy()
      server.close()
    })
    server.listen(path, () => connect(path))`,
  ) as Record<string, unknown>
  expect(found).toMatchObject({ uid: 0, gid: 0, pid: found['own'] })
})

test('sysctls of the own namespace are written and read', () => {
  const found = nodeIn(
    host,
    `${PRELUDE}
    import { readSysctl, writeSysctl } from './linux/sysctl.ts'
    const before = readSysctl('ipv4/ip_forward')
    const written = writeSysctl('ipv4/ip_forward', 1 - Number(before))
    const refused = writeSysctl('ipv4/ip_forward', 'nonsense')
    report({ changed: before !== readSysctl('ipv4/ip_forward'), written, refused })`,
  )
  expect(found).toEqual({
    changed: true,
    written: { ok: true },
    refused: {
      ok: false,
      message: expect.stringMatching(/to nonsense: EINVAL; the kernel does not take this value$/),
    },
  })
})
