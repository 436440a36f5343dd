// Steady traffic as a running pod sees it: a UDP datagram to an echo service every INTERVAL ms,
// each with its number. When stdin ends it waits for late answers and prints {sent, answered} as
// JSON.

import { createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const [address = '', port = '', intervalMs = ''] = process.argv.slice(2)
const lateMs = 1000

const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
const answered = new Set<number>()
let sent = 0

socket.on('message', message => {
  answered.add(Number((JSON.parse(message.toString()) as { readonly data: string }).data))
})
// An ICMP error is a lost datagram like any other, and is counted by its missing answer.
socket.on('error', () => undefined)

const ping = (): void => socket.send(String(sent++), Number(port), address, () => undefined)
const pinging = setInterval(ping, Number(intervalMs))
process.stdout.write('ready\n')

for await (const _ of process.stdin) continue
clearInterval(pinging)
await sleep(lateMs)
process.stdout.write(`${JSON.stringify({ sent, answered: answered.size })}\n`)
process.exit(0)
