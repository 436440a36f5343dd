// The one EC2 client: where retries are switched off and time-outs are made to work. Endpoint and
// credentials come from the SDK's own environment variables and provider chain.

import { EC2Client } from '@aws-sdk/client-ec2'
import type { CallListener } from '../common/options.ts'

type ClientOptions = { readonly requestMs?: number; readonly onCall?: CallListener }

/** A call that takes longer counts as lost; EC2's slowest mutations answer within seconds. */
const defaultRequestMs = 15_000
const connectionMs = 3000

/**
 * A client that tries everything once. `requestTimeout` alone only prints a warning, so it is made
 * to throw; it ends with the answer's first byte, so the idle limit covers a body that never ends.
 */
export const createClient = (
  region: () => Promise<string>,
  { requestMs = defaultRequestMs, onCall }: ClientOptions = {},
): EC2Client => {
  const client = new EC2Client({
    region,
    maxAttempts: 1,
    requestHandler: {
      connectionTimeout: Math.min(connectionMs, requestMs),
      requestTimeout: requestMs,
      throwOnRequestTimeout: true,
      socketTimeout: requestMs,
    },
  })
  if (onCall !== undefined) tell(client, onCall)
  return client
}

const tell = (client: EC2Client, onCall: CallListener): void =>
  client.middlewareStack.add(
    (next, context) => async input => {
      const name = String(context['commandName']).replace(/Command$/, '')
      try {
        const output = await next(input)
        onCall(name, 'ok')
        return output
      } catch (error) {
        onCall(name, error instanceof Error ? error.name : 'Error')
        throw error
      }
    },
    { step: 'initialize', name: 'eniwayTell' },
  )
