// What the end of a plugin's run means: a result, nothing, its versions, or a failure with its code
// (section 2, "CNI operations"; points 39 to 55, 107, 108 and 139).

import { compareVersions } from '../spec/choice.ts'
import { convertResult } from '../spec/convert.ts'
import { codes, failed, parsed, type Failure, type Parsed } from '../spec/failure.ts'
import { isObject, parseObject, type JsonObject } from '../spec/json.ts'
import { isVersion, newestVersion, versions, type Version } from '../spec/versions.ts'
import type { Ended } from './exec.ts'
import { runtimeCodes } from './failures.ts'

/** The result of an ADD in the version of the configuration. */
export const readResult = (ended: Ended, cniVersion: string): Parsed<JsonObject> => {
  if (ended.code !== 0) return failureOf(ended)
  const object = parseObject(ended.stdout, 'the result on stdout')
  return object.kind === 'failed' ? object : inVersion(object.value, cniVersion)
}

/**
 * A result of any version in that one. Of a version that is newer than all we know, the shape of
 * the newest we know of its kind is assumed, because versions of one major number are compatible.
 */
export const inVersion = (value: JsonObject, cniVersion: string): Parsed<JsonObject> => {
  const own = value['cniVersion'] ?? ''
  const source = own === cniVersion || own === '' ? shapeOf(cniVersion) : own
  const converted = convertResult({ ...value, cniVersion: source }, { to: shapeOf(cniVersion) })
  if (converted.kind === 'failed') return converted
  return parsed({ ...converted.value.value, cniVersion })
}

const shapeOf = (cniVersion: string): Version =>
  isVersion(cniVersion)
    ? cniVersion
    : (versions.findLast(known => compareVersions(known, cniVersion) <= 0) ?? newestVersion)

/** The outcome of a verb that prints nothing when it succeeds. */
export const readSilence = (ended: Ended): Parsed<undefined> =>
  ended.code === 0 ? parsed(undefined) : failureOf(ended)

/** What a plugin says it supports. */
export const readVersions = (ended: Ended): Parsed<readonly string[]> => {
  if (ended.code !== 0) {
    const failure = failureOf(ended)
    return isAncient(failure) ? parsed(['0.1.0']) : failure
  }
  const object = parseObject(ended.stdout, 'the answer to VERSION')
  if (object.kind === 'failed') return object
  const { cniVersion = '', supportedVersions = [] } = object.value
  const isList =
    Array.isArray(supportedVersions) && supportedVersions.every(text => typeof text === 'string')
  if (typeof cniVersion !== 'string' || cniVersion === '' || !isList) {
    return failed(codes.decoding, 'the answer to VERSION lacks cniVersion or supportedVersions')
  }
  if (supportedVersions.length > 0) return parsed(supportedVersions)
  // The first answer to VERSION there was had no list.
  if (cniVersion === '0.2.0') return parsed(['0.1.0', '0.2.0'])
  return failed(codes.decoding, 'the answer to VERSION lacks supportedVersions')
}

// Plugins from before VERSION call it unknown, with the code of an unclassified error; there is no
// other sign of them (point 108).
const isAncient = ({ code, message }: Failure): boolean =>
  code === codes.invalidEnvironment || /unknown CNI_COMMAND/i.test(message)

/** The error object of a plugin; without one, what it wrote instead (points 43 and 55, X1, X2). */
const failureOf = ({ code, signal, stdout, stderr }: Ended): Failure => {
  const object = parseJson(stdout)
  if (object !== undefined) {
    const { msg = '', details = '' } = object
    return failed(codeOf(object['code']), textOf(msg), textOf(details))
  }
  const how = code === undefined ? `was ended by ${signal}` : `ended with exit code ${code}`
  const said = stdout.trim() === '' ? stderr.trim() : stdout.trim()
  const what = said === '' ? 'and said nothing' : `and said: ${said}`
  return failed(runtimeCodes.pluginFailed, `${how} ${what}`)
}

const parseJson = (stdout: string): JsonObject | undefined => {
  const object = parseObject(stdout, 'stdout')
  return object.kind === 'parsed' && isObject(object.value) ? object.value : undefined
}

const codeOf = (value: unknown): number =>
  typeof value === 'number' && Number.isInteger(value) ? value : runtimeCodes.pluginFailed

const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : JSON.stringify(value)
