// The instance metadata service: a session token first (when the instance insists), then plain-text
// paths. It shows the instance's NICs later than the ECS API does, and their further addresses
// later still. ECS user guide, "Instance metadata".
import type { Server } from 'node:http'
import { type MetadataOptions, sessionMetadataServer } from '#emulator/wire/session-metadata.ts'
import { hasOptionalTokens } from './shapes.ts'
import { metadataTree } from './tree.ts'

/** An HTTP server, not yet listening. */
export const createMetadataServer = (options: MetadataOptions): Server =>
  sessionMetadataServer(options, {
    world: options.world,
    // HttpPutResponseHopLimit holds for tokens alone.
    isHeard: ({ state }) => state !== 'terminated',
    headers: { 'content-type': 'text/plain' },
    tokenHeader: 'x-aliyun-ecs-metadata-token',
    ttlHeader: 'x-aliyun-ecs-metadata-token-ttl-seconds',
    isTtlRepeated: false,
    withoutToken: instance => (hasOptionalTokens(instance) ? undefined : 403),
    treeOf: instance => metadataTree(options, instance),
  })
