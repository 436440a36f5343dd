// The daemon's end of the wire: turns POST /cni of node:http into a call of handle. Who may connect
// is decided by whoever opens the socket.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Reply } from '../spec/call.ts'
import { handle, type Context } from './handle.ts'
import type { Attachments } from './ports.ts'
import {
  callBytesMax,
  callPath,
  chooseProtocol,
  exitCodeHeader,
  parseCall,
  protocolHeader,
  protocolRange,
  type Call,
} from './wire.ts'

/** Told about every answered call, for metrics and logs. */
export type Answered = {
  readonly call: Call
  readonly reply: Reply
  /** From the arrival of the request to the reply. */
  readonly seconds: number
}

export type HandlerOptions = {
  /** Milliseconds on any clock; without it answers are told to have taken no time. */
  readonly nowMs?: () => number
  /** Told about exceptions, which callers only see as code 100. */
  readonly report?: (fault: unknown) => void
  readonly onAnswered?: (answered: Answered) => void
}

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

/** A listener for node:http's `request` event. Answers 404, 405, 413, 400, 426 in plain text. */
export const cniRequestHandler = (
  attachments: Attachments,
  options: HandlerOptions = {},
): RequestHandler => {
  return (request, response) => {
    serve(request, response, { attachments, options }).catch((error: unknown) => {
      options.report?.(error)
      response.destroy()
    })
  }
}

type Service = { readonly attachments: Attachments; readonly options: HandlerOptions }

const serve = async (
  request: IncomingMessage,
  response: ServerResponse,
  { attachments, options }: Service,
): Promise<void> => {
  const startedMs = options.nowMs?.() ?? 0
  const protocol = chooseProtocol(String(request.headers[protocolHeader] ?? '1'))
  const refusal = refuse(request, protocol)
  if (refusal !== undefined) return sayPlainly(request, response, refusal)
  const body = await readBody(request)
  if (body === undefined) return sayPlainly(request, response, tooLarge)
  const call = parseCall(body)
  if (call === undefined) return sayPlainly(request, response, notACall)
  const reply = await handle(call, attachments, contextOf(response, options))
  // The caller is a process on the same machine: it needs no clock of ours.
  response.sendDate = false
  response.writeHead(200, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(reply.stdout),
    [protocolHeader]: String(protocol),
    [exitCodeHeader]: String(reply.exitCode),
  })
  response.end(reply.stdout)
  const seconds = ((options.nowMs?.() ?? 0) - startedMs) / 1000
  options.onAnswered?.({ call, reply, seconds })
}

// The caller closes its socket when it gives up or is killed; then nobody waits for the pod.
const contextOf = (response: ServerResponse, { report }: HandlerOptions): Context => {
  const controller = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) controller.abort()
  })
  return { signal: controller.signal, ...(report === undefined ? {} : { report }) }
}

type Refusal = { readonly status: number; readonly text: string }

const tooLarge: Refusal = {
  status: 413,
  text: `a call may have at most ${callBytesMax} bytes of JSON`,
}

const notACall: Refusal = {
  status: 400,
  text: 'a call is a JSON object with environment (an object of strings) and stdin (a string)',
}

const refuse = (request: IncomingMessage, protocol: number | undefined): Refusal | undefined => {
  const { url = '', method = '' } = request
  if (url !== callPath) {
    return { status: 404, text: `there is no ${url} here; send POST ${callPath}` }
  }
  if (method !== 'POST') return { status: 405, text: `send POST, not ${method}` }
  if (protocol === undefined) {
    const text = `this daemon speaks ${protocolHeader} ${protocolRange}; install the executable again`
    return { status: 426, text }
  }
  return Number(request.headers['content-length'] ?? 0) > callBytesMax ? tooLarge : undefined
}

const sayPlainly = (request: IncomingMessage, response: ServerResponse, refusal: Refusal): void => {
  response.writeHead(refusal.status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(refusal.text) + 1,
    [protocolHeader]: protocolRange,
    // Rather than reading a body nobody wants.
    connection: 'close',
  })
  response.end(`${refusal.text}\n`)
  request.resume()
}

// What exceeds the limit is read and forgotten, so that the caller still gets the refusal. A caller
// that leaves in the middle gets it too, which harms nobody.
const readBody = (request: IncomingMessage): Promise<string | undefined> =>
  new Promise(resolve => {
    const chunks: Buffer[] = []
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > callBytesMax) return resolve(undefined)
      chunks.push(chunk)
    })
    request.once('end', () => resolve(Buffer.concat(chunks, bytes).toString('utf8')))
    request.once('error', () => resolve(undefined))
  })
