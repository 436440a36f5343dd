// What a stage must know of the cloud it plays: where it lies, who may call, and which variables of
// a node's environment name its own access key.

import type { LaunchedNode } from '#emulator/launch.ts'

/** Clouds whose bad days are played. */
export type StageCloud = 'aws' | 'alibaba'

export type StagePlaces = {
  /** A zone is this and a letter. */
  readonly region: string
  readonly accountId: string
  /** The first key of the account, which no node has. */
  readonly administrator: string
  /** File of `tools/` that makes a call of this cloud's API. */
  readonly tool: string
  /** The access key of a node. */
  readonly keyOf: (node: string) => string
  /** What the daemon of a node gets to see, its own access key included. */
  readonly environment: (node: LaunchedNode) => Readonly<Record<string, string>>
}

const upper = (name: string): string => name.replaceAll('-', '').toUpperCase()

const awsKeyOf = (name: string): string => `AKIA${upper(name)}`
const alibabaKeyOf = (name: string): string => `LTAI${upper(name)}`

export const placesOf: Readonly<Record<StageCloud, StagePlaces>> = {
  aws: {
    region: 'us-east-1',
    accountId: '123456789012',
    administrator: 'AKIAADMINISTRATOR',
    tool: 'ec2.ts',
    keyOf: awsKeyOf,
    environment: ({ name, env }) => ({ ...env, AWS_ACCESS_KEY_ID: awsKeyOf(name) }),
  },
  alibaba: {
    region: 'cn-hangzhou-',
    accountId: '1234567890123456',
    administrator: 'LTAIADMINISTRATOR',
    tool: 'ecs.ts',
    keyOf: alibabaKeyOf,
    environment: ({ name, env }) => ({
      ...env,
      ENIWAY_CLOUD: 'alibaba',
      ALIBABA_CLOUD_ACCESS_KEY_ID: alibabaKeyOf(name),
    }),
  },
}
