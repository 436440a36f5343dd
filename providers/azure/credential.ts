// The node's token: one credential of the official identity library, chosen by the environment, as
// that library reads it. What goes wrong there is told apart: no identity at all, or no answer.

import {
  EnvironmentCredential,
  ManagedIdentityCredential,
  type TokenCredential,
  WorkloadIdentityCredential,
} from '@azure/identity'
import { Agent } from 'node:http'
import type { AzureEnvironment } from './config.ts'
import { CredentialError } from './failures.ts'

/** The metadata service answers within milliseconds, an authority within seconds. */
const tokenMs = 10_000

/**
 * Tokens for Resource Manager. A caller's abort does not end the request, which others share; it
 * ends by itself after ten seconds, so that nobody waits for a service that never answers.
 */
export const createCredential = (
  environment: CredentialChoice,
  create: (of: typeof environment) => TokenCredential = credentialFor,
): TokenCredential => {
  let inner: TokenCredential | undefined
  return {
    getToken: async scopes => {
      try {
        // Constructors complain about missing variables; that is an answer to the first question.
        inner ??= create(environment)
        const token = await within(tokenMs, inner.getToken(scopes))
        if (token === null) throw new CredentialError('no token', 'CredentialUnavailableError')
        return token
      } catch (error) {
        throw credentialErrorOf(error)
      }
    },
  }
}

type CredentialChoice = Pick<AzureEnvironment, 'credential' | 'clientId' | 'hasOwnAuthority'>

const credentialFor = (choice: CredentialChoice): TokenCredential => {
  const { credential, clientId, hasOwnAuthority } = choice
  // Calls are repeated in one place only, which is not the identity library.
  const retryOptions = { maxRetries: 0 }
  // Microsoft's public directory of authorities does not know one of one's own.
  const options = { retryOptions, disableInstanceDiscovery: hasOwnAuthority }
  switch (credential) {
    case 'environment':
      return new EnvironmentCredential(options)
    case 'workload':
      return new WorkloadIdentityCredential(options)
    case 'managed':
      return new ManagedIdentityCredential({
        ...(clientId === undefined ? {} : { clientId }),
        retryOptions,
        // An agent of its own keeps requests to the metadata service off any configured proxy.
        agent: new Agent(),
      })
  }
}

const within = <Value>(ms: number, working: Promise<Value>): Promise<Value> => {
  const limit = AbortSignal.timeout(ms)
  return new Promise((resolve, reject) => {
    const onLimit = (): void =>
      reject(new CredentialError(`no token within ${ms} ms`, 'CredentialTrouble'))
    limit.addEventListener('abort', onLimit, { once: true })
    working.then(resolve, reject).finally(() => limit.removeEventListener('abort', onLimit))
  })
}

// A refusal stands until somebody changes something; trouble on the way passes. The library wraps
// both in the same error, so what is wrapped decides.
const credentialErrorOf = (error: unknown): unknown => {
  if (!(error instanceof Error) || error instanceof CredentialError) return error
  const chain = causesOf(error)
  const isTrouble = chain.some(isTransient)
  const code = isTrouble ? 'CredentialTrouble' : error.name
  return new CredentialError(withoutSecrets(error.message), code, error)
}

const causesOf = (error: Error): readonly Loose[] => {
  const chain: Loose[] = []
  for (let at: unknown = error; at instanceof Error && chain.length < 5; at = at.cause) {
    chain.push(at)
  }
  return chain
}

type Loose = Error & {
  readonly code?: unknown
  readonly errorCode?: unknown
  readonly status?: unknown
  readonly statusCode?: unknown
}

const isTransient = ({ name, code, errorCode, status, statusCode, message }: Loose): boolean => {
  const seen = [status, statusCode].find(value => typeof value === 'number' && value > 0)
  if (typeof seen === 'number') return seen >= 500 || [404, 408, 410, 429].includes(seen)
  if (name === 'AbortError' || errorCode === 'network_error') return true
  if (typeof code === 'string' && /^(E[A-Z_]+|REQUEST_SEND_ERROR|PARSE_ERROR)$/.test(code))
    return true
  // What the library makes of an answer without a token, whatever its status.
  return name === 'AuthenticationRequiredError' || /network_error|Network unreach/.test(message)
}

// The library quotes answers of authorities; those may quote what was sent.
const withoutSecrets = (text: string): string =>
  text
    .replace(/\s+/g, ' ')
    .replace(/(client_secret|client_assertion|access_token|password)["']?\s*[=:]\s*\S+/gi, '$1=…')
