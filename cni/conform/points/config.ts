// Points about the network configuration a plugin reads.

import { allOf, fails, NotApplicable, notApplicable, want, wants } from '../judge.ts'
import type { Judge, Point } from '../judge.ts'
import { codeOf, objectOf, quote, summaryOf, type Execution, textOf } from '../record.ts'
import { capabilitiesOf, dns, unknownKey } from '../scenarios/config.ts'
import { isObject } from '../../spec/json.ts'
import { entriesOf } from '../record.ts'

const section = 'Network configuration format'
const capabilities = 'CONVENTIONS: dynamic plugin specific fields'

const unknownKeys = wants(
  want('ADD with an unknown key', execution => {
    if (execution.exitCode === 0) return undefined
    return codeOf(execution) === 2
      ? new NotApplicable('it refuses unknown keys, which point 22 allows')
      : summaryOf(execution)
  }),
)

const refusedKey = wants(
  want('ADD with an unknown key', execution => {
    if (codeOf(execution) !== 2) return new NotApplicable('it accepts unknown keys')
    const message = textOf(objectOf(execution)?.['msg'])
    return message.includes(unknownKey.name) && message.includes(unknownKey.value)
      ? undefined
      : `the message names not both key and value: ${quote(message)}`
  }),
)

const sameDns = (execution: Execution): string | undefined | NotApplicable => {
  if (execution.exitCode !== 0) return `dns is refused: ${summaryOf(execution)}`
  const given = objectOf(execution)?.['dns']
  const servers: unknown = isObject(given) ? given['nameservers'] : undefined
  if (!Array.isArray(servers) || servers.length === 0) {
    return new NotApplicable('it does not consume dns')
  }
  const isSame = Object.entries(dns).every(([key, value]) => {
    return isObject(given) && JSON.stringify(given[key]) === JSON.stringify(value)
  })
  return isSame ? undefined : `dns became ${quote(JSON.stringify(given))}`
}

const malformedCapabilities: Judge = recording => {
  const declared = capabilitiesOf(recording.plugin)
  if (declared.length === 0) return notApplicable('its configuration declares no capability')
  return wants(...declared.map(name => want(`ADD with a malformed capability ${name}`, fails)))(
    recording,
  )
}

const argsWin: Judge = recording => {
  const first = (label: string): string => {
    const execution = recording.executions.get(label)
    if (execution?.exitCode !== 0) return ''
    return textOf(entriesOf(objectOf(execution), 'ips')[0]?.['address'])
  }
  const [one, other] = [first('ADD for an address, 3'), first('ADD for an address, 2')]
  const obeys = first('ADD with args.cni.ips') === one && first('ADD with CNI_ARGS IP') === other
  if (one === '' || other === '' || !obeys) {
    return notApplicable('it ignores args.cni or CNI_ARGS, as it may, so none can win')
  }
  const label = 'ADD with args.cni.ips and CNI_ARGS'
  const check = (execution: Execution) =>
    first(label) === one
      ? undefined
      : `wanted ${one}: ${summaryOf(execution)} ${first(label)}`.trim()
  return wants(want(label, check))(recording)
}

const chainable: Judge = recording => {
  if (recording.role !== 'adjusting') {
    return notApplicable('it makes interfaces or addresses of its own')
  }
  const succeeds = (execution: Execution) =>
    execution.exitCode === 0 ? undefined : summaryOf(execution)
  return wants(
    want('ADD behind another plugin', succeeds),
    want('ADD behind a plugin without host interface', succeeds),
  )(recording)
}

const storedKeys: Judge = ({ plugin }) => {
  const keys = Object.keys(plugin).filter(key => /^(?:runtimeConfig|args|cni\.dev\/.*)$/.test(key))
  return keys.length > 0
    ? { status: 'fail', evidence: `the list it was given stores ${keys.join(', ')}` }
    : notApplicable('an executable stores no list; the one it was given holds no such key')
}

export const configPoints: readonly Point[] = [
  {
    id: 6,
    level: 'MUST',
    section,
    text: 'A key the plugin does not know never breaks the reading of its configuration.',
    judge: unknownKeys,
  },
  {
    id: 20,
    level: 'SHOULD',
    section,
    text: 'Stored configuration holds no runtimeConfig, no args and no key starting with cni.dev/.',
    judge: storedKeys,
  },
  {
    id: 21,
    level: 'SHOULD',
    section,
    text: 'The well-known keys ipam and dns keep their meaning where they are consumed.',
    judge: allOf(
      wants(want('ADD with dns', sameDns)),
      wants(want('ADD with a slash in ipam.type', fails)),
    ),
  },
  {
    id: 22,
    level: 'MAY',
    section,
    text: 'A plugin that refuses unknown keys does so with code 2, naming the key and its value.',
    judge: refusedKey,
  },
  {
    id: 129,
    level: 'CONVENTION',
    section: capabilities,
    text: 'A malformed value of a capability the plugin asked for makes it fail.',
    judge: malformedCapabilities,
  },
  {
    id: 130,
    level: 'CONVENTION',
    section: 'CONVENTIONS: args in network config',
    text: 'args.cni may be ignored; where the plugin obeys it and CNI_ARGS, args.cni wins.',
    judge: argsWin,
  },
  {
    id: 132,
    level: 'CONVENTION',
    section: 'CONVENTIONS: plugin authors',
    text: 'A plugin that does not care for the kind of interface works behind any other.',
    judge: chainable,
  },
]
