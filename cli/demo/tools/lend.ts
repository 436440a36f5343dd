// Opens a UDP socket inside a network namespace and hands it to the parent process, where it keeps
// its namespace: so one process can speak for every pod. Run as `nsenter --net=… node lend.ts
// ADDRESS PORT` with an IPC channel; ends when the socket is handed over or the parent is gone.

import { createSocket } from 'node:dgram'

const [address = '', port = ''] = process.argv.slice(2)

process.on('disconnect', () => process.exit(1))
const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4')
socket.on('error', error => process.send?.({ error: error.message }, () => process.exit(1)))
socket.bind(Number(port), address, () =>
  // The handle may be closed here only when the parent has it.
  process.send?.({ error: '' }, socket, {}, () => process.exit(0)),
)
