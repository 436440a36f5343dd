// The format of a cached result, one file per attachment, the reference library's own, so that
// either can delete what the other added (points 152 to 155; docs/cni-library.md describes it).
// Reading and writing files is in cache-files.ts.

import { codes, failed, parsed, type Parsed } from '../spec/failure.ts'
import { isObject, parseObject, type JsonObject } from '../spec/json.ts'
import type { Attachment } from './request.ts'

/** What is remembered of an ADD. */
export type CacheEntry = {
  readonly network: string
  readonly attachment: Attachment
  /** The text of the network configuration it was added with. */
  readonly config: string
  readonly result: JsonObject | undefined
}

/** What a file holds: an entry, or the bare result that ancient libraries wrote. */
export type CacheContent =
  | { readonly kind: 'entry'; readonly entry: CacheEntry }
  | { readonly kind: 'bare'; readonly result: JsonObject }

const kindOfEntry = 'cniCacheV1'

export type CacheKey = {
  readonly network: string
  readonly containerId: string
  readonly ifName: string
}

/**
 * The three joined by "-". Two attachments can share a name ("a-b"+"c", "a"+"b-c"), so whoever
 * reads compares with what is inside.
 */
export const cacheFileName = ({ network, containerId, ifName }: CacheKey): Parsed<string> => {
  const parts = [network, containerId, ifName]
  if (parts.every(part => part !== '' && !part.includes('/'))) return parsed(parts.join('-'))
  return failed(
    codes.invalidEnvironment,
    `a cached result needs a network, a container id and an interface name, ` +
      `not ${JSON.stringify(parts)}`,
  )
}

/** The text of the file; empty parts are left out as the reference library does. */
export const encodeEntry = ({ network, attachment, config, result }: CacheEntry): string => {
  const { containerId, ifName, netns, args, capabilityArgs } = attachment
  return JSON.stringify({
    kind: kindOfEntry,
    containerId,
    config: Buffer.from(config).toString('base64'),
    ifName,
    networkName: network,
    ...(netns === '' ? {} : { netns }),
    ...(args.length === 0 ? {} : { cniArgs: args }),
    ...(Object.keys(capabilityArgs).length === 0 ? {} : { capabilityArgs }),
    ...(result === undefined ? {} : { result }),
  })
}

/** Reads a file's text; `where` is for the failure. */
export const decodeContent = (text: string, where: string): Parsed<CacheContent> => {
  const object = parseObject(text, where)
  if (object.kind === 'failed') return object
  const { kind } = object.value
  if (kind !== kindOfEntry) return parsed({ kind: 'bare', result: object.value })
  const entry = readEntry(object.value)
  return entry === undefined
    ? failed(codes.decoding, `${where} is no cached result: a key is missing or of another type`)
    : parsed({ kind: 'entry', entry })
}

const readEntry = (raw: JsonObject): CacheEntry | undefined => {
  const { containerId, config = '', ifName, networkName, netns = '' } = raw
  const { cniArgs = [], capabilityArgs = {}, result } = raw
  const texts = [containerId, config, ifName, networkName, netns]
  if (!texts.every(text => typeof text === 'string')) return undefined
  if (!isPairs(cniArgs) || !isObject(capabilityArgs)) return undefined
  if (result !== undefined && !isObject(result)) return undefined
  return {
    network: networkName as string,
    attachment: {
      containerId: containerId as string,
      ifName: ifName as string,
      netns: netns as string,
      args: cniArgs,
      capabilityArgs,
    },
    config: Buffer.from(config as string, 'base64').toString(),
    result,
  }
}

const isPairs = (value: unknown): value is readonly (readonly [string, string])[] =>
  Array.isArray(value) &&
  value.every(
    pair =>
      Array.isArray(pair) && pair.length === 2 && pair.every(text => typeof text === 'string'),
  )
