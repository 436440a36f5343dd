// Points about DEL.

import {
  allOf,
  fail,
  NotApplicable,
  notApplicable,
  pass,
  succeeds,
  want,
  wants,
  type Judge,
  type Point,
  type Want,
} from '../judge.ts'
import {
  added,
  changesOf,
  entriesOf,
  newLinks,
  objectOf,
  summaryOf,
  type Execution,
  textOf,
} from '../record.ts'

const section = 'DEL'

// The kernel gives these to a loopback that is raised, and leaves the first when it is put down.
const isNotKernels = (line: string): boolean =>
  line !== 'address 127.0.0.1/8 dev lo' && line !== 'address ::1/128 dev lo'

const undone: Judge = recording => {
  if (recording.role === 'ipam') {
    return notApplicable('what an IPAM plugin changes is not in the namespaces; see point 76')
  }
  const verdict = wants(want('DEL', succeeds))(recording)
  if (verdict.status !== 'pass') return verdict
  const { snapshots, executions } = recording
  const before = snapshots.get('host at rest')
  const after = snapshots.get('host after DEL')
  const pod = executions.get('ADD')?.pod?.before
  const podAfter = snapshots.get('pod after DEL')
  if (!before || !after || !pod || !podAfter) return notApplicable('nothing was looked at')
  const left = [...added(before, after), ...added(pod, podAfter)].filter(isNotKernels)
  if (left.length > 0) return fail(`left behind: ${left.join(', ')}`)
  const gone = [...added(after, before), ...added(podAfter, pod)]
  return gone.length > 0
    ? fail(`removed what was there before: ${gone.join(', ')}`)
    : pass('both namespaces are as they were before ADD')
}

const reachesDelegate: Want['expect'] = execution => {
  if (execution.delegate.some(({ verb }) => verb === 'DEL')) {
    return execution.exitCode === 0 ? undefined : summaryOf(execution)
  }
  return 'the delegate got no DEL'
}

const returnsError: Want['expect'] = execution =>
  execution.exitCode === 0 ? "the delegate's error is lost (exit 0)" : undefined

const unharmed: Want['expect'] = execution => {
  const { pod, host } = execution
  if (execution.exitCode !== 0) return summaryOf(execution)
  const changes = [pod, host].map(seen => (seen === undefined ? '' : changesOf(seen)))
  return changes.every(text => text === '')
    ? undefined
    : `harmed the newer attachment: ${changes.join(' ')}`
}

const firstAddress = (execution: Execution | undefined): string => {
  const result = execution === undefined ? undefined : objectOf(execution)
  return textOf(entriesOf(result, 'ips')[0]?.['address'])
}

// Whoever comes next must not get what the newer attachment holds.
const addressKept: Judge = recording => {
  const held = firstAddress(recording.executions.get('ADD of a newer attachment'))
  const label = 'ADD after the late DEL'
  if (held === '') return notApplicable('its result has no addresses')
  return wants(
    want(label, execution => {
      if (execution.exitCode !== 0) return new NotApplicable(summaryOf(execution))
      return firstAddress(execution) === held && recording.role !== 'adjusting'
        ? `${held} was given to another pod while it was held`
        : undefined
    }),
  )(recording)
}

const released: Judge = recording => {
  const control = recording.executions.get('ADD for a held address')
  const held = firstAddress(recording.executions.get('ADD to be released without a namespace'))
  if (control !== undefined && firstAddress(control) === held) {
    return fail(`gave ${held} to two containers`)
  }
  // It gave another one than it was asked for, so what it gives next tells nothing.
  if (control?.exitCode === 0) return forgotten(recording)
  return wants(
    want('ADD for a released address', execution =>
      firstAddress(execution) === held
        ? undefined
        : `${held} was not released: ${summaryOf(execution)}`,
    ),
  )(recording)
}

const forgotten: Judge = recording => {
  const control = recording.executions.get('CHECK of a held address')
  if (control === undefined || control.exitCode !== 0) {
    return notApplicable('it takes no wishes for an address, and its CHECK needs a namespace')
  }
  return wants(
    want('CHECK of a released address', execution =>
      execution.exitCode === 0 ? 'CHECK still finds the address after DEL' : undefined,
    ),
  )(recording)
}

const stillThere: Want['expect'] = (execution, { role }) => {
  if (role !== 'interface') return new NotApplicable('it makes no interface')
  if (execution.exitCode !== 0) return summaryOf(execution)
  return execution.pod !== undefined && newLinks(execution.pod).length > 0
    ? undefined
    : 'the interface was not there to begin with'
}

export const delPoints: readonly Point[] = [
  {
    id: 72,
    level: 'SHOULD',
    section,
    text: 'DEL undoes what ADD did, on the host too.',
    judge: allOf(undone, wants(want('ADD', stillThere))),
  },
  {
    id: 73,
    level: 'MUST',
    section,
    text: 'A DEL that comes again succeeds.',
    judge: wants(want('repeated DEL', succeeds), want('DEL of what was never added', succeeds)),
  },
  {
    id: 74,
    level: 'MUST',
    section,
    text: 'DEL succeeds without prevResult.',
    judge: wants(want('DEL without prevResult', succeeds)),
  },
  {
    id: 75,
    level: 'SHOULD',
    section,
    text: 'DEL succeeds without namespace, interface, CNI_NETNS and state, cleaning what it can.',
    judge: wants(
      want('DEL without its interface', succeeds),
      want('DEL without its namespace', succeeds),
      want('DEL without CNI_NETNS', succeeds),
      want('DEL of what was never added', succeeds),
    ),
  },
  {
    id: 76,
    level: 'SHOULD',
    section,
    text: 'An IPAM plugin releases the address although the namespace is gone.',
    judge: released,
  },
  {
    id: 77,
    level: 'MUST',
    section: 'Section 4: delegation',
    text: "DEL reaches the delegate even without an interface, and the delegate's error comes back.",
    judge: wants(
      want('delegated DEL', reachesDelegate),
      want('delegated DEL without its interface', reachesDelegate),
      want('DEL while the delegate refuses', returnsError),
    ),
  },
  {
    id: 78,
    level: 'ENGINEERING',
    section,
    text: 'A late DEL of an older container harms nothing of a newer one with the same address.',
    judge: allOf(
      wants(want('late DEL', unharmed), want('CHECK after the late DEL', succeeds)),
      addressKept,
    ),
  },
  {
    id: 83,
    level: 'ENGINEERING',
    section,
    text: "DEL succeeds while the plugin's daemon is down.",
    judge: wants(want('DEL without a daemon', succeeds)),
  },
]
