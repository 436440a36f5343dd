// The daemon's own executable: `node ipamd.cjs --config FILE`. It is what a DaemonSet runs, without
// the rest of the command line tool in memory.

import { parseArgs } from 'node:util'
import { runDaemon } from './main.ts'

const { values } = parseArgs({
  options: { config: { type: 'string' }, seed: { type: 'string' } },
  strict: true,
})

void runDaemon({ config: values.config, seed: values.seed }).then(code => process.exit(code))
