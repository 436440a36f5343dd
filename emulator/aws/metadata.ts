// The instance metadata service, version 2: a session token first, then plain-text paths. It shows
// the instance's NICs later than the EC2 API does, and their further addresses later still.
// EC2 user guide, "Use IMDSv2".
import type { Server } from 'node:http'
import type { Instance } from '#emulator/model/types.ts'
import { type MetadataOptions, sessionMetadataServer } from '#emulator/wire/session-metadata.ts'
import { metadataTree } from './tree.ts'

/** An HTTP server, not yet listening. */
export const createMetadataServer = (options: MetadataOptions): Server =>
  sessionMetadataServer(options, {
    world: options.world,
    isHeard,
    headers: { 'content-type': 'text/plain', server: 'EC2ws' },
    tokenHeader: 'x-aws-ec2-metadata-token',
    ttlHeader: 'x-aws-ec2-metadata-token-ttl-seconds',
    isTtlRepeated: true,
    withoutToken: () => 401,
    treeOf: instance => metadataTree(options, instance),
  })

// Replies to a caller too many hops away die on the way: the caller sees silence.
const isHeard = ({ state, metadataHops }: Instance, hops: number): boolean =>
  hops <= metadataHops && state !== 'terminated' && state !== 'stopped'
