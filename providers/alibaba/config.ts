// The environment variables by which Alibaba Cloud's own tools are led, read once. The SDK reads
// none of them itself, save those of its OIDC credentials.

export type Keys = {
  readonly accessKeyId: string
  readonly accessKeySecret: string
  /** Undefined: keys of a RAM user, which never end. */
  readonly securityToken: string | undefined
}

export type AlibabaEnvironment = {
  /** Undefined: the metadata service is asked. */
  readonly region: string | undefined
  /** URLs that replace the regional endpoints of ECS and VPC. */
  readonly ecsEndpoint: string | undefined
  readonly vpcEndpoint: string | undefined
  /** Regional endpoints inside the VPC, for nodes without a way to the internet. */
  readonly isInsideVpc: boolean
  /** Base address of the metadata service. */
  readonly metadataEndpoint: string
  /** Undefined: the environment has no keys. */
  readonly keys: Keys | undefined
  /** True when the variables of RRSA are set, which the SDK's own provider reads. */
  readonly hasOidc: boolean
  /** False: no role credentials are taken from metadata. */
  readonly mayAskForRole: boolean
  /** Undefined: the metadata service names the role. */
  readonly roleName: string | undefined
}

type Variables = Readonly<Record<string, string | undefined>>

export const alibabaEnvironment = (variables: Variables = process.env): AlibabaEnvironment => ({
  region: textOf(variables, 'REGION_ID'),
  ecsEndpoint: textOf(variables, 'ECS_ENDPOINT'),
  vpcEndpoint: textOf(variables, 'VPC_ENDPOINT'),
  isInsideVpc: isTrue(variables, 'VPC_ENDPOINT_ENABLED'),
  metadataEndpoint: textOf(variables, 'METADATA_ENDPOINT') ?? 'http://100.100.100.200',
  keys: keysOf(variables),
  hasOidc: ['ROLE_ARN', 'OIDC_PROVIDER_ARN', 'OIDC_TOKEN_FILE'].every(
    name => textOf(variables, name) !== undefined,
  ),
  mayAskForRole: !isTrue(variables, 'ECS_METADATA_DISABLED'),
  roleName: textOf(variables, 'ECS_METADATA'),
})

const keysOf = (variables: Variables): Keys | undefined => {
  const accessKeyId = textOf(variables, 'ACCESS_KEY_ID')
  const accessKeySecret = textOf(variables, 'ACCESS_KEY_SECRET')
  if (accessKeyId === undefined || accessKeySecret === undefined) return undefined
  return { accessKeyId, accessKeySecret, securityToken: textOf(variables, 'SECURITY_TOKEN') }
}

const textOf = (variables: Variables, name: string): string | undefined => {
  const text = variables[`ALIBABA_CLOUD_${name}`]?.trim()
  return text === '' ? undefined : text
}

const isTrue = (variables: Variables, name: string): boolean =>
  textOf(variables, name)?.toLowerCase() === 'true'
