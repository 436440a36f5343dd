// The subscription, the application and the tenant that exist when a composer names none.
import type { Account } from '#emulator/accounts.ts'

/** Used when no accounts are given: a subscription, an application's id and its secret. */
export const defaultAccount = {
  id: '00000000-0000-4000-8000-00000000a201',
  keys: [
    {
      accessKeyId: '00000000-0000-4000-8000-00000000a202',
      secretAccessKey: 'emulator-secret',
    },
  ],
} as const satisfies Account

/** Every application and managed identity lives in this tenant. */
export const tenantId = '00000000-0000-4000-8000-00000000a203'
