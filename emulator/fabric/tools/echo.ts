// Answers every UDP datagram and every TCP connection with a JSON line that says which source it
// saw. Plays the internet, and stands for a pod's server in tests and demos. Run as
// `nsenter --net=… node echo.ts PORT [ADDRESS…]`; ends when its stdin does, so it outlives nobody.
import { createSocket } from 'node:dgram'
import { createServer } from 'node:net'
import { isIPv6 } from 'node:net'
import { pathToFileURL } from 'node:url'

/** What an echo service saw, as it says it: one JSON object, for TCP ended by a line feed. */
export interface EchoReply {
  readonly from: string
  readonly port: number
  readonly to: string
  readonly data: string
}

const listen = async (port: number, address: string): Promise<void> => {
  const udp = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  udp.on('message', (message, peer) => {
    const reply = { from: peer.address, port: peer.port, to: address, data: message.toString() }
    udp.send(JSON.stringify(reply), peer.port, peer.address)
  })
  const tcp = createServer(socket => {
    socket.on('error', () => socket.destroy())
    const { remoteAddress: from, remotePort, localAddress: to } = socket
    socket.once('data', data =>
      socket.end(`${JSON.stringify({ from, port: remotePort, to, data: data.toString() })}\n`),
    )
  })
  await Promise.all([
    new Promise<void>((resolve, reject) => udp.on('error', reject).bind(port, address, resolve)),
    new Promise<void>((resolve, reject) => tcp.on('error', reject).listen(port, address, resolve)),
  ])
}

const main = async (port: number, addresses: readonly string[]): Promise<void> => {
  for (const address of addresses) await listen(port, address)
  process.stdin
    .resume()
    .on('end', () => process.exit(0))
    .on('error', () => process.exit(0))
  process.stdout.write('ready\n')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  await main(Number(process.argv[2]), process.argv.length > 3 ? process.argv.slice(3) : ['0.0.0.0'])
}
