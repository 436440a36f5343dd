import { expect, test } from 'vitest'
import { createInstruments, createMetrics } from './metrics.ts'

const lines = async (metrics: { text(): Promise<string> }) =>
  (await metrics.text()).split('\n').filter(line => line !== '' && !line.startsWith('#'))

test('a gauge is computed at every scrape and forgets what is gone', async () => {
  const metrics = createMetrics()
  let pools = [
    { labels: { pool: 'default' }, value: 3 },
    { labels: { pool: 'db' }, value: 1 },
  ]
  metrics.gauge({ name: 'warm', help: 'h', labels: ['pool'] }, () => pools)
  expect(await lines(metrics)).toEqual([
    'eniway_warm{pool="default"} 3',
    'eniway_warm{pool="db"} 1',
  ])
  pools = [{ labels: { pool: 'default' }, value: 5 }]
  expect(await lines(metrics)).toEqual(['eniway_warm{pool="default"} 5'])
})

test('a gauge without labels is one number', async () => {
  const metrics = createMetrics()
  metrics.gauge({ name: 'waiting', help: 'h' }, () => 4)
  expect(await lines(metrics)).toEqual(['eniway_waiting 4'])
})

test('counters and histograms carry their labels', async () => {
  const metrics = createMetrics()
  const { addSeconds, cloudCalls } = createInstruments(metrics)
  cloudCalls({ call: 'CreateNetworkInterface', result: 'throttled' })
  cloudCalls({ call: 'CreateNetworkInterface', result: 'throttled' }, 2)
  addSeconds(0.0004, { result: 'ok' })
  const text = await lines(metrics)
  expect(text).toContain(
    'eniway_cloud_calls_total{call="CreateNetworkInterface",result="throttled"} 3',
  )
  expect(text).toContain('eniway_add_seconds_bucket{le="0.0005",result="ok"} 1')
})
