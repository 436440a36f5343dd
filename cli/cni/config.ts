// What `eniway cni` takes from the environment: the variables of cnitool, with its defaults and its
// container id, so that what one tool added the other can check and delete.

import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import type { Attachment } from '#cni/runtime/request.ts'
import { parseArguments } from '#cni/spec/arguments.ts'
import type { Variables } from '#cni/spec/environment.ts'
import { codes, failed, parsed, type Parsed } from '#cni/spec/failure.ts'
import { parseObject, type JsonObject } from '#cni/spec/json.ts'

export type CniSettings = {
  /** NETCONFPATH: where networks are configured. */
  readonly confDirectory: string
  /** CNI_PATH: where plugins are looked for, in order. */
  readonly pluginPath: readonly string[]
  /** CNI_ARGS. */
  readonly args: readonly (readonly [string, string])[]
  /** CAP_ARGS: capability arguments as one JSON object. */
  readonly capabilityArgs: JsonObject
  /** The flag, else CNI_IFNAME, else eth0. */
  readonly ifName: string
}

const confDirectoryDefault = '/etc/cni/net.d'
const ifNameDefault = 'eth0'

/** The process's own variables, which plugins inherit. */
export const ownVariables = (): Variables => process.env

/** Reads the variables; `ifName` of the command line wins. */
export const settingsFrom = (variables: Variables, ifName = ''): Parsed<CniSettings> => {
  const { NETCONFPATH = '', CNI_PATH = '', CNI_IFNAME = '' } = variables
  const args = parseArguments(variables['CNI_ARGS'] ?? '')
  if (args.kind === 'failed') return args
  const capabilityArgs = capabilityArgsFrom(variables['CAP_ARGS'] ?? '')
  if (capabilityArgs.kind === 'failed') return capabilityArgs
  return parsed({
    confDirectory: NETCONFPATH || confDirectoryDefault,
    pluginPath: CNI_PATH.split(':').filter(directory => directory !== ''),
    args: [...args.value],
    capabilityArgs: capabilityArgs.value,
    ifName: ifName || CNI_IFNAME || ifNameDefault,
  })
}

const capabilityArgsFrom = (text: string): Parsed<JsonObject> => {
  if (text === '') return parsed({})
  const object = parseObject(text, 'CAP_ARGS')
  return object.kind === 'failed' ? failed(codes.invalidEnvironment, object.message) : object
}

/** The attachment of a namespace. Its container id follows from the absolute path alone. */
export const attachmentOf = (netns: string, settings: CniSettings): Attachment => {
  const path = resolve(netns)
  const { ifName, args, capabilityArgs } = settings
  return { containerId: containerIdOf(path), ifName, netns: path, args, capabilityArgs }
}

/** cnitool's: the first ten bytes of the path's SHA-512. */
export const containerIdOf = (absolutePath: string): string => {
  const digest = createHash('sha512').update(absolutePath).digest()
  return `cnitool-${digest.subarray(0, 10).toString('hex')}`
}
