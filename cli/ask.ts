// Asking the daemon of this node over its state port.

import { Option } from 'commander'

export type AskOptions = { readonly port: string; readonly output: 'text' | 'json' }

/** The daemon's answer, or one sentence why there is none. */
export type Asked =
  | { readonly kind: 'answered'; readonly value: unknown }
  | { readonly kind: 'refused'; readonly status: number; readonly message: string }
  | { readonly kind: 'unreachable'; readonly message: string }

export const portOption = (): Option =>
  new Option('--port <number>', "the daemon's state port on 127.0.0.1")
    .default('61680')
    .env('ENIWAY_HTTP_PORT')

export const outputOption = (): Option =>
  new Option('--output <format>', 'one JSON object, or text for people')
    .choices(['text', 'json'])
    .default('text')

/** GETs a path such as `/v1/node`. */
export const ask = async (path: string, { port }: Pick<AskOptions, 'port'>): Promise<Asked> => {
  const url = `http://127.0.0.1:${port}${path}`
  const response = await fetch(url, { signal: AbortSignal.timeout(askMs) }).catch(() => undefined)
  if (response === undefined) {
    const message =
      `cannot reach the eniway daemon at ${url}; run this on the node (inside its network ` +
      'namespace) and check that the daemon runs there'
    return { kind: 'unreachable', message }
  }
  const value: unknown = await response.json()
  if (response.ok) return { kind: 'answered', value }
  const { error } = value as { readonly error?: string }
  return { kind: 'refused', status: response.status, message: error ?? response.statusText }
}

const askMs = 5_000
