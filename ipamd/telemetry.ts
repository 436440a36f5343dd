// What the daemon tells about itself: log lines for what happened, gauges computed from the state,
// and how long ADDs and DELs took.

import type { Answered } from '#cni/plugin/http.ts'
import type { Event } from '#core/event.ts'
import type { Millis } from '#core/names.ts'
import type { State } from '#core/state.ts'
import type { Log } from '#runtime/log.ts'
import { createInstruments, type Metrics } from '#runtime/metrics.ts'
import type { CallReport } from './perform.ts'
import { nodeView } from './views.ts'

export type Telemetry = {
  onEvent(event: Event): void
  onCall(call: CallReport): void
  /** A call on the wire; one call of the port may be several. */
  onWireCall(name: string, result: string): void
  onAnswered(answered: Answered): void
}

type Parts = {
  readonly log: Log
  readonly metrics: Metrics
  readonly state: () => State
  readonly now: () => Millis
}

export const createTelemetry = (parts: Parts): Telemetry => {
  const { log, metrics } = parts
  const instruments = createInstruments(metrics)
  const repairs = metrics.counter({
    name: 'repairs_total',
    help: 'Kernel objects of ours that somebody removed or changed and that were put back.',
  })
  describeState(parts)
  return {
    onEvent: event => {
      if (event.kind === 'podWired' && event.outcome.kind === 'failed') {
        log.warn('pod not wired', { sandbox: event.key, ...event.outcome.failure })
      }
      if (event.kind !== 'hostReconciled') return
      const { repaired, failures } = event.report
      if (repaired.length > 0) {
        log.warn('wiring repaired', { objects: repaired })
        repairs({}, repaired.length)
      }
      if (failures.length > 0) log.error('wiring incomplete', { failures })
    },
    onCall: ({ action, failure, milliseconds }) => {
      const { kind: call } = action
      instruments.cloudCalls({ call, result: failure?.kind ?? 'ok' })
      const fields = { ...action, kind: undefined, call, ms: milliseconds }
      if (failure === undefined) log.info('cloud call', fields)
      else log.warn('cloud call failed', { ...fields, failure })
    },
    onWireCall: (name, result) => instruments.cloudRequests({ name, result }),
    onAnswered: ({ call, reply, seconds }) => {
      const command = call.environment['CNI_COMMAND']
      const result = reply.exitCode === 0 ? 'ok' : 'failed'
      if (command === 'ADD') instruments.addSeconds(seconds, { result })
      if (command === 'DEL') instruments.delSeconds(seconds, { result })
      const fields = { command, container: call.environment['CNI_CONTAINERID'], ms: seconds * 1000 }
      if (reply.exitCode === 0) log.debug('cni call', fields)
      else log.warn('cni call refused', { ...fields, answer: reply.stdout.trim() })
    },
  }
}

const addressStates = ['warm', 'assigned', 'cooling', 'settling', 'releasing', 'lost'] as const

const describeState = ({ metrics, state, now }: Parts): void => {
  const view = () => nodeView(state(), now())
  metrics.gauge(
    {
      name: 'pool_addresses',
      help: 'Addresses by pool, family and state.',
      labels: ['pool', 'family', 'state'],
    },
    () =>
      view().pools.flatMap(({ name: pool, families }) =>
        families.flatMap(counts =>
          addressStates.map(state => ({
            labels: { pool, family: counts.family, state },
            value: counts[state],
          })),
        ),
      ),
  )
  metrics.gauge(
    {
      name: 'pool_wanted_addresses',
      help: 'Addresses of each family a pool wants to hold.',
      labels: ['pool', 'family'],
    },
    () =>
      view().pools.flatMap(({ name: pool, families }) =>
        families.map(({ family, wanted }) => ({ labels: { pool, family }, value: wanted })),
      ),
  )
  metrics.gauge(
    { name: 'pool_waiting_pods', help: 'ADDs that wait for an address.', labels: ['pool'] },
    () => view().pools.map(pool => ({ labels: { pool: pool.name }, value: pool.waiting })),
  )
  metrics.gauge({ name: 'nics', help: 'NICs by phase of their life.', labels: ['phase'] }, () => {
    const counts = new Map<string, number>()
    for (const { phase } of view().nics) counts.set(phase, (counts.get(phase) ?? 0) + 1)
    return [...counts].map(([phase, value]) => ({ labels: { phase }, value }))
  })
  metrics.gauge(
    { name: 'budget_tokens', help: 'Cloud calls that may be made now.', labels: ['call'] },
    () => view().budget.map(({ call, tokens }) => ({ labels: { call }, value: tokens })),
  )
  metrics.gauge({ name: 'ready', help: '1 when an ADD would be served now.' }, () =>
    view().ready ? 1 : 0,
  )
}
