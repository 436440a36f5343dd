// Sends a question from a chosen source address and prints the answer as one JSON line:
// `nsenter --net=… node probe.ts udp|tcp FROM TO PORT [MS]`. FROM may be `-`: the kernel chooses.
// Prints {"ok":true,"reply":…} or {"ok":false,"error":…} and exits with 0 either way.
import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import { pathToFileURL } from 'node:url'
import type { EchoReply } from './echo.ts'

/** What came of one question; `error` is a system error code, or `timeout`. */
export type ProbeResult =
  | { readonly ok: true; readonly reply: EchoReply }
  | { readonly ok: false; readonly error: string }

interface Question {
  readonly from: string | undefined
  readonly to: string
  readonly port: number
  readonly ms: number
}

// UDP loses packets by design; a few tries tell "dropped" from "the first one waited for ARP".
const tryMs = 200

const askUdp = ({ from, to, port, ms }: Question): Promise<ProbeResult> =>
  new Promise(resolve => {
    const socket = createSocket(isIPv6(to) ? 'udp6' : 'udp4')
    const finish = (result: ProbeResult): void => {
      clearInterval(again)
      clearTimeout(limit)
      resolve(result)
      socket.close(() => undefined)
    }
    const send = (): void => {
      socket.send('probe', error => {
        if (error !== null) finish(failed(error))
      })
    }
    const again = setInterval(send, tryMs)
    const limit = setTimeout(() => finish({ ok: false, error: 'timeout' }), ms)
    socket.on('error', error => finish(failed(error)))
    socket.on('message', reply => finish({ ok: true, reply: parse(reply.toString()) }))
    // Connected, so that an ICMP error arrives as ECONNREFUSED or EHOSTUNREACH.
    socket.bind(0, from, () => socket.connect(port, to, send))
  })

const askTcp = ({ from, to, port, ms }: Question): Promise<ProbeResult> =>
  new Promise(resolve => {
    const source = from === undefined ? {} : { localAddress: from }
    const socket = connect({ host: to, port, ...source })
    const finish = (result: ProbeResult): void => {
      socket.destroy()
      resolve(result)
    }
    let text = ''
    socket.setTimeout(ms, () => finish({ ok: false, error: 'timeout' }))
    socket.on('connect', () => socket.write('probe'))
    socket.on('data', data => (text += data.toString()))
    socket.on('error', error => finish(failed(error)))
    socket.on('end', () => finish({ ok: true, reply: parse(text) }))
  })

const parse = (text: string): EchoReply => JSON.parse(text) as EchoReply

const failed = (error: NodeJS.ErrnoException): ProbeResult => ({
  ok: false,
  error: error.code ?? error.message,
})

const main = async (argv: readonly string[]): Promise<void> => {
  const [protocol, from, to, port, ms] = argv
  if ((protocol !== 'udp' && protocol !== 'tcp') || to === undefined || port === undefined) {
    throw new Error('usage: probe.ts udp|tcp FROM|- TO PORT [MS]')
  }
  const source = from === '-' ? undefined : from
  const question = { from: source, to, port: Number(port), ms: Number(ms ?? 1000) }
  const result = await (protocol === 'udp' ? askUdp(question) : askTcp(question))
  process.stdout.write(`${JSON.stringify(result)}\n`)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(process.argv.slice(2))
