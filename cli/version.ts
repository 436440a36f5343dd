// The one place that knows the version, read from the package.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const text = readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')

export const { version } = JSON.parse(text) as { readonly version: string }
