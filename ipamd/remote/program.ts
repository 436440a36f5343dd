// The cloud process: the only place where a provider and its SDK are loaded. Started by the daemon
// (process.ts) with a channel, and ended by the end of that channel alone.

import type { CloudOptions, ProviderCloud } from '#providers/common/options.ts'
import { type MakeCloud, serve } from './serve.ts'

// Bundles keep each SDK in a file of its own, so that no other is ever read.
const providers: { readonly [name: string]: (options: CloudOptions) => Promise<ProviderCloud> } = {
  aws: async options => (await import('#providers/aws/cloud.ts')).createAwsCloud(options),
  azure: async options => (await import('#providers/azure/cloud.ts')).createAzureCloud(options),
  alibaba: async options =>
    (await import('#providers/alibaba/cloud.ts')).createAlibabaCloud(options),
}

const makeCloud: MakeCloud = async ({ provider, options, onCall }) => {
  const create = providers[provider]
  if (create === undefined) throw new Error('there is none of this name')
  return create({ ...(options as CloudOptions), onCall })
}

const main = (): void => {
  if (process.send === undefined) {
    process.stderr.write('the cloud process is started by the daemon: run eniway ipamd\n')
    process.exit(2)
  }
  process.title = 'eniway cloud'
  // Signals reach every process of a terminal or a unit. The daemon ends what is under way first.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => undefined)
  process.on('disconnect', () => process.exit(0))
  process.on(
    'message',
    serve({
      makeCloud,
      send: bytes => void process.send?.(bytes),
      report: error => console.error(error),
      onUnusable: () => process.disconnect(),
    }),
  )
}

main()
