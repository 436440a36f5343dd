// The public library `eniway/cni`: the CNI specification as types and functions. Everything here is
// pure and depends on no package and nothing of Node; see docs/cni-library.md.

export { parseArguments } from './arguments.ts'
export {
  failureReply,
  introducedIn,
  readCall,
  versionReply,
  type Call,
  type CheckedCall,
  type Reply,
  type WorkingVerb,
} from './call.ts'
export { chooseVersion, compareVersions, type VersionKeys } from './choice.ts'
export {
  answerVersion,
  invalid,
  parseConfig,
  parseDns,
  parseHead,
  parseValidAttachments,
  requireVersion,
  type ConfigHead,
  type NetworkConfig,
  type ValidAttachment,
} from './config.ts'
export { convertExactly, convertResult, type Conversion, type Converted } from './convert.ts'
export { decodeResult, previousResult } from './decode.ts'
export { encodeResult } from './encode.ts'
export {
  commands,
  isCommand,
  parseEnvironment,
  type Command,
  type Environment,
  type Variables,
} from './environment.ts'
export {
  codes,
  errorObject,
  failed,
  parsed,
  type ErrorObject,
  type Failure,
  type Parsed,
} from './failure.ts'
export { isObject, parseObject, type JsonObject } from './json.ts'
export { ifNameProblem, isName, nameRule } from './names.ts'
export { answerCall, done, type Answer, type Plugin, type PluginCall } from './plugin.ts'
export {
  isEmptyDns,
  noDns,
  type Dns,
  type Result,
  type ResultInterface,
  type ResultIp,
  type ResultRoute,
} from './result.ts'
export {
  impliedVersion,
  isAtLeast,
  isVersion,
  newestVersion,
  parseVersion,
  versions,
  type Version,
} from './versions.ts'

// Addresses inside a Result are branded; these make them from text.
export { cidr, ip, parseCidr, parseIp, type Cidr, type Ip } from '#core/ip.ts'
