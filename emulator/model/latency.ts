// How long things take, as ranges. `documented` holds published figures (sources beside them);
// the other profiles stretch or shrink them, so that a test is quick and a bad day can be tried.
import type { Chance } from './chance.ts'

/** A uniform range of milliseconds; with `tail`, that share of draws comes from its range. */
export interface Span {
  readonly min: number
  readonly max: number
  readonly tail?: { readonly share: number; readonly min: number; readonly max: number }
}

/** Kinds of control-plane calls that differ in how long they take. */
export type CallKind =
  | 'describe'
  | 'create'
  | 'attach'
  | 'detach'
  | 'delete'
  | 'modify'
  | 'assign'
  | 'unassign'
  | 'tag'
  | 'run'
  | 'terminate'

/** Every delay of the emulated cloud. */
export interface LatencyProfile {
  /** From a call's arrival to its effect and reply. */
  readonly callMs: Readonly<Record<CallKind, Span>>
  /** A new NIC stays `pending`. */
  readonly pendingMs: Span
  /** After the attach call, until the attachment is `attached`. */
  readonly attachingMs: Span
  /** After `attached`, until the device is in the guest. */
  readonly deviceMs: Span
  /** After that, until udev gives it another name, where it does. */
  readonly renameMs: Span
  readonly detachingMs: Span
  /** After a change, until packets obey it. */
  readonly dataPlaneMs: Span
  /** A new id is not found by later calls. */
  readonly newIdMs: Span
  /** After a change, describes still show the state before it. */
  readonly staleMs: Span
  /** After a change, the metadata service shows it. */
  readonly metadataMs: Span
  /** After that, the metadata service shows the NIC's further addresses and prefixes. */
  readonly metadataBlocksMs: Span
  readonly bootMs: Span
  readonly terminatingMs: Span
}

export type LatencyName = 'none' | 'fast' | 'documented' | 'slow'

/** Draws a delay; `stream` names its purpose. */
export const draw = (chance: Chance, stream: string, span: Span): number => {
  const { tail } = span
  if (tail !== undefined && chance.unit(`${stream}/tail`) < tail.share) {
    return between(tail, chance.unit(stream))
  }
  return between(span, chance.unit(stream))
}

const between = ({ min, max }: { readonly min: number; readonly max: number }, unit: number) =>
  Math.round(min + (max - min) * unit)

const span = (min: number, max: number): Span => ({ min, max })

// Assign: one published sample of 510 ms. Attach to metadata: log in amazon-vpc-cni-k8s issue 1872
// (attached after 1.8 s; metadata lists the NIC 0.3 s later, its addresses not before 0.75 s).
// NotFound window: EC2 API reference, "Eventual consistency". The rest interpolates these.
const documented: LatencyProfile = {
  callMs: {
    describe: span(60, 250),
    create: span(800, 1500),
    attach: span(500, 1000),
    detach: span(400, 900),
    delete: span(300, 800),
    modify: span(200, 500),
    assign: span(300, 700),
    unassign: span(300, 700),
    tag: span(100, 300),
    run: span(1000, 2000),
    terminate: span(300, 800),
  },
  pendingMs: span(100, 600),
  attachingMs: span(1000, 8000),
  deviceMs: span(0, 500),
  renameMs: span(50, 1500),
  detachingMs: span(1000, 6000),
  dataPlaneMs: span(100, 1500),
  newIdMs: span(0, 2000),
  staleMs: span(0, 1000),
  metadataMs: span(200, 3000),
  metadataBlocksMs: span(0, 1500),
  bootMs: span(5000, 12_000),
  terminatingMs: span(5000, 20_000),
}

const scaleSpan = ({ min, max }: Span, factor: number): Span => span(min * factor, max * factor)

const mapSpans = (
  profile: LatencyProfile,
  change: (span: Span, key: keyof LatencyProfile) => Span,
): LatencyProfile => {
  const calls = Object.entries(profile.callMs).map(([kind, s]) => [kind, change(s, 'callMs')])
  const rest = Object.entries(profile)
    .filter(([key]) => key !== 'callMs')
    .map(([key, s]) => [key, change(s as Span, key as keyof LatencyProfile)])
  return { ...Object.fromEntries(rest), callMs: Object.fromEntries(calls) } as LatencyProfile
}

// Published long tails: ECS and Cilium waited up to 150 s for a device; the ECS plugin saw
// metadata 18 s behind the attachment.
const tails: Partial<Record<keyof LatencyProfile, NonNullable<Span['tail']>>> = {
  callMs: { share: 0.02, min: 2000, max: 8000 },
  attachingMs: { share: 0.1, min: 30_000, max: 150_000 },
  metadataMs: { share: 0.1, min: 5000, max: 18_000 },
  staleMs: { share: 0.1, min: 2000, max: 10_000 },
}

const profilesOf = (paced: LatencyProfile): Readonly<Record<LatencyName, LatencyProfile>> => ({
  none: mapSpans(paced, () => span(0, 0)),
  fast: mapSpans(paced, s => scaleSpan(s, 1 / 50)),
  documented: paced,
  slow: mapSpans(paced, (s, key) => {
    const tail = tails[key]
    return tail === undefined ? s : { ...s, tail }
  }),
})

/** The profiles by name, at EC2's pace: `none` has no delay at all, `fast` is documented / 50. */
export const latencyProfiles = profilesOf(documented)

/** What takes another time on another cloud; what is left out takes as long as on EC2. */
export interface Pace extends Partial<Omit<LatencyProfile, 'callMs'>> {
  readonly callMs?: Partial<LatencyProfile['callMs']>
}

/** A named profile at a cloud's own pace. */
export const latencyProfile = (name: LatencyName, pace: Pace = {}): LatencyProfile => {
  const callMs = { ...documented.callMs, ...pace.callMs }
  return profilesOf({ ...documented, ...pace, callMs })[name]
}
