// Moves a known number of bytes over one TCP connection and says how long that took: with `serve
// ADDRESS PORT` it counts what comes and answers with the number, `send ADDRESS PORT BYTES` sends.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

const chunk = Buffer.alloc(16_384)

const count = (socket: Socket): void => {
  let bytes = 0
  socket.on('error', () => undefined)
  socket.on('data', data => (bytes += data.length))
  socket.on('end', () => socket.end(`${bytes}\n`))
}

const send = async (socket: Socket, bytes: number): Promise<void> => {
  for (let left = bytes; left > 0; left -= chunk.length) {
    const isFull = !socket.write(chunk.subarray(0, Math.min(left, chunk.length)))
    if (isFull) await once(socket, 'drain')
  }
  socket.end()
}

const [mode = '', address = '', port = '', size = ''] = process.argv.slice(2)
if (mode === 'serve') {
  const server = createServer({ allowHalfOpen: true }, count)
  server.listen(Number(port), address, () => process.stdout.write('ready\n'))
  process.stdin.on('end', () => process.exit(0)).resume()
} else {
  const socket = connect({ port: Number(port), host: address, allowHalfOpen: true })
  await once(socket, 'connect')
  const startedAt = performance.now()
  const answered = once(socket, 'data')
  await send(socket, Number(size))
  const [answer] = (await answered) as [Buffer]
  const seconds = (performance.now() - startedAt) / 1000
  process.stdout.write(`${JSON.stringify({ bytes: Number(answer.toString()), seconds })}\n`)
  socket.destroy()
}
