// A daemon in a process of its own, so that tests can stop and kill it. It says "ready" on stdout
// when it listens on the socket it was given, and every attachment it holds when asked by a line.

import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { fakeDaemon } from '#cni/plugin/fake.ts'
import { cniRequestHandler } from '#cni/plugin/http.ts'

const daemon = fakeDaemon(1000)
const server = createServer(cniRequestHandler(daemon))
const [path = '', backlog = '511'] = process.argv.slice(2)
server.listen({ path, backlog: Number(backlog) }, () => process.stdout.write('ready\n'))
createInterface(process.stdin).on('line', () =>
  process.stdout.write(`${JSON.stringify([...daemon.held.keys()])}\n`),
)
