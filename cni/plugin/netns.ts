// The guard against being handed the node's own network namespace: wiring "the pod" there would
// rename and readdress the node. Checked before anything is done.

import { statSync } from 'node:fs'

/** True when the path is the namespace of this process. A path that is gone passes as false. */
export const isOwnNamespace = (path: string): boolean => {
  const identity = identify(path)
  return identity !== undefined && identity === (own ??= identify('/proc/self/ns/net'))
}

// Device and inode name a namespace, see namespaces(7). Ours does not change while we run.
let own: string | undefined

const identify = (path: string): string | undefined => {
  try {
    const found = statSync(path, { throwIfNoEntry: false })
    return found === undefined ? undefined : `${found.dev}:${found.ino}`
  } catch {
    // A path we may not open is no reason to refuse: whoever uses it will say why.
    return undefined
  }
}
