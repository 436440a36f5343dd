// Whole rulesets as text through the `nft` command. A child process costs 3 to 30 ms, so this is
// for start-up and repair; elements that change with every pod go through transaction.ts.

import { execFile } from 'node:child_process'

/** Success, or one sentence that says why not. */
export type Loaded = { readonly ok: true } | { readonly ok: false; readonly message: string }

/** Where `nft` runs: the process's own namespace, or the one at a path (tests, emulator). */
export type Place = { readonly namespacePath?: string | undefined }

const NFT_TIMEOUT_MS = 10_000
const NFT_OUTPUT_BYTES_MAX = 16 * 1024 * 1024

/** Applies a ruleset in one transaction: `nft -f -`. */
export const loadRuleset = async (ruleset: string, place: Place = {}): Promise<Loaded> => {
  const ended = await runNft(['-f', '-'], { ...place, input: ruleset })
  if (ended.code === 0) return { ok: true }
  return { ok: false, message: `cannot load the nftables ruleset: ${ended.errors}` }
}

/**
 * The text of an inet table without counters and set elements, to compare with what was loaded;
 * undefined when there is no such table. Throws when nft itself does not work.
 */
export const listRuleset = async (
  table: string,
  place: Place = {},
): Promise<string | undefined> => {
  const ended = await runNft(['-s', '-t', 'list', 'table', 'inet', table], place)
  if (ended.code === 0) return ended.output
  if (ended.errors.includes('No such file or directory')) return undefined
  throw new Error(`cannot list the nftables table inet ${table}: ${ended.errors}`)
}

type Ended = { readonly code: number; readonly output: string; readonly errors: string }

const runNft = (
  nft: readonly string[],
  { namespacePath, input = '' }: Place & { readonly input?: string },
): Promise<Ended> => {
  const prefix = namespacePath === undefined ? [] : ['nsenter', `--net=${namespacePath}`]
  const [command = '', ...rest] = [...prefix, 'nft', ...nft]
  const options = { timeout: NFT_TIMEOUT_MS, maxBuffer: NFT_OUTPUT_BYTES_MAX }
  return new Promise(resolve => {
    const child = execFile(command, rest, options, (failure, output, errors) => {
      resolve({ code: failure === null ? 0 : 1, output, errors: explain(failure, errors) })
    })
    // When nft is missing or dies early the pipe breaks; the callback above already says why.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
  })
}

const explain = (failure: Error | null, errors: string): string => {
  if (failure === null) return ''
  if ('code' in failure && failure.code === 'ENOENT') {
    return `${failure.message}; install the packages nftables and util-linux`
  }
  if ('killed' in failure && failure.killed === true) {
    return `nft did not end within ${NFT_TIMEOUT_MS / 1000} s and was killed`
  }
  return errors.trim() === '' ? failure.message : errors.trim()
}
