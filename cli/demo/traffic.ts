// The act of the demonstration in which packets travel: pods ask each other and the internet, and
// one pod lies about its address; all of it in every family that the pods have.

import { familyOf, ip as ipOf } from '#core/ip.ts'
import { runCommand } from '#emulator/fabric/command.ts'
import type { FamilyName } from '../max-pods/question.ts'
import { droppedLies } from './leftovers.ts'
import type { Problems } from './acts.ts'
import type { DemoNode } from './nodes.ts'
import type { Pod } from './pods.ts'
import { answerAll, askAll, sendLies, type Checked, type Question, type Speaker } from './reach.ts'
import { addReached, type Reachability, type Reached, type Report } from './report.ts'
import { openSockets, closeSockets } from './sockets.ts'
import { nodesOf, type Stage } from './stage.ts'
import { counted, firstOf, heading, paragraph } from './text.ts'

const podPort = 7070
const nodePort = 7071

type Voice = Speaker & { readonly pod: Pod }

/** What one part of the act saw, and what was wrong with it. */
type Seen<Value> = { readonly value: Value; readonly problems: Problems }

/** Every pod asks every other one and the internet; then lies are told. */
export const showTraffic = async (
  stage: Stage,
  pods: readonly Pod[],
  report: Report,
): Promise<Problems> => {
  const places = pods.flatMap(pod => pod.ips.map(address => ({ pod, address })))
  stage.sockets = await openSockets(
    places.map(({ pod, address }) => ({ netns: pod.netns, address, port: podPort })),
    stage.signal,
  )
  const voices = places.flatMap(({ pod, address }, index): readonly Voice[] => {
    const socket = stage.sockets[index]
    return socket === undefined ? [] : [{ name: pod.name, ip: address, socket, pod }]
  })
  answerAll(voices)
  stage.say(heading('Reachability'))
  const problems: string[] = []
  for (const family of stage.play.families) {
    const own = voices.filter(({ ip }) => familyName(ip) === family)
    const { value, problems: more } = await showFamily(stage, family, own)
    addReached(report, family, value)
    problems.push(...more)
  }
  return problems
}

const familyName = (address: string): FamilyName => `ipv${familyOf(ipOf(address))}`

const showFamily = async (
  stage: Stage,
  family: FamilyName,
  voices: readonly Voice[],
): Promise<Seen<Reachability>> => {
  // One family goes without saying.
  const prefix = stage.play.families.length > 1 || family === 'ipv6' ? `${spoken[family]}, ` : ''
  const say = (text: string): void =>
    stage.say(
      paragraph(prefix === '' ? text : `${prefix}${text.charAt(0).toLowerCase()}${text.slice(1)}`),
    )
  const act: Act = { stage, family, voices, say }
  const pairs = await showPairs(act)
  const internet = await showInternet(act)
  const lies = await showLies(act)
  const problems = [...pairs.problems, ...internet.problems, ...lies.problems]
  return {
    value: { podToPod: pairs.value, podToInternet: internet.value, spoofed: lies.value },
    problems: problems.map(problem => `${prefix}${problem}`),
  }
}

const spoken: Readonly<Record<FamilyName, string>> = { ipv4: 'IPv4', ipv6: 'IPv6' }

type Act = {
  readonly stage: Stage
  readonly family: FamilyName
  /** One per pod, with its address of the family. */
  readonly voices: readonly Voice[]
  readonly say: (text: string) => void
}

const showPairs = async ({ stage, voices, say }: Act): Promise<Seen<Reached>> => {
  const questions = voices.flatMap(from =>
    voices.flatMap((to): readonly Question[] =>
      from === to ? [] : [{ from, to: { ...to, port: podPort }, seenAs: from.ip }],
    ),
  )
  const pairs = await askAll(questions, stage.signal)
  const sameNode = voices.reduce((sum, { pod }) => sum + neighbours(voices, pod), 0)
  say(
    `Pod to pod: ${answered(pairs)} ordered pairs answered, ${sameNode} on one node and ` +
      `${questions.length - sameNode} across nodes, each seeing the asking pod's own address.`,
  )
  return { value: reachedOf(pairs), problems: problemsOf('pods do not reach each other', pairs) }
}

const neighbours = (voices: readonly Voice[], { node }: Pod): number =>
  voices.filter(({ pod }) => pod.node === node).length - 1

// IPv4 leaves the VPC with the node's address, IPv6 with the pod's own.
const showInternet = async ({ stage, family, voices, say }: Act): Promise<Seen<Reached>> => {
  const { internet } = nodesOf(stage).emulator
  if (internet === undefined) {
    return { value: { checked: 0, failed: 0 }, problems: ['the emulator has no internet'] }
  }
  const isTranslated = family === 'ipv4'
  const address = isTranslated ? internet.address : internet.address6
  const to = { name: 'the internet', ip: address, port: internet.udpPort }
  const checked = await askAll(
    voices.map(from => ({
      from,
      to,
      seenAs: isTranslated ? from.pod.node.primaryAddress : from.ip,
    })),
    stage.signal,
  )
  const seen = isTranslated
    ? "the node's primary address (source NAT)"
    : "each pod's own address (no translation)"
  say(`Pod to internet: ${answered(checked)} pods were answered by ${address}, which saw ${seen}.`)
  const what = `pods do not reach the internet ${isTranslated ? 'through source NAT' : 'directly'}`
  return { value: reachedOf(checked), problems: problemsOf(what, checked) }
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

const showLies = async ({
  stage,
  family,
  voices,
  say,
}: Act): Promise<Seen<Reachability['spoofed']>> => {
  const [liar] = voices
  if (liar === undefined) {
    return { value: { sent: 0, delivered: 0 }, problems: ['there is no pod to send from'] }
  }
  const { node } = liar.pod
  const others = voices.filter(voice => voice !== liar)
  const near = others.find(({ pod }) => pod.node === node)
  const far = others.find(({ pod }) => pod.node !== node)
  const host = await nodeAddress(node, family)
  const { internet } = nodesOf(stage).emulator
  const foreign = [near?.ip, far?.ip, host].flatMap(ip => ip ?? [])
  const outside = family === 'ipv4' ? internet?.address : internet?.address6
  const names = (near ?? far) ? foreign : [...foreign, ...(outside === undefined ? [] : [outside])]
  const before = await droppedLies(node)
  const hearers = [near, far].flatMap(it => it ?? [])
  const spoofed = await lieAs(stage, { liar, names, hearers, host })
  const dropped = (await droppedLies(node)) - before
  const { sent, delivered } = spoofed
  // The counter also sees what pods say in IPv6 unasked, hence not the exact number.
  const where = dropped >= sent ? "the node's own check dropped them" : 'they were lost on the way'
  say(
    `Spoofed: ${liar.name} sent ${counted(sent, 'packet')} from ${names.join(', ')}, which ` +
      `are not its own. ${delivered} were delivered; ${where}.`,
  )
  return {
    value: spoofed,
    problems: [
      ...(sent > 0 ? [] : ['no spoofed packet could be sent, so nothing is known about them']),
      ...(delivered === 0 ? [] : [`${delivered} of ${sent} spoofed packets were delivered`]),
    ],
  }
}

type Scene = {
  readonly liar: Voice
  /** Addresses it pretends to have. */
  readonly names: readonly string[]
  readonly hearers: readonly Voice[]
  /** The node's address; undefined where it has none of the family. */
  readonly host: string | undefined
}

const lieAs = async (stage: Stage, { liar, names, hearers, host }: Scene) => {
  const { node } = liar.pod
  const ears = host === undefined ? [] : [await nodeVoice(stage, node, host)]
  const total = { sent: 0, delivered: 0 }
  try {
    for (const name of names) {
      const { sent, delivered } = await lieOnce(stage, {
        liar,
        name,
        hearers: [...ears, ...hearers],
      })
      total.sent += sent
      total.delivered += delivered
    }
  } finally {
    closeSockets(ears.map(({ socket }) => socket))
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
  const own = name.includes(':') ? [`${name}/128`, 'nodad'] : [`${name}/32`]
  const address = (verb: 'add' | 'delete') => {
    const [prefix = '', ...flags] = own
    const rest = verb === 'add' ? flags : []
    return runCommand({ netns, argv: ['ip', 'address', verb, prefix, 'dev', 'lo', ...rest] })
  }
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

const nodeVoice = async (stage: Stage, node: DemoNode, address: string): Promise<Speaker> => {
  const { netns, name } = node
  const [socket] = await openSockets([{ netns, address, port: nodePort }], stage.signal)
  if (socket === undefined) throw new Error(`no socket on ${name}`)
  return { name, ip: address, socket }
}

type ShownAddresses = readonly {
  readonly addr_info?: readonly { readonly local?: string; readonly prefixlen?: number }[]
}[]

// The machine's own IPv6 address is on its first device, as a boot put it there.
const nodeAddress = async (node: DemoNode, family: FamilyName): Promise<string | undefined> => {
  const { netns, primaryAddress } = node
  if (family === 'ipv4') return primaryAddress
  const argv = ['ip', '-json', '-6', 'address', 'show', 'scope', 'global']
  const shown = JSON.parse(await runCommand({ netns, argv })) as ShownAddresses
  const texts = shown.flatMap(({ addr_info: list = [] }) =>
    list.flatMap(({ local }) => local ?? []),
  )
  return texts.map(text => String(ipOf(text)))[0]
}
