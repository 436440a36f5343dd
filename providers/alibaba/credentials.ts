// Whose credentials sign the calls: keys of the environment, a role by OIDC (RRSA), or the
// instance's RAM role from metadata. The SDK's own provider for the last one asks a fixed address
// and falls back to the unhardened mode, so role credentials come through our metadata client.

import { CredentialModel, OIDCRoleArnCredentialsProvider } from '@alicloud/credentials'
import { LRUCache } from 'lru-cache'
import { CallFailed } from '../common/calls.ts'
import type { AlibabaEnvironment, Keys } from './config.ts'
import { ownFailure } from './failures.ts'
import type { Metadata } from './metadata.ts'

/** Credentials and whom they belong to, in words for the user. */
export type Credentials = Keys & { readonly provider: string; readonly principal: string }

export interface CredentialsSource {
  /** Rejects with CallFailed, always certain: nothing has been sent. */
  get(signal: AbortSignal): Promise<Credentials>
  /** After a refusal that blames them: the next ones are fetched anew. */
  forget(): void
}

// The service renews role credentials half an hour before they end, so what was fetched a few
// minutes ago is good for longer than any call takes.
const keptMs = 300_000

export const createCredentials = (
  environment: AlibabaEnvironment,
  metadata: Metadata,
): CredentialsSource => {
  const fetching = sourceOf(environment, metadata)
  const known = new LRUCache<'current', Credentials>({ max: 1, ttl: keptMs })
  return {
    get: async signal => {
      const cached = known.get('current')
      if (cached !== undefined) return cached
      const credentials = await fetching(signal)
      known.set('current', credentials)
      return credentials
    },
    forget: () => known.clear(),
  }
}

type Fetching = (signal: AbortSignal) => Promise<Credentials>

const sourceOf = (environment: AlibabaEnvironment, metadata: Metadata): Fetching => {
  const { keys, hasOidc, mayAskForRole, roleName } = environment
  if (keys !== undefined) return async () => ofKeys(keys)
  if (hasOidc) return createOidc()
  if (mayAskForRole) return signal => ofRole(metadata, roleName, signal)
  return async () => {
    throw without('no keys are set and ALIBABA_CLOUD_ECS_METADATA_DISABLED is true')
  }
}

const ofKeys = (keys: Keys): Credentials => ({
  ...keys,
  provider: keys.securityToken === undefined ? 'static_ak' : 'static_sts',
  principal: `the owner of AccessKey ${keys.accessKeyId}`,
})

// The SDK's provider renews its session by itself, before it ends.
const createOidc = (): Fetching => {
  const provider = OIDCRoleArnCredentialsProvider.builder().build()
  return async () => {
    try {
      const { accessKeyId, accessKeySecret, securityToken } = await provider.getCredentials()
      const principal = 'the RAM role of ALIBABA_CLOUD_ROLE_ARN'
      const keys = { accessKeyId, accessKeySecret, securityToken }
      return { ...keys, provider: provider.getProviderName(), principal }
    } catch (error) {
      throw without(error instanceof Error ? error.message : String(error))
    }
  }
}

const folder = 'ram/security-credentials/'

const ofRole = async (
  metadata: Metadata,
  roleName: string | undefined,
  signal: AbortSignal,
): Promise<Credentials> => {
  const [role] = roleName === undefined ? await metadata.list(folder, signal) : [roleName]
  if (role === undefined) throw without('the instance has no RAM role and no keys are set')
  const keys = roleKeysOf(await metadata.need(`${folder}${role}`, signal))
  if (keys === undefined) throw without(`metadata holds no credentials of RAM role ${role}`)
  return { ...keys, provider: 'ecs_ram_role', principal: `RAM role ${role}` }
}

const roleKeysOf = (text: string): Keys | undefined => {
  const said = parsed(text)
  const [accessKeyId, accessKeySecret, securityToken] = [
    'AccessKeyId',
    'AccessKeySecret',
    'SecurityToken',
  ].map(name => said[name])
  if (typeof accessKeyId !== 'string' || typeof accessKeySecret !== 'string') return undefined
  return typeof securityToken === 'string'
    ? { accessKeyId, accessKeySecret, securityToken }
    : undefined
}

const parsed = (text: string): Readonly<Record<string, unknown>> => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

const site = { call: 'credentials', on: 'this node', isRead: true }

const without = (text: string): CallFailed =>
  new CallFailed(ownFailure(site, { kind: 'denied', code: 'NoCredentials', text }))

/** What the SDK's client takes in the place of a credential of its own. */
export const credentialOf = (current: () => Credentials) => {
  const getCredential = async () => {
    const { accessKeyId, accessKeySecret, securityToken, provider } = current()
    return new CredentialModel({
      accessKeyId,
      accessKeySecret,
      securityToken,
      type: provider,
      providerName: provider,
    })
  }
  return { getCredential }
}
