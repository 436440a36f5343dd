// The environment variables of the AWS SDK that we read ourselves, because the metadata client and
// the region are ours; everything else (endpoint, credentials) the SDK takes from there on its own.

export type AwsEnvironment = {
  /** Undefined: the metadata service is asked. */
  readonly region: string | undefined
  /** Base address of the metadata service; undefined when it is switched off. */
  readonly metadataEndpoint: string | undefined
}

export const awsEnvironment = (
  environment: Readonly<Record<string, string | undefined>> = process.env,
): AwsEnvironment => ({
  region: nonEmpty(environment['AWS_REGION']),
  metadataEndpoint:
    environment['AWS_EC2_METADATA_DISABLED']?.toLowerCase() === 'true'
      ? undefined
      : (nonEmpty(environment['AWS_EC2_METADATA_SERVICE_ENDPOINT']) ??
        defaultEndpoint(environment)),
})

const nonEmpty = (text: string | undefined): string | undefined => (text === '' ? undefined : text)

const defaultEndpoint = (environment: Readonly<Record<string, string | undefined>>): string =>
  environment['AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE'] === 'IPv6'
    ? 'http://[fd00:ec2::254]'
    : 'http://169.254.169.254'
