// Prometheus metrics, all with the prefix `eniway_`. Gauges are computed from the state when
// somebody asks, so a gauge can never disagree with what the daemon believes.

import { Counter, Gauge, Histogram, Registry } from 'prom-client'

export type Labels = { readonly [name: string]: string }

/** One line of a gauge: the label values and the number. */
export type Sample = { readonly labels: Labels; readonly value: number }

type Described = {
  /** Without the prefix, in Prometheus style: `pool_addresses`. */
  readonly name: string
  readonly help: string
  readonly labels?: readonly string[]
}

export interface Metrics {
  readonly contentType: string
  /** What a scrape returns. */
  text(): Promise<string>
  /** Computed anew at every scrape; label values that are not returned again disappear. */
  gauge(described: Described, collect: () => number | readonly Sample[]): void
  /** Returns the function that counts. */
  counter(described: Described): (labels?: Labels, by?: number) => void
  /** Returns the function that observes a span in seconds. */
  histogram(described: Described): (seconds: number, labels?: Labels) => void
}

// An ADD takes about a millisecond when an address is warm and seconds when it waits for a grow.
const secondsBuckets = [
  0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.125, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64,
]

const prefix = 'eniway_'

/** A registry of its own, so that two daemons in one process do not share numbers. */
export const createMetrics = (): Metrics => {
  const registry = new Registry()
  const common = (described: Described) => ({
    name: prefix + described.name,
    help: described.help,
    labelNames: described.labels ?? [],
    registers: [registry],
  })
  return {
    contentType: registry.contentType,
    text: () => registry.metrics(),
    gauge: (described, collect) => void new Gauge(scraped(common(described), collect)),
    counter: described => {
      const counter = new Counter(common(described))
      return (labels = {}, by = 1) => counter.inc(labels, by)
    },
    histogram: described => {
      const histogram = new Histogram({ ...common(described), buckets: secondsBuckets })
      return (seconds, labels = {}) => histogram.observe(labels, seconds)
    },
  }
}

/** The instruments that every long-running process of ours has in common. */
export const createInstruments = (metrics: Metrics) => ({
  addSeconds: metrics.histogram({
    name: 'add_seconds',
    help: 'Time from request to reply of CNI ADD, by result.',
    labels: ['result'],
  }),
  delSeconds: metrics.histogram({
    name: 'del_seconds',
    help: 'Time from request to reply of CNI DEL, by result.',
    labels: ['result'],
  }),
  cloudCalls: metrics.counter({
    name: 'cloud_calls_total',
    help: 'Calls to the cloud, by call and result (ok or the kind of failure).',
    labels: ['call', 'result'],
  }),
  cloudRequests: metrics.counter({
    name: 'cloud_requests_total',
    help: "Requests on the wire, by the cloud's name of the call and result (ok or its code).",
    labels: ['name', 'result'],
  }),
})

const scraped = <Common extends object>(
  common: Common,
  collect: () => number | readonly Sample[],
) => ({
  ...common,
  collect(this: Gauge): void {
    this.reset()
    const collected = collect()
    if (typeof collected === 'number') return this.set(collected)
    for (const sample of collected) this.set(sample.labels, sample.value)
  },
})
