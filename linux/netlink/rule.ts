// Policy routing rules over rtnetlink. Layout: include/uapi/linux/fib_rules.h.
// Fields eniway does not use are not decoded, so a foreign rule may look simpler than it is.

import { baseOf, cidrOf, lengthOf } from '#core/ip.ts'
import type { Cidr, Family } from '#core/ip.ts'
import {
  address,
  optional,
  readAddress,
  readAttributes,
  readText,
  readU32,
  text,
  u32,
  u8,
} from './attribute.ts'
import { familyFromLinux, linuxFamily } from './family.ts'
import { CHANGE, DUMP } from './message.ts'
import type { Reply, Request } from './message.ts'
import { ROUTE_PROTOCOL } from './route.ts'

/** A rule that looks a table up, or does something else that only foreign rules do. */
export type Rule = {
  readonly family: Family
  readonly priority: number
  readonly action: 'lookup' | 'other'
  readonly table: number
  readonly protocol: number
  readonly mark: Mark | undefined
  readonly from: Cidr | undefined
  readonly to: Cidr | undefined
  readonly inputName: string | undefined
  readonly outputName: string | undefined
}

/** Matches packets whose firewall mark, masked, has the value. */
export type Mark = { readonly value: number; readonly mask: number }

/** What is given when a rule is added: `lookup`, our protocol number, and no matches by default. */
export type NewRule = Pick<Rule, 'family' | 'priority' | 'table'> & Partial<Omit<Rule, 'action'>>

/** Adds a rule; EEXIST when there is one exactly like it. */
export const addRule = (rule: NewRule): Request => ruleRequest(RTM_NEWRULE, CHANGE.add, rule)

/** Removes the first rule that has all the given properties; ENOENT when there is none. */
export const removeRule = (rule: NewRule): Request => ruleRequest(RTM_DELRULE, CHANGE.remove, rule)

export const dumpRules = (family: Family): Request => ({
  type: RTM_GETRULE,
  flags: DUMP,
  header: ruleHeader(family),
  attributes: [],
})

/** The rule a RTM_NEWRULE message describes; undefined for messages and families we do not know. */
export const decodeRule = ({ type, body }: Pick<Reply, 'type' | 'body'>): Rule | undefined => {
  if (type !== RTM_NEWRULE || body.length < RULE_HEADER_BYTES) return undefined
  const family = familyFromLinux(body.readUInt8(0))
  if (family === undefined) return undefined
  const found = readAttributes(body, RULE_HEADER_BYTES)
  return {
    family,
    priority: readU32(found.get(FRA.priority)) ?? 0,
    action: body.readUInt8(7) === FR_ACT_TO_TBL ? 'lookup' : 'other',
    table: readU32(found.get(FRA.table)) ?? body.readUInt8(4),
    protocol: found.get(FRA.protocol)?.readUInt8(0) ?? 0,
    mark: markOf(found),
    from: prefixOf(found.get(FRA.source), body.readUInt8(2)),
    to: prefixOf(found.get(FRA.destination), body.readUInt8(1)),
    inputName: readText(found.get(FRA.inputName)),
    outputName: readText(found.get(FRA.outputName)),
  }
}

const RTM_NEWRULE = 32
const RTM_DELRULE = 33
const RTM_GETRULE = 34
const RT_TABLE_COMPAT = 252
const FR_ACT_TO_TBL = 1
const RULE_HEADER_BYTES = 12

const FRA = {
  destination: 1,
  source: 2,
  inputName: 3,
  priority: 6,
  mark: 10,
  table: 15,
  markMask: 16,
  outputName: 17,
  protocol: 21,
} as const

const ruleHeader = (family: Family, rule?: NewRule): Buffer => {
  const header = Buffer.alloc(RULE_HEADER_BYTES)
  header.writeUInt8(linuxFamily(family), 0)
  if (rule === undefined) return header
  header.writeUInt8(rule.to === undefined ? 0 : lengthOf(rule.to), 1)
  header.writeUInt8(rule.from === undefined ? 0 : lengthOf(rule.from), 2)
  header.writeUInt8(rule.table < 256 ? rule.table : RT_TABLE_COMPAT, 4)
  header.writeUInt8(FR_ACT_TO_TBL, 7)
  return header
}

const ruleRequest = (type: number, flags: number, rule: NewRule): Request => ({
  type,
  flags,
  header: ruleHeader(rule.family, rule),
  attributes: [
    u32(FRA.priority, rule.priority),
    u32(FRA.table, rule.table),
    u8(FRA.protocol, rule.protocol ?? ROUTE_PROTOCOL),
    ...optional(rule.mark, mark => u32(FRA.mark, mark.value)),
    ...optional(rule.mark, mark => u32(FRA.markMask, mark.mask)),
    ...optional(rule.from, block => address(FRA.source, baseOf(block))),
    ...optional(rule.to, block => address(FRA.destination, baseOf(block))),
    ...optional(rule.inputName, name => text(FRA.inputName, name)),
    ...optional(rule.outputName, name => text(FRA.outputName, name)),
  ],
})

// A rule without a mark is reported without both attributes, or with a mask of zero.
const markOf = (found: ReadonlyMap<number, Buffer>): Mark | undefined => {
  const mask = readU32(found.get(FRA.markMask)) ?? 0
  return mask === 0 ? undefined : { value: readU32(found.get(FRA.mark)) ?? 0, mask }
}

const prefixOf = (data: Buffer | undefined, length: number): Cidr | undefined => {
  const base = readAddress(data)
  return base === undefined ? undefined : cidrOf(base, length)
}
