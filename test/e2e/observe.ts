// Looks for what of a pod is still in its node's kernel. Uses the system's own tools, so that our
// codecs are not their own judge.

import { run } from './containerd/process.ts'
import type { Node } from './nodes.ts'

/** Every line of the node's kernel state that belongs to a pod or names one of the addresses. */
export const traceOf = async (node: Node, ips: readonly string[]): Promise<readonly string[]> => {
  const links = await inside(node, 'ip', ['-oneline', 'link', 'show'])
  const routes = await inside(node, 'ip', ['-oneline', 'route', 'show', 'table', 'all'])
  const routes6 = await inside(node, 'ip', ['-6', '-oneline', 'route', 'show', 'table', 'all'])
  const rules = await inside(node, 'ip', ['-oneline', 'rule', 'show'])
  const nft = await inside(node, 'nft', ['list', 'ruleset'])
  return [
    ...linesOf(links).filter(line => /: ewy[0-9a-f]{12}[@:]/.test(line)),
    ...linesOf(`${routes}\n${routes6}\n${rules}\n${nft}`).filter(line => namesOneOf(line, ips)),
  ]
}

const inside = (node: Node, command: string, args: readonly string[]): Promise<string> =>
  run('nsenter', [`--net=${node.netns}`, command, ...args])

const linesOf = (text: string): readonly string[] => text.split('\n').map(line => line.trim())

// nft prints several elements in one line.
const namesOneOf = (line: string, ips: readonly string[]): boolean =>
  line.split(/[^0-9a-f.:]+/i).some(word => ips.includes(word))
