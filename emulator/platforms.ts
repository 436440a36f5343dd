// Loads a cloud by its name; the others' code is never read.
import type { Platform, PlatformName } from './platform.ts'

/** Names of all platforms. */
export const platformNames: readonly PlatformName[] = ['aws', 'azure', 'alibaba']

/** The platform; rejects when its folder is missing. */
export const loadPlatform = async (name: PlatformName): Promise<Platform> => {
  const module = (await import(`./${name}/platform.ts`)) as Readonly<Record<string, Platform>>
  const platform = module[`${name}Platform`]
  if (platform === undefined) throw new Error(`emulator/${name}/platform.ts has no ${name}Platform`)
  return platform
}
