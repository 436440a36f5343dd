// What a run leaves to judge: every execution of the plugin with its environment, stdin, outcome
// and, where it was looked at, both namespaces before and after. Points read only this.

import { isObject, type JsonObject } from '../spec/json.ts'
import type { Version } from '../spec/versions.ts'

export type Link = {
  readonly name: string
  readonly mac: string
  readonly mtu: number
  readonly isUp: boolean
  /** CIDR texts with host bits; link-local IPv6 left out, which the kernel makes by itself. */
  readonly addresses: readonly string[]
}

export type Route = {
  readonly family: 4 | 6
  /** "default", an address or a CIDR, as `ip` writes it. */
  readonly destination: string
  readonly gateway: string
  readonly device: string
  readonly table: string
}

/** One network namespace at one moment, without what the kernel adds by itself. */
export type Snapshot = { readonly links: readonly Link[]; readonly routes: readonly Route[] }

/** The same as sorted lines, for comparing and for evidence. */
export const linesOf = ({ links, routes }: Snapshot): readonly string[] =>
  [
    ...links.map(
      ({ name, mac, mtu, isUp }) => `link ${name} ${mac} mtu ${mtu}${isUp ? ' up' : ''}`,
    ),
    ...links.flatMap(({ name, addresses }) => addresses.map(text => `address ${text} dev ${name}`)),
    ...routes.map(routeLine),
  ].toSorted()

/** A route as one line. */
export const routeLine = ({ destination, gateway, device, table }: Route): string =>
  `route ${destination}${gateway === '' ? '' : ` via ${gateway}`} dev ${device} table ${table}`

export type Seen = { readonly before: Snapshot; readonly after: Snapshot }

/** What the recording delegate was asked. */
export type DelegateCall = {
  readonly verb: string
  readonly environment: Readonly<Record<string, string>>
  readonly stdin: string
}

/** Something taken away before a CHECK, as a line of `linesOf`. */
export type Damage = { readonly where: 'host' | 'pod'; readonly line: string }

export type Execution = {
  readonly label: string
  readonly verb: string
  readonly environment: Readonly<Record<string, string>>
  readonly stdin: string
  readonly stdout: string
  readonly stderr: string
  /** Undefined when a signal ended it, or when it ran too long. */
  readonly exitCode: number | undefined
  readonly milliseconds: number
  readonly host: Seen | undefined
  readonly pod: Seen | undefined
  readonly delegate: readonly DelegateCall[]
  readonly damage: Damage | undefined
}

/** How the plugin turned out to work. */
export type Role = 'interface' | 'ipam' | 'adjusting' | 'unknown'

export type Recording = {
  readonly role: Role
  /** What the plugin says it supports, as far as this suite knows it, oldest first. */
  readonly versions: readonly Version[]
  /** In which everything is asked that does not name another. */
  readonly version: Version
  /** The configuration of the plugin under test, without cniVersion and name. */
  readonly plugin: JsonObject
  readonly executions: ReadonlyMap<string, Execution>
  /** Why an execution with that label did not take place. */
  readonly skipped: ReadonlyMap<string, string>
  readonly snapshots: ReadonlyMap<string, Snapshot>
}

/** The one JSON value on stdout; undefined when there is none or more than one. */
export const valueOf = ({ stdout }: Execution): unknown => {
  try {
    return JSON.parse(stdout) as unknown
  } catch {
    return undefined
  }
}

/** The result or error object on stdout. */
export const objectOf = (execution: Execution): JsonObject | undefined => {
  const value = valueOf(execution)
  return isObject(value) ? value : undefined
}

/** Any JSON value as text: a string as it is, nothing as the empty text. */
export const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : (JSON.stringify(value) ?? '')

/** The code of the error object; undefined when there is none. */
export const codeOf = (execution: Execution): number | undefined => {
  const code = objectOf(execution)?.['code']
  return typeof code === 'number' ? code : undefined
}

/** The entries of a list in a result; none when it is missing or no list. */
export const entriesOf = (result: JsonObject | undefined, key: string): readonly JsonObject[] => {
  const list: unknown = result?.[key]
  return Array.isArray(list) ? list.filter(isObject) : []
}

/** Lines of the second snapshot that the first has not. */
export const added = (before: Snapshot, after: Snapshot): readonly string[] => {
  const known = new Set(linesOf(before))
  return linesOf(after).filter(line => !known.has(line))
}

/** One line about what changed; empty when nothing did. */
export const changesOf = ({ before, after }: Seen): string =>
  [
    ...added(before, after).map(line => `+ ${line}`),
    ...added(after, before).map(line => `- ${line}`),
  ].join(', ')

/** Links of the second snapshot that the first has not. */
export const newLinks = ({ before, after }: Seen): readonly Link[] => {
  const known = new Set(before.links.map(({ name }) => name))
  return after.links.filter(({ name }) => !known.has(name))
}

const messageCharactersMax = 160

/** An outcome in a few words: exit code, and code and message of the error. */
export const summaryOf = (execution: Execution): string => {
  const { exitCode, stdout, stderr } = execution
  const exit = exitCode === undefined ? 'ended by a signal' : `exit ${exitCode}`
  const code = codeOf(execution)
  if (exitCode === 0) return exit
  if (code === undefined) {
    const text = (stdout + stderr).trim()
    return text === '' ? `${exit} without a word` : `${exit} ${quote(text)}`
  }
  const message = objectOf(execution)?.['msg']
  return `${exit}, code ${code} ${quote(String(message))}`
}

/** A text for evidence: on one line and not too long. */
export const quote = (text: string): string => {
  const line = text.replaceAll(/\s+/g, ' ').trim()
  const isLong = line.length > messageCharactersMax
  return JSON.stringify(isLong ? `${line.slice(0, messageCharactersMax)}…` : line)
}
