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
