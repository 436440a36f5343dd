// Executions in which a recording stand-in takes the place of the plugin's IPAM delegate.

import { isAtLeast } from '../../spec/versions.ts'
import type { Answers } from '../delegate.ts'
import type { Lab, Pod, Run } from '../lab.ts'
import { inside } from '../namespaces.ts'
import { objectOf } from '../record.ts'
import { takeName } from './add.ts'

/** The code with which the delegate refuses. */
export const refusalCode = 111

const refusal = JSON.stringify({ code: refusalCode, msg: 'the delegate refuses' })
const refuses = { stdout: refusal, exit: 1 }

// The real delegate may be older than STATUS and GC; whether it knows them is not the question.
const agreeing: Answers = {
  STATUS: { stdout: '', exit: 0 },
  GC: { stdout: '', exit: 0 },
}

/** Labels of the executions that show whether each verb reaches the delegate. */
export const forwarded = ['ADD', 'CHECK', 'DEL', 'STATUS', 'GC'].map(verb => `delegated ${verb}`)

const refusals = [
  'ADD while the delegate refuses',
  'ADD while the delegate gives no address',
  'delegated ADD with a name that is taken',
  'CHECK while the delegate refuses',
  'DEL while the delegate refuses',
  'STATUS while the delegate refuses',
  'GC while the delegate refuses',
  'delegated DEL without its interface',
] as const

export const runDelegation = async (lab: Lab): Promise<void> => {
  if (lab.delegateType === undefined || lab.role === 'ipam') {
    return lab.skip('its configuration names no delegate', ...forwarded, ...refusals)
  }
  await obedient(lab)
  await failing(lab)
  await attachmentFailing(lab)
  await nodeWide(lab)
}

const obedient = async (lab: Lab): Promise<void> => {
  const pod = await lab.pod()
  const run = { pod, answers: agreeing }
  const result = objectOf(await lab.run('delegated ADD', run))
  const check = { ...run, verb: 'CHECK', result }
  if (isAtLeast(lab.version, '0.4.0')) await lab.run('delegated CHECK', check)
  else lab.skip('it supports no version that knows CHECK', 'delegated CHECK')
  await lab.run('delegated DEL', { ...run, verb: 'DEL', result })
  await lab.removePod(pod)
}

const failing = async (lab: Lab): Promise<void> => {
  const noAddress = { stdout: JSON.stringify({ cniVersion: lab.version }), exit: 0 }
  await alone(lab, refusals[0], { answers: { ADD: refuses } })
  await alone(lab, refusals[1], { answers: { ADD: noAddress } })
  if (lab.role !== 'interface') return lab.skip('it makes no interface', refusals[2])
  await alone(lab, refusals[2], { answers: agreeing, prepare: takeName })
}

const alone = async (
  lab: Lab,
  label: string,
  { answers, prepare }: { answers: Answers; prepare?: (lab: Lab, pod: Pod) => Promise<void> },
): Promise<void> => {
  const pod = await lab.pod()
  await prepare?.(lab, pod)
  await lab.run(label, { pod, answers })
  await lab.removePod(pod)
}

const attachmentFailing = async (lab: Lab): Promise<void> => {
  const pod = await lab.pod()
  const add = await lab.run('ADD before the delegate refuses', { pod })
  const run: Run = { pod, result: objectOf(add) }
  const check = { ...run, verb: 'CHECK', answers: { CHECK: refuses } }
  if (isAtLeast(lab.version, '0.4.0')) await lab.run(refusals[3], check)
  else lab.skip('it supports no version that knows CHECK', refusals[3])
  await lab.run(refusals[4], { ...run, verb: 'DEL', answers: { DEL: refuses } })
  if (lab.role === 'interface') {
    await inside(pod.netns, 'ip', 'link', 'delete', lab.options.ifName).catch(() => undefined)
  }
  await lab.run(refusals[7], { ...run, verb: 'DEL', answers: agreeing })
  await lab.removePod(pod)
}

const nodeWide = async (lab: Lab): Promise<void> => {
  for (const verb of ['STATUS', 'GC']) {
    const labels = [`delegated ${verb}`, `${verb} while the delegate refuses`] as const
    if (!lab.supports('1.1.0')) {
      lab.skip('it supports no version that knows STATUS and GC', ...labels)
      continue
    }
    const config = verb === 'GC' ? { 'cni.dev/valid-attachments': [] } : {}
    await lab.run(labels[0], { verb, config, answers: agreeing })
    await lab.run(labels[1], { verb, config, answers: { [verb]: refuses } })
  }
}
