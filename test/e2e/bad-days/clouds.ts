// What a stage must know of the cloud it plays: where it lies, who may call, and which variables of
// a node's environment name its own access key.

import { defaultAccount } from '#emulator/azure/account.ts'
import { guidOf } from '#emulator/azure/guid.ts'
import type { LaunchedNode } from '#emulator/launch.ts'
import type { PlatformName } from '#emulator/platform.ts'

export type StagePlaces = {
  /** The zone of a node, counted from 0. */
  readonly zoneOf: (index: number) => string
  /** Where the subnets of a node in this zone lie. */
  readonly subnetPlaceOf: (zone: string) => string
  readonly accountId: string
  /** The first key of the account, which no node has. */
  readonly administrator: string
  /** File of `tools/` that makes a call of this cloud's API. */
  readonly tool: string
  /** What this tool needs beside the emulator's own variables. */
  readonly toolEnvironment: Readonly<Record<string, string>>
  /** The access key of a node. */
  readonly keyOf: (node: string) => string
  /** What the daemon of a node gets to see, its own access key included. */
  readonly environment: (node: LaunchedNode) => Readonly<Record<string, string>>
}

const upper = (name: string): string => name.replaceAll('-', '').toUpperCase()

const awsKeyOf = (name: string): string => `AKIA${upper(name)}`
const alibabaKeyOf = (name: string): string => `LTAI${upper(name)}`

/** Secret of every application. */
const azureSecret = 'any'
const azureKeyOf = (name: string): string => guidOf(`bad day of ${name}`)
const azureAdministrator = azureKeyOf('administrator')

const letterOf = (index: number): string => 'abcdefghijklmnopqrstuvwxyz'[index] ?? 'a'
const sameZone = (zone: string): string => zone

export const placesOf: Readonly<Record<PlatformName, StagePlaces>> = {
  aws: {
    zoneOf: index => `us-east-1${letterOf(index)}`,
    subnetPlaceOf: sameZone,
    accountId: '123456789012',
    administrator: 'AKIAADMINISTRATOR',
    tool: 'ec2.ts',
    toolEnvironment: {},
    keyOf: awsKeyOf,
    environment: ({ name, env }) => ({ ...env, AWS_ACCESS_KEY_ID: awsKeyOf(name) }),
  },
  alibaba: {
    zoneOf: index => `cn-hangzhou-${letterOf(index)}`,
    subnetPlaceOf: sameZone,
    accountId: '1234567890123456',
    administrator: 'LTAIADMINISTRATOR',
    tool: 'ecs.ts',
    toolEnvironment: {},
    keyOf: alibabaKeyOf,
    environment: ({ name, env }) => ({
      ...env,
      ENIWAY_CLOUD: 'alibaba',
      ALIBABA_CLOUD_ACCESS_KEY_ID: alibabaKeyOf(name),
    }),
  },
  azure: {
    zoneOf: index => `eastus-${(index % 3) + 1}`,
    subnetPlaceOf: () => 'eastus',
    accountId: defaultAccount.id,
    administrator: azureAdministrator,
    tool: 'arm.ts',
    toolEnvironment: { AZURE_CLIENT_ID: azureAdministrator, AZURE_CLIENT_SECRET: azureSecret },
    keyOf: azureKeyOf,
    environment: ({ name, env }) => ({
      ...env,
      ENIWAY_CLOUD: 'azure',
      AZURE_CLIENT_ID: azureKeyOf(name),
      AZURE_CLIENT_SECRET: azureSecret,
    }),
  },
}
