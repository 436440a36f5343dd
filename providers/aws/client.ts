// The one EC2 client: where retries are switched off and time-outs are made to work. Endpoint and
// credentials come from the SDK's own environment variables and provider chain.

import { EC2Client } from '@aws-sdk/client-ec2'

export type CallLimits = { readonly requestMs: number; readonly connectionMs: number }

/** A call that takes longer counts as lost; EC2's slowest mutations answer within seconds. */
const defaultLimits: CallLimits = { requestMs: 15_000, connectionMs: 3000 }

/**
 * A client that tries everything once. `requestTimeout` alone only prints a warning, so it is made
 * to throw; it ends with the answer's first byte, so the idle limit covers a body that never ends.
 */
export const createClient = (
  region: () => Promise<string>,
  { requestMs, connectionMs }: CallLimits = defaultLimits,
): EC2Client =>
  new EC2Client({
    region,
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: connectionMs,
      requestTimeout: requestMs,
      throwOnRequestTimeout: true,
      socketTimeout: requestMs,
    },
  })
