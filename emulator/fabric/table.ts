// What the fabric's nftables table holds right now, and the transaction that leads from one state
// of a port to the next. Keeps books; runs nothing.
import type { FabricSecurityGroup } from '../ports.ts'
import { groupRules, newGroup, peersOf } from './groups.ts'
import { elementsOf, portChain, portJumps } from './port.ts'
import type { Port } from './port.ts'
import { tableName } from './ruleset.ts'

/** A transaction and what to note once the kernel has taken it. */
export interface TableChange {
  readonly lines: readonly string[]
  readonly commit: () => void
}

/** Books of one table. An address may move between NICs in either order, hence holders count. */
export interface Table {
  /** The transaction from `before` to `after`; undefined stands for an unplugged port. */
  change(before: Port | undefined, after: Port | undefined): TableChange
}

export const newTable = (): Table => {
  const numbers = new Map<string, number>()
  const rules = new Map<string, string>()
  const holders = new Map<string, number>()

  const numberOf = (id: string): number => {
    const number = numbers.get(id) ?? numbers.size + 1
    numbers.set(id, number)
    return number
  }

  const groupLines = (groups: readonly FabricSecurityGroup[]): readonly string[] => {
    const changed = groups.filter(group => rules.get(group.id) !== rulesText(group))
    const named = new Set(changed.flatMap(group => [group.id, ...peersOf(group)]))
    return [
      ...[...named].flatMap(id => newGroup(numberOf(id))),
      ...changed.flatMap(group => groupRules(group, numberOf)),
    ]
  }

  const rulesText = (group: FabricSecurityGroup): string => groupRules(group, numberOf).join('\n')

  const jumpsOf = (port: Port | undefined) => (port === undefined ? [] : portJumps(port, numberOf))

  const change = (before: Port | undefined, after: Port | undefined): TableChange => {
    const had = before === undefined ? new Set<string>() : elementsOf(before, numberOf)
    const has = after === undefined ? new Set<string>() : elementsOf(after, numberOf)
    const lost = [...had].filter(element => !has.has(element))
    const won = [...has].filter(element => !had.has(element))
    const groups = after?.nic.securityGroups ?? []
    const isJumpsChanged = jumpsOf(before).join() !== jumpsOf(after).join()
    return {
      lines: [
        ...groupLines(groups),
        ...(before === undefined && after !== undefined ? chainLines('add', after) : []),
        ...(after !== undefined && isJumpsChanged
          ? [...chainLines('flush', after), ...jumpsOf(after).map(jump => rule(jump))]
          : []),
        ...lost.filter(element => holders.get(element) === 1).map(e => elementLine('delete', e)),
        ...won.filter(element => !holders.has(element)).map(e => elementLine('add', e)),
        ...(before !== undefined && after === undefined
          ? [...chainLines('flush', before), ...chainLines('delete', before)]
          : []),
      ],
      commit: () => {
        for (const group of groups) rules.set(group.id, rulesText(group))
        for (const element of lost) release(holders, element)
        for (const element of won) holders.set(element, (holders.get(element) ?? 0) + 1)
      },
    }
  }

  return { change }
}

const chainLines = (verb: 'add' | 'flush' | 'delete', port: Port): readonly string[] =>
  (['in', 'out'] as const).map(
    direction => `${verb} chain ${tableName} ${portChain(port, direction)}`,
  )

const rule = (chainAndVerdict: string): string => `add rule ${tableName} ${chainAndVerdict}`

const elementLine = (verb: 'add' | 'delete', element: string): string => {
  const space = element.indexOf(' ')
  const [set, key] = [element.slice(0, space), element.slice(space + 1)]
  // A map's element is named by its key alone when it is deleted.
  const shown = verb === 'add' ? key : (key.split(' : ')[0] ?? key)
  return `${verb} element ${tableName} ${set} { ${shown} }`
}

const release = (holders: Map<string, number>, element: string): void => {
  const left = (holders.get(element) ?? 0) - 1
  if (left > 0) holders.set(element, left)
  else holders.delete(element)
}
