// Alibaba Cloud as a platform: the RPC face of ECS and VPC, instance metadata, and the variables
// that lead the SDK to them.
import { firstKey } from '#emulator/accounts.ts'
import type { Platform, PlatformParts, PlatformServers } from '#emulator/platform.ts'
import { accountKeys } from '#emulator/wire/keys.ts'
import { defaultAccount } from './account.ts'
import { createAuthenticate } from './auth.ts'
import { createFace } from './face.ts'
import { createKeyRing } from './keys.ts'
import { createMetadataServer } from './metadata.ts'
import { createApiServer } from './server.ts'
import { createThrottle } from './throttle.ts'
import { alibabaTraits } from './traits.ts'

const open = async (parts: PlatformParts): Promise<PlatformServers> => {
  const { world, calls, region, deniedToRoles, accounts } = parts
  const ownerId = accounts[0]?.id ?? defaultAccount.id
  const keys = createKeyRing(world.chance, accounts.flatMap(accountKeys))
  const authenticate = createAuthenticate(keys)
  const throttle = createThrottle(parts.throttleFactor)
  return {
    api: createApiServer(createFace({ world, authenticate, throttle, calls, ownerId, region })),
    scheme: 'http',
    createMetadata: ask =>
      createMetadataServer({ world, keys, ownerId, region, deniedToRoles, ask }),
    environment: at => environment(parts, at),
  }
}

const environment = (
  { accounts, region }: PlatformParts,
  { api, metadata }: Parameters<PlatformServers['environment']>[0],
): Readonly<Record<string, string>> => {
  const key = firstKey(accounts, defaultAccount)
  return {
    ALIBABA_CLOUD_ECS_ENDPOINT: api,
    ALIBABA_CLOUD_VPC_ENDPOINT: api,
    ALIBABA_CLOUD_REGION_ID: region,
    ALIBABA_CLOUD_ACCESS_KEY_ID: key.accessKeyId,
    ALIBABA_CLOUD_ACCESS_KEY_SECRET: key.secretAccessKey,
    ...(metadata === undefined ? {} : { ALIBABA_CLOUD_METADATA_ENDPOINT: metadata }),
  }
}

/** ECS, VPC and their metadata service. */
export const alibabaPlatform: Platform = { name: 'alibaba', traits: alibabaTraits, open }
