// Loading a ruleset and waiting for it, where packets must not flow before it is there.

import { execFileSync } from 'node:child_process'
import type { Loaded } from './ruleset.ts'

const NFT_TIMEOUT_MS = 10_000

/** Applies a ruleset in one transaction and returns when it is in force; blocks for some 5 ms. */
export const loadRulesetNow = (ruleset: string): Loaded => {
  try {
    execFileSync('nft', ['-f', '-'], { input: ruleset, stdio: 'pipe', timeout: NFT_TIMEOUT_MS })
    return { ok: true }
  } catch (failure) {
    return { ok: false, message: `cannot load the nftables ruleset: ${reasonOf(failure)}` }
  }
}

const reasonOf = (failure: unknown): string => {
  const { code, stderr, message } = failure as NodeJS.ErrnoException & { stderr?: Buffer }
  if (code === 'ENOENT') return 'nft is missing; install the package nftables'
  const errors = stderr?.toString().trim() ?? ''
  return errors === '' ? message : errors
}
