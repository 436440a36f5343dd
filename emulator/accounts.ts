// Who may call an emulated cloud: its accounts (subscriptions) and their keys.

/** An account (subscription) that may call; the first one owns the VPC. */
export interface Account {
  readonly id: string
  readonly keys: readonly {
    readonly accessKeyId: string
    /** Given: signatures are verified. */
    readonly secretAccessKey?: string
    readonly deniedActions?: readonly string[]
  }[]
}

/**
 * The key for a client that nobody gave one: the first of the first account. A key without a secret
 * is not verified, but clients insist on having one.
 */
export const firstKey = (
  accounts: readonly Account[],
  otherwise: Account,
): { readonly accessKeyId: string; readonly secretAccessKey: string } => {
  const key = accounts[0]?.keys[0] ?? otherwise.keys[0]
  return { accessKeyId: key?.accessKeyId ?? '', secretAccessKey: key?.secretAccessKey ?? 'any' }
}
