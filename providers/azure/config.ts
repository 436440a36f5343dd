// The environment variables that lead to Azure: where Resource Manager and the metadata service
// are, and which credential a node uses. Their names are those of the official SDKs, beside the
// first two, for which the SDKs have none. Authority and secrets they read on their own.

/** How this node proves who it is; nothing else of the SDK's long chain makes sense on a node. */
export type CredentialKind = 'environment' | 'workload' | 'managed'

export type AzureEnvironment = {
  /** Undefined: that of the cloud which the metadata service names. */
  readonly armEndpoint: string | undefined
  /** Whom tokens are for; undefined: the cloud's Resource Manager, whatever the endpoint. */
  readonly armAudience: string | undefined
  readonly metadataEndpoint: string
  readonly credential: CredentialKind
  /** Which managed identity; undefined: the system-assigned or only one. */
  readonly clientId: string | undefined
  /** True where tokens come from an authority that the environment names, as in a private cloud. */
  readonly hasOwnAuthority: boolean
  /** True when requests to Resource Manager go through a proxy, which the SDK then chooses. */
  readonly isProxied: boolean
}

export const azureEnvironment = (
  environment: Readonly<Record<string, string | undefined>> = process.env,
): AzureEnvironment => {
  const value = (name: string): string | undefined => environment[name] || undefined
  return {
    armEndpoint: value('AZURE_RESOURCE_MANAGER_ENDPOINT'),
    armAudience: value('AZURE_RESOURCE_MANAGER_AUDIENCE'),
    metadataEndpoint: value('AZURE_POD_IDENTITY_AUTHORITY_HOST') ?? 'http://169.254.169.254',
    credential: credentialOf(value),
    clientId: value('AZURE_CLIENT_ID'),
    hasOwnAuthority: value('AZURE_AUTHORITY_HOST') !== undefined,
    isProxied: proxyNames.some(name => (value(name) ?? value(name.toLowerCase())) !== undefined),
  }
}

const proxyNames = ['HTTPS_PROXY', 'ALL_PROXY']

// The order of the SDK's own default chain.
const credentialOf = (value: (name: string) => string | undefined): CredentialKind => {
  const has = (...names: readonly string[]): boolean =>
    names.every(name => value(name) !== undefined)
  if (!has('AZURE_TENANT_ID', 'AZURE_CLIENT_ID')) return 'managed'
  if (has('AZURE_CLIENT_SECRET') || has('AZURE_CLIENT_CERTIFICATE_PATH')) return 'environment'
  return has('AZURE_FEDERATED_TOKEN_FILE') ? 'workload' : 'managed'
}
