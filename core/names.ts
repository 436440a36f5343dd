// Identifiers and times as branded values: a string that was parsed at the edge, never "maybe an
// id".

declare const brand: unique symbol
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name }

/** Milliseconds since 1970 on a clock that never runs backwards while the process lives. */
export type Millis = Branded<number, 'Millis'>

/** The cloud's id of a NIC, as in `eni-0123456789abcdef0`. */
export type NicId = Branded<string, 'NicId'>
export type SubnetId = Branded<string, 'SubnetId'>
export type SecurityGroupId = Branded<string, 'SecurityGroupId'>
export type InstanceId = Branded<string, 'InstanceId'>

/** Lower-case colon-separated hardware address. */
export type Mac = Branded<string, 'Mac'>

/** `containerId/ifName`: who holds an address. */
export type SandboxKey = Branded<string, 'SandboxKey'>

export type PoolName = Branded<string, 'PoolName'>

/** Idempotency token of one intended NIC; saved before the cloud sees it. */
export type Token = Branded<string, 'Token'>

/** One ordered cloud call or host job; unique within a process. */
export type OperationId = Branded<number, 'OperationId'>

/** One waiting caller of the daemon (an ADD or DEL in progress). */
export type ReplyId = Branded<number, 'ReplyId'>

export const millis = (value: number): Millis => value as Millis
export const nicId = (text: string): NicId => text as NicId
export const subnetId = (text: string): SubnetId => text as SubnetId
export const securityGroupId = (text: string): SecurityGroupId => text as SecurityGroupId
export const instanceId = (text: string): InstanceId => text as InstanceId
export const poolName = (text: string): PoolName => text as PoolName
export const token = (text: string): Token => text as Token
export const operationId = (value: number): OperationId => value as OperationId
export const replyId = (value: number): ReplyId => value as ReplyId

export const defaultPool = poolName('default')

export const sandboxKey = (containerId: string, ifName: string): SandboxKey =>
  `${containerId}/${ifName}` as SandboxKey

/** Parses six hexadecimal pairs; undefined when the text is not a hardware address. */
export const parseMac = (text: string): Mac | undefined => {
  const lower = text.trim().toLowerCase()
  return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(lower) ? (lower as Mac) : undefined
}

/** For literals that are known to be hardware addresses: throws a programmer error otherwise. */
export const mac = (text: string): Mac => {
  const parsed = parseMac(text)
  if (parsed === undefined) throw new TypeError(`"${text}" is not a hardware address`)
  return parsed
}

/** Adds a span in milliseconds to a time. */
export const after = (at: Millis, spanMs: number): Millis => millis(at + spanMs)

/** The earlier of two times, where undefined means never. */
export const earlier = (a: Millis | undefined, b: Millis | undefined): Millis | undefined => {
  if (a === undefined || b === undefined) return a ?? b
  return a < b ? a : b
}

/** Programmer errors end the process; what was saved makes the restart safe. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${message}`)
}
