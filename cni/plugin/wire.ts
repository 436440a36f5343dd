// What the executable and the daemon say to each other: HTTP/1.1 on the daemon's unix socket.
//
//   POST /cni                              HTTP/1.1 200
//   eniway-protocol: 1-1                   eniway-protocol: 1
//   {"environment": {...}, "stdin": "…"}   eniway-exit-code: 0
//                                          <stdout of the plugin, verbatim>
//
// stdin travels as a string, so that garbage reaches the daemon as text and gets a proper answer.
// The same JSON is the content of the files in pending-del/. The other side is shim/eniway.c.

import { isObject, parseObject } from '../spec/json.ts'

/** A CNI invocation as the executable received it. */
export type Call = {
  readonly environment: Readonly<Record<string, string>>
  readonly stdin: string
}

export const callPath = '/cni'
export const protocolHeader = 'eniway-protocol'
export const exitCodeHeader = 'eniway-exit-code'

/** Size of a request's JSON, the same limit as in the executable. */
export const callBytesMax = 1 << 20

/** Default of the configuration key `socket`. */
export const defaultSocket = '/run/eniway/cni.sock'

const protocolMin = 1
const protocolMax = 1

/** The highest protocol both sides speak, from the caller's `min-max` or single number. */
export const chooseProtocol = (offered: string): number | undefined => {
  const match = /^\s*(\d{1,6})(?:\s*-\s*(\d{1,6}))?\s*$/.exec(offered)
  if (match === null) return undefined
  const highest = Math.min(Number(match[2] ?? match[1]), protocolMax)
  return highest >= Math.max(Number(match[1]), protocolMin) ? highest : undefined
}

/** What to tell a caller whose protocol range does not meet ours. */
export const protocolRange = `${protocolMin}-${protocolMax}`

/** Reads the JSON of a call; undefined when it is not one. */
export const parseCall = (text: string): Call | undefined => {
  const object = parseObject(text, 'the call')
  if (object.kind === 'failed') return undefined
  const { environment, stdin } = object.value
  if (!isObject(environment) || typeof stdin !== 'string') return undefined
  if (!Object.values(environment).every(entry => typeof entry === 'string')) return undefined
  return { environment: environment as Record<string, string>, stdin }
}
