// Types of debian.mjs for the TypeScript that calls it.

/** What the programs are for: packets, compiling C, running pods, fuzzing, being compared with. */
export type GroupName = 'network' | 'compile' | 'runtime' | 'fuzz' | 'afl' | 'peer'

/** Installs what is missing as root; otherwise names it in one sentence and exits with 1. */
export const ensureDebianPackages: (names: readonly GroupName[]) => void
