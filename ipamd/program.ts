// The daemon's own executable: `node ipamd.cjs --config FILE`. It is what a DaemonSet runs, without
// the rest of the command line tool in memory.

import { parseArgs } from 'node:util'
import { ensureFlags } from './flags.ts'

// Before anything else is loaded.
ensureFlags()

const { values } = parseArgs({
  options: { config: { type: 'string' }, seed: { type: 'string' } },
  strict: true,
})

void import('./main.ts')
  .then(({ runDaemon }) => runDaemon({ config: values.config, seed: values.seed }))
  .then(code => process.exit(code))
