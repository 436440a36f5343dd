// Asks the emulator what it was asked: the calls that the daemons made.

import { request } from 'node:http'

/** Calls by action, whatever came of them. */
export const callsBy = async (adminSocket: string): Promise<Readonly<Record<string, number>>> => {
  const counts = JSON.parse(await get(adminSocket, '/calls')) as Counts
  return Object.fromEntries(
    Object.entries(counts).map(([action, results]) => [
      action,
      Object.values(results).reduce((sum, count) => sum + count, 0),
    ]),
  )
}

type Counts = Readonly<Record<string, Readonly<Record<string, number>>>>

const get = (socketPath: string, path: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const asking = request({ socketPath, path }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => (text += part))
      response.on('end', () => resolve(text))
    })
    asking.on('error', cause =>
      reject(new Error(`cannot ask the emulator at ${socketPath}: ${cause.message}`, { cause })),
    )
    asking.end()
  })
