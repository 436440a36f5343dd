// Who reaches whom: every pod asks every other one and the internet, over UDP, and each answer
// tells which source address the asked one saw. Then some lie about their address.

import type { RemoteInfo, Socket } from 'node:dgram'
import { setTimeout as sleep } from 'node:timers/promises'
import { together } from './nodes.ts'

/** Somebody with a socket. */
export type Speaker = { readonly name: string; readonly ip: string; readonly socket: Socket }

/** A question and what its answer must say. */
export type Question = {
  readonly from: Speaker
  readonly to: { readonly name: string; readonly ip: string; readonly port: number }
  /** The source address that the asked one must have seen. */
  readonly seenAs: string
}

export type Checked = { readonly checked: number; readonly failures: readonly string[] }

/** Questions under way at once: more could overflow a socket's buffer. */
const askedMax = 64
const againMs = 250
const answerMs = 4_000

/** Makes every speaker answer questions, as the echo service on the internet does. */
export const answerAll = (speakers: readonly Speaker[]): void => {
  for (const { socket } of speakers) {
    socket.on('message', (bytes: Buffer, peer: RemoteInfo) => {
      const text = bytes.toString()
      if (!text.startsWith('ask ')) return
      const reply = JSON.stringify({ from: peer.address, data: text })
      socket.send(reply, peer.port, peer.address, () => undefined)
    })
  }
}

/** Asks all questions and says which ones got no answer or a wrong one. */
export const askAll = async (
  questions: readonly Question[],
  signal: AbortSignal,
): Promise<Checked> => {
  const failures: string[] = []
  const rest = [...questions.entries()]
  const work = async (): Promise<void> => {
    for (let next = rest.shift(); next !== undefined; next = rest.shift()) {
      signal.throwIfAborted()
      const [id, question] = next
      const failure = await ask(question, id, signal)
      if (failure !== undefined) failures.push(failure)
    }
  }
  await together(Array.from({ length: askedMax }, work))
  return { checked: questions.length, failures }
}

// Asked again while there is no answer: UDP may lose a datagram, and a lost one is no failure.
const ask = (
  { from, to, seenAs }: Question,
  id: number,
  signal: AbortSignal,
): Promise<string | undefined> =>
  new Promise(resolve => {
    const data = `ask ${id}`
    const send = (): void => {
      if (signal.aborted) finish('interrupted')
      else from.socket.send(data, to.port, to.ip, () => undefined)
    }
    const finish = (failure: string | undefined): void => {
      clearInterval(again)
      clearTimeout(limit)
      from.socket.off('message', hear)
      resolve(failure && `${from.name} (${from.ip}) → ${to.name} (${to.ip}): ${failure}`)
    }
    const hear = (bytes: Buffer, peer: RemoteInfo): void => {
      const reply = replyIn(bytes)
      if (reply?.data !== data || peer.address !== to.ip) return
      finish(reply.from === seenAs ? undefined : `came from ${reply.from}, not from ${seenAs}`)
    }
    const again = setInterval(send, againMs)
    const limit = setTimeout(() => finish(`no answer within ${answerMs / 1000} s`), answerMs)
    from.socket.setMaxListeners(0).on('message', hear)
    send()
  })

const replyIn = (bytes: Buffer): { readonly from?: string; readonly data?: string } | undefined => {
  const text = bytes.toString()
  return text.startsWith('{') ? (JSON.parse(text) as { from: string; data: string }) : undefined
}

/** Datagrams with a source address that is not the sender's. */
export type Lie = { readonly socket: Socket; readonly to: Speaker; readonly port: number }

const liesEach = 10
const listenMs = 400

/** Sends each lie ten times and counts those that anybody received. */
export const sendLies = async (
  lies: readonly Lie[],
): Promise<{ readonly sent: number; readonly delivered: number }> => {
  let delivered = 0
  const count = (bytes: Buffer): void => {
    if (bytes.toString().startsWith('lie ')) delivered++
  }
  const hearers = [...new Set(lies.map(({ to }) => to.socket))]
  for (const socket of hearers) socket.on('message', count)
  let sent = 0
  for (const { socket, to, port } of lies) {
    for (let i = 0; i < liesEach; i++) if (await hasSent(socket, { ip: to.ip, port })) sent++
  }
  await sleep(listenMs)
  for (const socket of hearers) socket.off('message', count)
  return { sent, delivered }
}

const hasSent = (socket: Socket, to: { readonly ip: string; readonly port: number }) =>
  new Promise<boolean>(resolve => {
    socket.send('lie ', to.port, to.ip, error => resolve(error === null))
  })
