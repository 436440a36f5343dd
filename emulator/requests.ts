// Reads what others write as JSON to steer the emulator; an unknown key or kind is refused by name.
import { z } from 'zod'
import { type Ip, parseIp } from '#core/ip.ts'
import type { DescribedInstance } from './description.ts'
import type { Fault } from './model/faults.ts'

const plain = (kind: string) => z.strictObject({ kind: z.literal(kind) })

const effect = z.union([
  ...['throttle', 'loseReply', 'reset', 'hang', 'malformed', 'foreignWrite'].map(plain),
  ...['subnetExhausted', 'subnetFragmented'].map(plain),
  ...['deviceMissing', 'deviceRenamed', 'attachStuck', 'detachStuck'].map(plain),
  z.strictObject({
    kind: z.literal('fail'),
    code: z.string().min(1),
    status: z.int().min(400).max(599).optional(),
  }),
  z.strictObject({ kind: z.literal('operationFail'), code: z.string().min(1) }),
  z.strictObject({ kind: z.literal('delay'), ms: z.number().min(0) }),
  z.strictObject({ kind: z.literal('metadataLate'), ms: z.number().min(0) }),
  z.strictObject({ kind: z.literal('metadataFail'), status: z.int().min(400).max(599) }),
  z.strictObject({ kind: z.literal('html'), status: z.int().min(400).max(599) }),
  z.strictObject({ kind: z.literal('partial'), granted: z.int().min(0) }),
])

const fault = z.strictObject({
  effect,
  action: z.string().optional(),
  instance: z.string().optional(),
  subnet: z.string().optional(),
  accessKey: z.string().optional(),
  count: z.int().min(1).optional(),
  probability: z.number().min(0).max(1).optional(),
})

const address = z
  .string()
  .refine(text => parseIp(text) !== undefined, 'not an address')
  .transform(text => parseIp(text) as Ip)

const instance = z.strictObject({
  name: z.string().regex(/^[a-z0-9-]{1,40}$/, 'lower-case letters, digits and hyphens'),
  type: z.string(),
  subnet: z.string(),
  zone: z.string().optional(),
  groups: z.array(z.string()).optional(),
  netns: z.string().optional(),
  primaryAddress: address.optional(),
  role: z.string().optional(),
  metadataHops: z.int().min(1).max(64).optional(),
  tags: z.record(z.string(), z.string()).optional(),
  secondaryNics: z
    .array(
      z.strictObject({
        subnet: z.string(),
        groups: z.array(z.string()).optional(),
        tags: z.record(z.string(), z.string()).optional(),
      }),
    )
    .optional(),
  scaleSet: z
    .strictObject({ name: z.string().min(1), mode: z.enum(['flexible', 'uniform']) })
    .optional(),
  accelerated: z.boolean().optional(),
  renames: z.boolean().optional(),
  addressCount6: z.int().min(0).optional(),
})

const maintenance = z.strictObject({ instance: z.string(), ms: z.number().min(0) })

/** A fault, or a TypeError that says what is wrong with it. */
export const readFault = (value: unknown): Fault => read(fault, 'fault', value) as Fault

/** An instance to launch, or a TypeError that says what is wrong with it. */
export const readInstance = (value: unknown): DescribedInstance =>
  read(instance, 'instance', value) as DescribedInstance

/** Whose host is maintained, and for how long; or a TypeError that says what is wrong. */
export const readMaintenance = (value: unknown): { instance: string; ms: number } =>
  read(maintenance, 'maintenance', value) as { instance: string; ms: number }

const read = (schema: z.ZodType, what: string, value: unknown): unknown => {
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw new TypeError(`not a valid ${what}: ${z.prettifyError(parsed.error)}`)
  return parsed.data
}
