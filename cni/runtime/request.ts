// What one plugin is told: its configuration on stdin and its variables, derived from the network,
// the attachment and what happened before (section 3, "Deriving execution configuration from plugin
// configuration"; points 124 to 128).

import type { ValidAttachment } from '../spec/config.ts'
import { introducedIn } from '../spec/call.ts'
import { compareVersions } from '../spec/choice.ts'
import type { Command } from '../spec/environment.ts'
import { codes, failed, type Failure } from '../spec/failure.ts'
import { show, type JsonObject } from '../spec/json.ts'
import { ifNameProblem, isName, nameRule } from '../spec/names.ts'
import type { Network, PluginConfig } from './network.ts'

/** One interface of one container in one network. */
export type Attachment = {
  readonly containerId: string
  readonly ifName: string
  /** Path of the namespace; empty only where it is gone and DEL is asked for. */
  readonly netns: string
  /** CNI_ARGS in order; keys hold neither "=" nor ";", values no ";". */
  readonly args: readonly (readonly [string, string])[]
  /** By capability; a plugin gets those it declares. */
  readonly capabilityArgs: JsonObject
}

export type Request = {
  readonly network: Network
  readonly plugin: PluginConfig
  /** Absent for GC, STATUS and VERSION. */
  readonly attachment?: Attachment | undefined
  readonly previous?: JsonObject | undefined
  /** For GC: who stays. */
  readonly valid?: readonly ValidAttachment[] | undefined
}

/** The object for stdin. */
export const configurationFor = (request: Request): JsonObject => {
  const { network, plugin, attachment, previous, valid } = request
  const wanted = plugin.capabilities.filter(
    name => attachment !== undefined && Object.hasOwn(attachment.capabilityArgs, name),
  )
  const given = wanted.map(name => [name, attachment?.capabilityArgs[name]] as const)
  const list = valid?.map(({ containerId, ifName }) => ({
    containerID: containerId,
    ifname: ifName,
  }))
  return {
    ...storedKeys(plugin.raw),
    cniVersion: network.cniVersion,
    name: network.name,
    ...(given.length === 0 ? {} : { runtimeConfig: Object.fromEntries(given) }),
    ...(previous === undefined ? {} : { prevResult: previous }),
    // Both the present and the first name of the key (X10).
    ...(list === undefined
      ? {}
      : { 'cni.dev/valid-attachments': list, 'cni.dev/attachments': list }),
  }
}

// What only a runtime may say is not taken from a file (points 20, 127 and 128); the rest passes.
const storedKeys = (raw: JsonObject): JsonObject =>
  Object.fromEntries(
    Object.entries(raw).filter(([key]) => !derived.has(key) && !key.startsWith('cni.dev/')),
  )

const derived: ReadonlySet<string> = new Set(['capabilities', 'runtimeConfig', 'prevResult'])

export type VariablesOptions = {
  readonly attachment?: Attachment | undefined
  readonly pluginPath: readonly string[]
}

/** The CNI_* variables; all of them, so that none is inherited (points 33 and 36). */
export const variablesFor = (
  command: Command,
  { attachment, pluginPath }: VariablesOptions,
): Readonly<Record<string, string>> => {
  const isVersion = command === 'VERSION'
  // Plugins from before VERSION refuse a call that lacks these (point 34).
  const placeholder = isVersion ? 'dummy' : ''
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: attachment?.containerId ?? '',
    CNI_NETNS: attachment?.netns ?? placeholder,
    CNI_IFNAME: attachment?.ifName ?? placeholder,
    CNI_ARGS: (attachment?.args ?? []).map(pair => pair.join('=')).join(';'),
    CNI_PATH: pluginPath.length === 0 ? placeholder : pluginPath.join(':'),
  }
}

/** Why nothing may be executed with this attachment; undefined when all is well (point 68). */
export const attachmentProblem = (
  command: 'ADD' | 'DEL' | 'CHECK',
  { containerId, ifName, netns, args }: Attachment,
): Failure | undefined => {
  const badIfName = ifNameProblem(ifName)
  const badPair = args.find(([key, value]) => !/^[^=;]+$/.test(key) || value.includes(';'))
  const problems = [
    ...(isName(containerId) ? [] : [`container id ${show(containerId)}: ${nameRule}`]),
    ...(badIfName === undefined ? [] : [`interface name ${show(ifName)}: ${badIfName}`]),
    ...(netns === '' && command !== 'DEL' ? [`${command} needs a network namespace`] : []),
    ...(badPair === undefined ? [] : [`argument ${show(badPair)}: no ";", and no "=" in its key`]),
  ]
  if (problems.length === 0) return undefined
  return failed(codes.invalidEnvironment, problems.join('; '))
}

/** True when the network's version knows the verb, or, for DEL, its prevResult (points 80, 84). */
export const knows = (network: Network, verb: keyof typeof introducedIn): boolean =>
  compareVersions(network.cniVersion, introducedIn[verb]) >= 0
