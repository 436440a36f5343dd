// A client on bytes for the daemon's socket: sends them in pieces, hangs up, and reads the answers
// strictly, without Node's own parser, which is what is being tested.

import { connect } from 'node:net'
import { buffer } from 'node:stream/consumers'

export type Answer = {
  readonly status: number
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** Sends the pieces one after the other and hangs up; resolves with all that came back. */
export const converse = async (socket: string, pieces: readonly Buffer[]): Promise<Buffer> => {
  const peer = connect({ path: socket, allowHalfOpen: true })
  // It may hang up first.
  peer.on('error', () => undefined)
  const heard = buffer(peer).catch(() => Buffer.alloc(0))
  for (const piece of pieces) {
    await new Promise<void>(resolve => peer.write(piece, () => setImmediate(resolve)))
  }
  peer.end()
  return heard
}

/** Every answer in the bytes; throws when they are anything but whole HTTP/1.1 answers. */
export const readAnswers = (bytes: Buffer): readonly Answer[] => {
  const answers: Answer[] = []
  for (let rest = bytes; rest.length > 0;) {
    const end = rest.indexOf('\r\n\r\n')
    if (end < 0) throw new Error(`an answer without an end of its head: ${rest.toString('latin1')}`)
    const head = readHead(rest.subarray(0, end).toString('latin1'))
    const length = head.status === 100 ? 0 : Number(head.headers.get('content-length'))
    const body = rest.subarray(end + 4, end + 4 + length)
    if (body.length !== length) throw new Error(`an answer of ${body.length} bytes, not ${length}`)
    if (head.status !== 100) answers.push({ ...head, body: body.toString('utf8') })
    rest = rest.subarray(end + 4 + length)
  }
  return answers
}

const readHead = (text: string) => {
  const [first = '', ...lines] = text.split('\r\n')
  const status = /^HTTP\/1\.1 (\d{3}) [A-Z]/.exec(first)?.[1]
  if (status === undefined) throw new Error(`an answer that begins with ${first}`)
  const headers = new Map(
    lines.map(line => {
      const [name = '', ...value] = line.split(':')
      return [name.toLowerCase(), value.join(':').trim()] as const
    }),
  )
  return { status: Number(status), headers }
}
