// The emulator's admin socket: the cloud's true state, and what goes wrong in it.

import { request } from 'node:http'
import type { Fault } from '#emulator/model/faults.ts'

/** A NIC as the cloud really has it. */
export type TrueNic = {
  readonly id: string
  readonly subnetId: string
  readonly groupIds: readonly string[]
  readonly primaryAddress: string
  readonly addresses: readonly string[]
  readonly prefixes: readonly string[]
  readonly addresses6: readonly string[]
  readonly prefixes6: readonly string[]
  readonly tags: Readonly<Record<string, string>>
  readonly attachment?: {
    readonly id: string
    readonly instanceId: string
    readonly deviceIndex: number
    readonly state: string
  }
}

export type Admin = {
  addFault(fault: Fault): Promise<string>
  removeFault(id: string): Promise<void>
  /** All NICs of the cloud, without any lag. */
  nics(): Promise<readonly TrueNic[]>
  subnetIds(): Promise<Readonly<Record<string, string>>>
}

/** Speaks to the socket of a running emulator. */
export const createAdmin = (socket: string): Admin => ({
  addFault: async fault => ((await ask(socket, 'POST /faults', fault)) as { id: string }).id,
  removeFault: async id => void (await ask(socket, `DELETE /faults/${id}`)),
  nics: async () => ((await ask(socket, 'GET /state')) as { nics: TrueNic[] }).nics,
  subnetIds: async () => {
    const { ids } = (await ask(socket, 'GET /state')) as {
      ids: { subnetIds: Record<string, string> }
    }
    return ids.subnetIds
  },
})

const ask = (socket: string, what: string, body?: object): Promise<unknown> =>
  httpOverSocket(socket, what, body).then(({ status, text }) => {
    if (status !== 200) throw new Error(`the emulator refused ${what}: ${text}`)
    return JSON.parse(text) as unknown
  })

/** Whoever has not answered by then never will: everybody here answers within a second. */
const answerMs = 10_000

/** One HTTP request over a unix socket; `what` reads `GET /path`. */
export const httpOverSocket = (
  socket: string,
  what: string,
  body?: object,
): Promise<{ readonly status: number; readonly text: string }> =>
  new Promise((resolve, reject) => {
    const [method, path] = what.split(' ', 2)
    const options = { socketPath: socket, method, path, agent: false, timeout: answerMs }
    const question = request(options, answer => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => (text += part))
      answer.once('end', () => resolve({ status: answer.statusCode ?? 0, text }))
      answer.once('error', reject)
    })
    question.once('error', reject)
    question.once('timeout', () => question.destroy(new Error(`${what}: no answer`)))
    question.end(body === undefined ? undefined : JSON.stringify(body))
  })
