// CNI_ARGS: `KEY=VALUE` pairs joined by ";". Read more leniently than the reference library does,
// because runtimes send values that hold "=" and texts that end in ";".

import { codes, failed, parsed, type Parsed } from './failure.ts'
import { show } from './json.ts'

/** Every pair, unknown keys included; the last of equal keys wins. A pair without "=" fails. */
export const parseArguments = (text: string): Parsed<ReadonlyMap<string, string>> => {
  const pairs = text.split(';').filter(pair => pair !== '')
  const bad = pairs.find(pair => !(pair.indexOf('=') > 0))
  if (bad !== undefined) {
    return failed(
      codes.invalidEnvironment,
      `CNI_ARGS holds ${show(bad)}, which is not KEY=VALUE; join such pairs with ";"`,
    )
  }
  return parsed(new Map(pairs.map(splitPair)))
}

const splitPair = (pair: string): readonly [string, string] => {
  const equals = pair.indexOf('=')
  return [pair.slice(0, equals), pair.slice(equals + 1)]
}
