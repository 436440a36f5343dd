// Starts the conformance run against our own executable; `npm run conform` calls it.

import { oursCommand } from '#cli/conform/ours.ts'

await oursCommand().parseAsync()
