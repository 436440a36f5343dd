// Types of debian.mjs for the TypeScript that calls it.

export type GroupName = 'network' | 'compile' | 'runtime' | 'peer'

/** The names `ensureDebianPackages` accepts. */
export const groupNames: readonly GroupName[]

/** Packages of the given groups whose program is not here. */
export const missingPackages: (names: readonly GroupName[]) => readonly string[]

/** Installs what is missing as root; otherwise names it in one sentence and exits with 1. */
export const ensureDebianPackages: (names: readonly GroupName[]) => void
