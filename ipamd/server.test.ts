import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { millis } from '#core/names.ts'
import { serve } from '#runtime/http.ts'
import { createMetrics } from '#runtime/metrics.ts'
import { stateHandler } from './server.ts'

test('a path that is none is an answer, not a cut connection', async () => {
  const parts = {
    state: () => expect.unreachable('nobody needs the state for this'),
    now: () => millis(0),
    metrics: createMetrics(),
  }
  const server = await serve({ kind: 'loopback', port: 0 }, stateHandler(parts))
  const peer = connect(server.port, '127.0.0.1', () =>
    peer.write('GET // HTTP/1.1\r\nConnection: close\r\n\r\n'),
  )
  const said = await text(peer)
  expect(said).toMatch(/^HTTP\/1\.1 400 /)
  expect(said).toMatch(/{"error":"\/\/ is no path"}\n$/)
  await server.close(1000)
})
