// Loads a cloud by its name; the others' code is never read.
import type { Platform, PlatformName } from './platform.ts'

const loaders: Readonly<Record<PlatformName, () => Promise<Platform>>> = {
  aws: async () => (await import('./aws/platform.ts')).awsPlatform,
  azure: async () => (await import('./azure/platform.ts')).azurePlatform,
  alibaba: async () => (await import('./alibaba/platform.ts')).alibabaPlatform,
}

/** Names of all platforms. */
export const platformNames = Object.keys(loaders) as readonly PlatformName[]

/** The platform of that name. */
export const loadPlatform = (name: PlatformName): Promise<Platform> => loaders[name]()
