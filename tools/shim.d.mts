// Types of shim.mjs for the TypeScript that calls it.

/** Where the executable is after buildShim. */
export const shimPath: string

/** Compiles the executable when it is missing or stale; answers its path. */
export const buildShim: () => string
