// The account that exists when nobody named one; the emulator prints its key.
import type { Account } from '#emulator/accounts.ts'

/** One account with one key, whose secret is known. */
export const defaultAccount = {
  id: '1234567890123456',
  keys: [{ accessKeyId: 'LTAIEMULATOR000000000000', secretAccessKey: 'emulator-secret' }],
} as const satisfies Account
