#!/usr/bin/env node
// Starts the command with the Node that the project brings, whatever Node the caller has.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const own = join(root, 'node_modules', '.bin', 'node')
const main = join(root, 'cli', 'main.ts')
const { status, signal } = spawnSync(
  existsSync(own) ? own : process.execPath,
  [main, ...process.argv.slice(2)],
  { stdio: 'inherit' },
)
process.exitCode = signal === null ? (status ?? 1) : 1
