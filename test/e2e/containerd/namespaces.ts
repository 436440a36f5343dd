// Named network namespaces as `ip netns` keeps them.

import { run } from './process.ts'

/**
 * Makes the directory of named namespaces a shared mount of its own, once per machine. `ip netns
 * add` does this too, but too late: a namespace that a runtime made before is then mounted twice
 * and cannot be removed any more ("device or resource busy").
 */
export const prepareNamespaceDirectory = async (): Promise<void> => {
  const script =
    'mkdir -p /run/netns && { mountpoint -q /run/netns || ' +
    '{ mount --bind /run/netns /run/netns && mount --make-rshared /run/netns; }; }'
  await run('sh', ['-c', script])
}

/** Makes a namespace with its loopback up; returns its path. */
export const addNamespace = async (name: string): Promise<string> => {
  await prepareNamespaceDirectory()
  await run('ip', ['netns', 'add', name])
  await run('ip', ['-n', name, 'link', 'set', 'lo', 'up'])
  return `/run/netns/${name}`
}

/** Removes a namespace; the kernel removes its links and rules with it. */
export const deleteNamespace = async (name: string): Promise<void> => {
  await run('ip', ['netns', 'delete', name])
}
