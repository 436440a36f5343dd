// Why the cloud refuses something, in words of no provider; each face has one table that turns them
// into its own codes and messages.

/** Kinds of things that can be missing. */
export type ThingKind = 'nic' | 'instance' | 'subnet' | 'vpc' | 'group' | 'attachment' | 'type'

export type Reason =
  | { readonly kind: 'notFound'; readonly thing: ThingKind; readonly ids: readonly string[] }
  | {
      readonly kind: 'subnetExhausted'
      readonly subnetId: string
      readonly asked: 'address' | 'prefix'
    }
  | { readonly kind: 'subnetFragmented'; readonly subnetId: string }
  | { readonly kind: 'slotsExceeded'; readonly nicId: string; readonly slotsMax: number }
  | { readonly kind: 'nicsExceeded'; readonly type: string; readonly count: number }
  | { readonly kind: 'nicQuotaExceeded'; readonly nicsMax: number }
  | { readonly kind: 'groupsExceeded'; readonly groupsMax: number }
  | { readonly kind: 'tagsExceeded'; readonly tagsMax: number }
  | { readonly kind: 'addressTaken'; readonly address: string }
  | { readonly kind: 'addressOutside'; readonly address: string; readonly subnetId: string }
  | { readonly kind: 'addressMissing'; readonly address: string; readonly nicId: string }
  | { readonly kind: 'addressPrimary'; readonly address: string }
  | { readonly kind: 'familyMissing'; readonly subnetId: string }
  | { readonly kind: 'prefixesUnsupported'; readonly type: string }
  | { readonly kind: 'nicAttached'; readonly nicId: string; readonly isDetaching: boolean }
  | { readonly kind: 'nicBusy'; readonly nicId: string }
  | { readonly kind: 'deviceIndexTaken'; readonly instanceId: string; readonly deviceIndex: number }
  | { readonly kind: 'cardMissing'; readonly type: string; readonly cardIndex: number }
  | { readonly kind: 'zoneDiffers'; readonly nicId: string; readonly instanceId: string }
  | { readonly kind: 'vpcDiffers'; readonly id: string; readonly vpcId: string }
  | { readonly kind: 'instanceState'; readonly instanceId: string; readonly state: string }
  | { readonly kind: 'primaryNic'; readonly nicId: string }
  /** NICs come and go on stopped machines only, and this one runs. */
  | { readonly kind: 'hotPlugUnsupported'; readonly nicId: string; readonly instanceId: string }
  /** All NICs of a machine together would hold more blocks than it may. */
  | {
      readonly kind: 'instanceSlotsExceeded'
      readonly instanceId: string
      readonly slotsMax: number
    }

/** Thrown by the model; nothing was changed. */
export class Refusal extends Error {
  readonly reason: Reason
  constructor(reason: Reason) {
    const { kind, ...details } = reason
    super(`the cloud refuses: ${kind} ${JSON.stringify(details)}`)
    this.name = 'Refusal'
    this.reason = reason
  }
}

/** Shorthand: `throw refuse({ kind: … })`. */
export const refuse = (reason: Reason): Refusal => new Refusal(reason)

/** The value, or a refusal that names what was not found. */
export const found = <T>(value: T | undefined, thing: ThingKind, id: string): T => {
  if (value === undefined) throw refuse({ kind: 'notFound', thing, ids: [id] })
  return value
}
