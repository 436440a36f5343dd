// Types of newer.mjs for the TypeScript that calls it.

/** Where containerd 2 is and whose it is, or why this machine has none. */
export type Containerd2 =
  | { readonly kind: 'found'; readonly directory: string; readonly origin: string }
  | { readonly kind: 'missing'; readonly reason: string }

/** Fetches it when it is not there; what failed before is tried once more only with `again`. */
export const containerd2: (options?: { readonly again?: boolean }) => Containerd2
