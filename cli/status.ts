// `eniway status`: the node's NICs, pools, waiting pods, call budget and what went wrong last.

import { Command } from 'commander'
import type { NodeView } from '#ipamd/views.ts'
import { ask, type AskOptions, outputOption, portOption } from './ask.ts'

export const statusCommand = (): Command =>
  new Command('status')
    .description("Show this node's NICs, address pools, waiting pods, call budget and last errors.")
    .addOption(portOption())
    .addOption(outputOption())
    .action(async (options: AskOptions) => {
      const asked = await ask('/v1/node', options)
      if (asked.kind !== 'answered') {
        process.stderr.write(`eniway status: ${asked.message}\n`)
        process.exitCode = 1
        return
      }
      const text =
        options.output === 'json'
          ? JSON.stringify(asked.value)
          : statusText(asked.value as NodeView)
      process.stdout.write(`${text}\n`)
    })

/** The view as text for a terminal of 100 columns. */
export const statusText = (view: NodeView): string =>
  [
    `${view.node}: ${view.instanceType} ${view.instanceId} in ${view.zone}, ` +
      (view.ready ? 'ready' : 'not ready'),
    '',
    ...table([
      ['POOL', 'WANTED', 'WARM', 'ASSIGNED', 'COOLING', 'SETTLING', 'RELEASING', 'LOST', 'WAITING'],
      ...view.pools.map(pool => [
        pool.name,
        ...[pool.wanted, pool.warm, pool.assigned, pool.cooling, pool.settling].map(String),
        ...[pool.releasing, pool.lost, pool.waiting].map(String),
      ]),
    ]),
    '',
    ...table([
      ['NIC', 'DEVICE', 'PHASE', 'SUBNET', 'BLOCKS', 'WARM', 'ASSIGNED', 'COOLING'],
      ...view.nics.map(({ id, device, phase, subnet, blocks, counts }) => [
        id,
        device === '' ? '-' : device,
        phase,
        subnet,
        ...[blocks.length, counts.warm, counts.assigned, counts.cooling].map(String),
      ]),
    ]),
    ...section(
      'waiting',
      view.waiting.map(({ pod, sandbox, forMs, why }) => {
        const who = pod === '' ? sandbox : pod
        return `${who} for ${(forMs / 1000).toFixed(1)} s: ${why}`
      }),
    ),
    ...section(
      'calls under way',
      view.calls.map(({ call, forMs }) => `${call} for ${(forMs / 1000).toFixed(1)} s`),
    ),
    ...section(
      'budget',
      view.budget.map(
        ({ call, tokens, burst, perSecond, blockedForMs }) =>
          `${call}: ${tokens} of ${burst} calls, ${perSecond} a second` +
          (blockedForMs > 0 ? `, blocked for ${Math.ceil(blockedForMs / 1000)} s` : ''),
      ),
    ),
    ...section(
      'last errors',
      view.errors.map(({ text, count, lastAt }) => {
        return `${new Date(lastAt).toISOString()} (${count} times) ${text}`
      }),
    ),
  ].join('\n')

const section = (title: string, lines: readonly string[]): readonly string[] =>
  lines.length === 0 ? [] : ['', `${title}:`, ...lines.map(line => `  ${line}`)]

const table = (rows: readonly (readonly string[])[]): readonly string[] => {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map(row => row[column]?.length ?? 0)),
  )
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
