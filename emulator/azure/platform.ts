// Azure as a platform: ARM with its authority over HTTPS, the metadata service, and the variables
// that lead the SDKs to both.
import { firstKey } from '#emulator/accounts.ts'
import type { Platform, PlatformParts, PlatformServers } from '#emulator/platform.ts'
import { defaultAccount, tenantId } from './account.ts'
import type { Arm } from './arm.ts'
import { createAuthority } from './authority.ts'
import { type Certificate, createCertificate } from './certificate.ts'
import { createFace } from './face.ts'
import { createMetadataServer } from './metadata.ts'
import { createMetadataThrottle } from './metadata-throttle.ts'
import { createDirectory, rolesOf } from './principals.ts'
import { createArmServer } from './server.ts'
import { createThrottle } from './throttle.ts'
import { azureTraits } from './traits.ts'

const open = async (parts: PlatformParts): Promise<PlatformServers> => {
  const { world, calls, region, accounts, apiHost } = parts
  const arm: Arm = {
    world,
    subscriptionId: accounts[0]?.id ?? defaultAccount.id,
    location: region,
    directory: createDirectory({ ...parts, roles: () => rolesOf(world) }),
    records: new Map(),
    operations: new Map(),
    running: new Set(),
  }
  const certificate = await createCertificate([apiHost], parts.writeAuthority)
  const faces = {
    arm: createFace({ arm, throttle: createThrottle(parts.throttleFactor), calls }),
    authority: createAuthority(arm.directory, () => world.clock.now()),
  }
  const api = createArmServer(faces, certificate)
  const asked = createMetadataThrottle(parts.throttleFactor)
  const endpoint = (): string | undefined => {
    const address = api.address()
    const isListening = typeof address === 'object' && address !== null
    if (!isListening) return undefined
    return address.port === 443 ? `https://${apiHost}` : `https://${apiHost}:${address.port}`
  }
  return {
    api,
    scheme: 'https',
    createMetadata: ask => createMetadataServer({ arm, throttle: asked, endpoint, ask }),
    environment: at => environment(parts, certificate, at),
  }
}

const environment = (
  { accounts, apiHost }: PlatformParts,
  certificate: Certificate,
  { api: address, metadata }: Parameters<PlatformServers['environment']>[0],
): Readonly<Record<string, string>> => {
  // Without the default port: clients compare the authority's name with that of its documents.
  const api = new URL(address).origin
  const account = accounts[0] ?? defaultAccount
  const key = firstKey(accounts, defaultAccount)
  // Machines have a managed identity; who calls from outside has an application's secret.
  const isOutside = metadata === undefined && isLoopback(apiHost)
  return {
    AZURE_RESOURCE_MANAGER_ENDPOINT: api,
    AZURE_AUTHORITY_HOST: api,
    AZURE_SUBSCRIPTION_ID: account.id,
    AZURE_TENANT_ID: tenantId,
    ...(isOutside && {
      AZURE_CLIENT_ID: key.accessKeyId,
      AZURE_CLIENT_SECRET: key.secretAccessKey,
    }),
    NODE_EXTRA_CA_CERTS: certificate.path,
    ...(metadata === undefined ? {} : { AZURE_POD_IDENTITY_AUTHORITY_HOST: metadata }),
  }
}

const isLoopback = (host: string): boolean => host === 'localhost' || host.startsWith('127.')

/** ARM, Entra ID as far as tokens go, and the instance metadata service. */
export const azurePlatform: Platform = { name: 'azure', traits: azureTraits, open }
