// Giving memory back to the kernel. V8 does it by itself when it has collected much; a process that
// rests allocates too little for that ever to happen.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * For Node, before the program. V8's young generation otherwise grows to 128 MiB under load, for
 * objects that live for a millisecond; and each of V8's four helpers keeps a heap of its own, of
 * 2.5 MiB, for compiling that one of them does as well.
 */
export const nodeFlags: readonly string[] = ['--max-semi-space-size=8', '--v8-pool-size=1']

type Collect = (options: {
  readonly type: 'major'
  readonly execution: 'sync'
  readonly flavor: 'last-resort'
}) => void

let collect: Collect | undefined

/** Collects all there is and returns free pages; stops the process for some 30 ms. */
export const giveMemoryBack = (): void => {
  collect ??= exposed()
  // The ordinary flavour keeps free pages for later.
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}

// The function is made with each context while the flag is set.
const exposed = (): Collect => {
  setFlagsFromString('--expose-gc')
  const found = runInNewContext('gc') as Collect
  setFlagsFromString('--no-expose-gc')
  return found
}
