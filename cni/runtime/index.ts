// The public library `eniway/cni/runtime`: what a container runtime needs to use CNI plugins. It
// starts processes and keeps files; the specification itself is `eniway/cni`.

export type { Cache, Cached } from './cache-files.ts'
export { cacheIn, defaultCacheDirectory } from './cache-files.ts'
export {
  cacheFileName,
  decodeContent,
  encodeEntry,
  type CacheContent,
  type CacheEntry,
  type CacheKey,
} from './cache.ts'
export { runtimeCodes } from './failures.ts'
export { loadNetwork, loadNetworkFile } from './load.ts'
export { parseNetwork, parseSingle, type Network, type PluginConfig } from './network.ts'
export { configurationFor, variablesFor, type Attachment, type Request } from './request.ts'
export { createRuntime, type Runtime, type RuntimeOptions, type Support } from './runtime.ts'
