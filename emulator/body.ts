// Reads what a client sent, up to a size; every face of the emulator uses it.
import type { IncomingMessage } from 'node:http'

/** Larger bodies are refused; a call with 1,000 addresses has about 30 kB in EC2's form. */
const bodyMaxBytes = 1 << 20

/** The request's body as text; undefined when it is too large or broken off. */
export const readBody = async (request: IncomingMessage): Promise<string | undefined> => {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > bodyMaxBytes) return undefined
      chunks.push(chunk)
    }
  } catch {
    return undefined
  }
  return Buffer.concat(chunks).toString()
}
