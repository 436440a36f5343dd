// A Resource Manager for unit tests: a local server with TLS that does what a test tells it to, and
// a client that trusts it. Its key and certificate, for 127.0.0.1 alone, protect nothing.

import type { IncomingMessage } from 'node:http'
import { type Server, createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { setDefaultCACertificates } from 'node:tls'
import { type Arm, type ArmOptions, createArm } from './client.ts'

const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgaREKbr+/oE3mkGU9
cbJmw5gGpoclesMUa8ETAgSVDIWhRANCAARXGqnNfSOOdMpyOtqYta1ep8Jg1jw8
eLVRtGKRKR4ziXazuLUFCjK0xDqXrIHBGjo7y5CBZXHIHDJWfoXcgcJ0
-----END PRIVATE KEY-----
`
const certificate = `-----BEGIN CERTIFICATE-----
MIIBlDCCATqgAwIBAgIUBreQXBxKNWDRWamX9R+c/MASBAgwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLZW5pd2F5IHRlc3QwIBcNMjYxMTIxMTExODAxWhgPMjEyNjEw
MjgxMTE4MDFaMBYxFDASBgNVBAMMC2VuaXdheSB0ZXN0MFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEVxqpzX0jjnTKcjramLWtXqfCYNY8PHi1UbRikSkeM4l2s7i1
BQoytMQ6l6yBwRo6O8uQgWVxyBwyVn6F3IHCdKNkMGIwHQYDVR0OBBYEFNCEYGu4
S4blja5o2nfXjcmh7KbNMB8GA1UdIwQYMBaAFNCEYGu4S4blja5o2nfXjcmh7KbN
MA8GA1UdEQQIMAaHBH8AAAEwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNI
ADBFAiBXzUiOUz10QZvWhCAaoMqqKo7o4tvYDBTFlF7987g57wIhALUxjHTSPfCY
8MLy9DXX9yKGkalQhz/RIBwCbRn0Q1m2
-----END CERTIFICATE-----
`

/** What reached the server; the body is parsed JSON, or undefined. */
export type Asked = {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: unknown
  readonly request: IncomingMessage
}

/** What to answer; undefined when the test has dealt with the connection itself. */
export type Reply =
  | {
      readonly status?: number
      readonly headers?: Readonly<Record<string, string>>
      /** Text goes as it is, anything else as JSON. */
      readonly body?: unknown
    }
  | undefined

export type Handler = (asked: Asked) => Reply

export interface FakeArm {
  readonly endpoint: string
  readonly asked: Asked[]
  handle: Handler
  client(options?: Partial<ArmOptions>): Arm
  close(): void
}

export const token = { token: 'a-token', expiresOnTimestamp: 4_000_000_000_000 }

/** Trusts its certificate in this process from now on. */
export const startFakeArm = async (): Promise<FakeArm> => {
  setDefaultCACertificates([certificate])
  const clients: Arm[] = []
  const server = createServer({ key, cert: certificate }, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.once('end', () => {
      const { method = '', url: path = '', headers } = request
      const body = parsed(Buffer.concat(chunks).toString())
      const asked = { method, path, headers, body, request }
      fake.asked.push(asked)
      const reply = fake.handle(asked)
      if (reply === undefined) return
      const isText = typeof reply.body === 'string'
      const type = isText ? 'text/html' : 'application/json; charset=utf-8'
      response.writeHead(reply.status ?? 200, { 'content-type': type, ...reply.headers })
      response.end(isText ? reply.body : JSON.stringify(reply.body))
    })
  })
  await listening(server)
  const endpoint = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  const fake: FakeArm = {
    endpoint,
    asked: [],
    handle: () => ({ status: 404 }),
    client: options => {
      const credential = { getToken: async () => token }
      const audience = 'https://management.azure.com'
      const subscription = 'subscription-1'
      const arm = createArm({
        endpoint,
        audience,
        subscription,
        createCredential: () => credential,
        ...options,
      })
      clients.push(arm)
      return arm
    },
    close: () => {
      for (const client of clients) client.close()
      server.closeAllConnections()
      server.close()
    },
  }
  return fake
}

const listening = (server: Server): Promise<void> =>
  new Promise(resolve => void server.listen(0, '127.0.0.1', resolve))

const parsed = (text: string): unknown => {
  if (text === '') return undefined
  const value: unknown = JSON.parse(text)
  return value
}
