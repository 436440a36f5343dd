// What a platform engineer should know beside the number: what the cloud's own software says, what
// its operators recommend, and what the number does not count.

import type { Question } from './question.ts'

export type Outcome = {
  readonly maxPods: number
  readonly interfaces: number
  readonly blockSize: 32 | 28
  /** The number without /28 blocks. */
  readonly singles: number
}

export type Notes = { readonly recommended: number | null; readonly notes: readonly string[] }

/** The remarks on an answer, and the recommended number where there is one. */
export const notesOf = (question: Question, outcome: Outcome): Notes => {
  const recommended = recommendedOf(question, outcome)
  return {
    recommended: recommended?.pods ?? null,
    notes: [
      ...publishedNotes(question, outcome),
      ...prefixNotes(question, outcome),
      ...(recommended === undefined ? [] : [recommended.text]),
      ...cloudNotes(question, outcome),
      ...ipv6Notes(question),
      ...reserveNotes(question),
    ],
  }
}

const publishedNotes = ({ cloud, figures }: Question, { maxPods }: Outcome): readonly string[] => {
  const { published } = figures
  if (published === undefined) return []
  switch (cloud) {
    case 'aws':
      return published === maxPods
        ? [`AWS publishes the same number: ${published}.`]
        : [`AWS publishes ${published}, for single IPv4 addresses on all NICs and none spare.`]
    case 'alibaba':
      return [
        `Terway on shared NICs counts ${published}: it leaves the primary NIC to the node, eniway ` +
          'gives its further addresses to pods.',
      ]
    case 'azure':
      return []
  }
}

const prefixNotes = (question: Question, outcome: Outcome): readonly string[] => {
  const { blockSize: asked, figures, families } = question
  if (asked === 32) return []
  if (outcome.blockSize === 32) {
    return [
      `${figures.instanceType} takes no /28 blocks (AWS lends them to Nitro machines only), so ` +
        'single addresses are counted, which is also what the daemon lends here.',
    ]
  }
  if (!families.includes('ipv4')) return ['IPv6 is always lent as single addresses.']
  return [
    'A subnet without a free aligned /28 makes the daemon lend single addresses, which are enough ' +
      `for ${outcome.singles}; reserve ranges for blocks in the subnet, or set that number.`,
    ...(families.length === 2 ? ['IPv6 is lent as single addresses, never in blocks.'] : []),
  ]
}

type Recommended = { readonly pods: number; readonly text: string }

const recommendedOf = (question: Question, { maxPods, blockSize }: Outcome) => {
  if (question.cloud === 'azure') return azureRecommended(maxPods)
  return question.cloud === 'aws' && blockSize === 28
    ? eksRecommended(question, maxPods)
    : undefined
}

/** EKS user guide, "Choosing an optimal node instance type": caps with prefixes. */
const eksCaps = { few: 110, many: 250, cpusMin: 30 }

const eksRecommended = ({ figures }: Question, maxPods: number): Recommended => {
  const { few, many, cpusMin } = eksCaps
  const cpus = cpusOf(figures.instanceType)
  const cap = cpus !== undefined && cpus < cpusMin ? few : many
  const rule =
    `with /28 blocks EKS recommends at most ${few} pods below ${cpusMin} vCPUs and ${many} above, ` +
    'because kubelet and runtime give out before the addresses do'
  const pods = Math.min(maxPods, cap)
  const mine = `here ${pods}`
  const size =
    cpus === undefined ? `${mine} if it has ${cpusMin} vCPUs or more` : `${mine} with ${cpus} vCPUs`
  return { pods, text: `The number is what the addresses allow; ${rule}: ${size}.` }
}

// By the naming rule: large has 2 vCPUs, xlarge 4, Nxlarge 4 N; sizes below large have at most 2.
// A bare-metal type says its number only when its name ends like `metal-24xl`.
const cpusOf = (instanceType: string): number | undefined => {
  const size = instanceType.slice(instanceType.lastIndexOf('.') + 1)
  const times = /^(\d*)xlarge$|^metal-(\d+)xl$/.exec(size)
  if (times !== null) return 4 * Number(times[1] || times[2] || 1)
  return size.startsWith('metal') ? undefined : 2
}

/** AKS documentation: 250 pods per node at most, with dynamic and static allocation alike. */
const aksMax = 250

const azureRecommended = (maxPods: number): Recommended => ({
  pods: Math.min(maxPods, aksMax),
  text: `AKS lets a node have ${aksMax} pods at most; the number here is what the addresses allow.`,
})

const cloudNotes = ({ cloud, figures }: Question, { interfaces }: Outcome): readonly string[] => {
  switch (cloud) {
    case 'aws':
      return figures.networkCards > 1
        ? [
            `${figures.instanceType} has ${figures.networkCards} network cards; eniway uses the default ` +
              'one, as AWS counts.',
          ]
        : []
    case 'azure':
      return interfaces > 1
        ? [
            'Further NICs bring no addresses on Azure, each costs its own; a VM with one NIC has ' +
              'the most: --nics-max 1. NICs are attached while the VM is stopped, and tagged ' +
              'eniway.io_pods: true for pods.',
          ]
        : []
    case 'alibaba':
      return []
  }
}

const ipv6Notes = ({ families, figures }: Question): readonly string[] =>
  families.includes('ipv6') && !figures.isIpv6Published
    ? [
        `No published answer shows the IPv6 addresses of ${figures.instanceType}; ${figures.ipv6} ` +
          'per NIC follows from its generation. Make sure with --live.',
      ]
    : []

const reserveNotes = ({ reserve }: Question): readonly string[] =>
  reserve.addresses > 0
    ? []
    : [
        'Nothing is kept spare. A released address rests (30 s unless configured) before the next ' +
          'pod gets it, so a full node makes new pods wait: leave pods replaced per second x ' +
          'cooling seconds free, for example with --reserve 20/min.',
      ]
