// The act of the demonstration in which packets travel: pods ask each other and the internet, and
// one pod lies about its address.

import { runCommand } from '#emulator/fabric/command.ts'
import { droppedLies } from './leftovers.ts'
import type { Problems } from './acts.ts'
import type { DemoNode } from './nodes.ts'
import type { Pod } from './pods.ts'
import { answerAll, askAll, sendLies, type Checked, type Question, type Speaker } from './reach.ts'
import type { Reached, Report } from './report.ts'
import { openSockets, closeSockets } from './sockets.ts'
import { nodesOf, type Stage } from './stage.ts'
import { counted, firstOf, heading, paragraph } from './text.ts'

const podPort = 7070
const nodePort = 7071

type Voice = Speaker & { readonly pod: Pod }

/** Every pod asks every other one and the internet; then lies are told. */
export const showTraffic = async (
  stage: Stage,
  pods: readonly Pod[],
  report: Report,
): Promise<Problems> => {
  const places = pods.map(({ netns, ip }) => ({ netns, address: ip, port: podPort }))
  stage.sockets = await openSockets(places, stage.signal)
  const voices = pods.flatMap((pod, index): readonly Voice[] => {
    const socket = stage.sockets[index]
    return socket === undefined ? [] : [{ name: pod.name, ip: pod.ip, socket, pod }]
  })
  answerAll(voices)
  stage.say(heading('Reachability'))
  const problems = [
    ...(await showPairs(stage, voices, report)),
    ...(await showInternet(stage, voices, report)),
    ...(await showLies(stage, voices, report)),
  ]
  return problems
}

const showPairs = async (
  stage: Stage,
  voices: readonly Voice[],
  report: Report,
): Promise<Problems> => {
  const questions = voices.flatMap(from =>
    voices.flatMap((to): readonly Question[] =>
      from === to ? [] : [{ from, to: { ...to, port: podPort }, seenAs: from.ip }],
    ),
  )
  const pairs = await askAll(questions, stage.signal)
  const sameNode = voices.reduce((sum, { pod }) => sum + neighbours(voices, pod), 0)
  report.reachability.podToPod = reachedOf(pairs)
  stage.say(
    paragraph(
      `Pod to pod: ${answered(pairs)} ordered pairs answered, ${sameNode} on one node and ` +
        `${questions.length - sameNode} across nodes, each seeing the asking pod's own address.`,
    ),
  )
  return problemsOf('pods do not reach each other', pairs)
}

const neighbours = (voices: readonly Voice[], { node }: Pod): number =>
  voices.filter(({ pod }) => pod.node === node).length - 1

const showInternet = async (
  stage: Stage,
  voices: readonly Voice[],
  report: Report,
): Promise<Problems> => {
  const { internet } = nodesOf(stage).emulator
  if (internet === undefined) return ['the emulator has no internet']
  const to = { name: 'the internet', ip: internet.address, port: internet.udpPort }
  const checked = await askAll(
    voices.map(from => ({ from, to, seenAs: from.pod.node.primaryAddress })),
    stage.signal,
  )
  report.reachability.podToInternet = reachedOf(checked)
  stage.say(
    paragraph(
      `Pod to internet: ${answered(checked)} pods were answered by ${internet.address}, which ` +
        "saw the node's primary address (source NAT).",
    ),
  )
  return problemsOf('pods do not reach the internet through source NAT', checked)
}

const reachedOf = ({ checked, failures }: Checked): Reached => ({
  checked,
  failed: failures.length,
})

const answered = ({ checked, failures }: Checked): string =>
  `${checked - failures.length} of ${checked}`

const problemsOf = (what: string, { checked, failures }: Checked): Problems =>
  failures.length === 0
    ? []
    : [`${what}: ${failures.length} of ${checked} failed (${firstOf(failures)})`]

const showLies = async (
  stage: Stage,
  voices: readonly Voice[],
  report: Report,
): Promise<Problems> => {
  const [liar] = voices
  if (liar === undefined) return ['there is no pod to send from']
  const { node } = liar.pod
  const others = voices.filter(voice => voice !== liar)
  const near = others.find(({ pod }) => pod.node === node)
  const far = others.find(({ pod }) => pod.node !== node)
  const { internet } = nodesOf(stage).emulator
  const foreign = [near?.ip, far?.ip, node.primaryAddress].flatMap(ip => ip ?? [])
  const names = (near ?? far) ? foreign : [...foreign, ...(internet ? [internet.address] : [])]
  const before = await droppedLies(node)
  const hearers = [near, far].flatMap(it => it ?? [])
  const spoofed = await lieAs(stage, { liar, names, hearers })
  const dropped = (await droppedLies(node)) - before
  report.reachability.spoofed = spoofed
  const { sent, delivered } = spoofed
  // The counter also sees what pods say in IPv6 unasked, hence not the exact number.
  const where = dropped >= sent ? "the node's own check dropped them" : 'they were lost on the way'
  stage.say(
    paragraph(
      `Spoofed: ${liar.name} sent ${counted(sent, 'packet')} from ${names.join(', ')}, which ` +
        `are not its own. ${delivered} were delivered; ${where}.`,
    ),
  )
  return [
    ...(sent > 0 ? [] : ['no spoofed packet could be sent, so nothing is known about them']),
    ...(delivered === 0 ? [] : [`${delivered} of ${sent} spoofed packets were delivered`]),
  ]
}

type Scene = {
  readonly liar: Voice
  /** Addresses it pretends to have. */
  readonly names: readonly string[]
  readonly hearers: readonly Voice[]
}

const lieAs = async (stage: Stage, { liar, names, hearers }: Scene) => {
  const host = await nodeVoice(stage, liar.pod.node)
  const total = { sent: 0, delivered: 0 }
  try {
    for (const name of names) {
      const { sent, delivered } = await lieOnce(stage, { liar, name, hearers: [host, ...hearers] })
      total.sent += sent
      total.delivered += delivered
    }
  } finally {
    closeSockets([host.socket])
  }
  return total
}

type Lie = {
  readonly liar: Voice
  readonly name: string
  readonly hearers: readonly Speaker[]
}

// The pod gives itself the address on its loopback: a pod's root user can do that. To the real
// owner it cannot lie, because packets to what is now its own address never leave it.
const lieOnce = async (stage: Stage, { liar, name, hearers }: Lie) => {
  const { netns } = liar.pod
  const address = (verb: 'add' | 'delete') =>
    runCommand({ netns, argv: ['ip', 'address', verb, `${name}/32`, 'dev', 'lo'] })
  await address('add')
  const mouth = await openSockets([{ netns, address: name, port: podPort }], stage.signal)
  try {
    return await sendLies(
      mouth.flatMap(socket =>
        hearers
          .filter(({ ip }) => ip !== name)
          .map(to => ({ socket, to, port: to.socket.address().port })),
      ),
    )
  } finally {
    closeSockets(mouth)
    await address('delete')
  }
}

const nodeVoice = async (stage: Stage, node: DemoNode): Promise<Speaker> => {
  const { netns, name, primaryAddress: ip } = node
  const [socket] = await openSockets([{ netns, address: ip, port: nodePort }], stage.signal)
  if (socket === undefined) throw new Error(`no socket on ${name}`)
  return { name, ip, socket }
}
