// AWS as a platform: the EC2 face, instance metadata, and the variables that lead the SDK to both.
import { firstKey } from '#emulator/accounts.ts'
import type { Platform, PlatformParts, PlatformServers } from '#emulator/platform.ts'
import { accountKeys } from '#emulator/wire/keys.ts'
import { defaultAccount } from './account.ts'
import { createFace } from './face.ts'
import { createKeyRing } from './keys.ts'
import { createMetadataServer } from './metadata.ts'
import { createEc2Server } from './server.ts'
import { createThrottle } from './throttle.ts'
import { awsTraits } from './traits.ts'

const open = async (parts: PlatformParts): Promise<PlatformServers> => {
  const { world, calls, netnsOf, region, deniedToRoles, accounts } = parts
  const ownerId = accounts[0]?.id ?? defaultAccount.id
  const keys = createKeyRing(world.chance, accounts.flatMap(accountKeys))
  const throttle = createThrottle(parts.throttleFactor)
  const face = createFace({ world, keys, throttle, calls, ownerId, netnsOf })
  return {
    api: createEc2Server(face),
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
    AWS_ENDPOINT_URL_EC2: api,
    AWS_REGION: region,
    AWS_ACCESS_KEY_ID: key.accessKeyId,
    AWS_SECRET_ACCESS_KEY: key.secretAccessKey,
    ...(metadata === undefined ? {} : { AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata }),
  }
}

/** EC2 and its metadata service. */
export const awsPlatform: Platform = { name: 'aws', traits: awsTraits, open }
