// Executions with variables that are missing, empty, wrong or unknown.

import type { Lab, Pod } from '../lab.ts'

const absent = {
  CNI_CONTAINERID: undefined,
  CNI_NETNS: undefined,
  CNI_IFNAME: undefined,
} as const

const empty = { CNI_CONTAINERID: '', CNI_NETNS: '', CNI_IFNAME: '', CNI_ARGS: '' } as const

/** Names the kernel or the reference library refuses for an interface. */
export const badIfNames = ['.', '..', 'a/b', 'a:b', 'a b', 'sixteen-bytes-xx'] as const

export const runEnvironment = async (lab: Lab): Promise<void> => {
  const pod = await lab.pod()
  await commands(lab, pod)
  await missing(lab, pod)
  await malformed(lab, pod)
  await withoutAttachment(lab)
  await ownNamespace(lab)
  await lab.removePod(pod)
}

const commands = async (lab: Lab, pod: Pod): Promise<void> => {
  await lab.run('no CNI_COMMAND', { pod, environment: { CNI_COMMAND: undefined } })
  await lab.run('command CONFORM', { verb: 'CONFORM', pod })
  await lab.run('command add', { verb: 'add', pod })
}

const missing = async (lab: Lab, pod: Pod): Promise<void> => {
  for (const verb of ['ADD', 'DEL', 'CHECK']) {
    for (const name of ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_NETNS']) {
      if (verb === 'DEL' && name === 'CNI_NETNS') continue
      const environment = { [name]: undefined }
      await lab.run(`${verb} without ${name}`, { verb, pod, environment })
    }
  }
  await lab.run('ADD without any of them', { pod, environment: absent })
  await lab.run('ADD with an empty CNI_CONTAINERID', { pod, environment: { CNI_CONTAINERID: '' } })
}

const malformed = async (lab: Lab, pod: Pod): Promise<void> => {
  const environment = { CNI_CONTAINERID: 'slash/space ' }
  await lab.run('ADD with a malformed CNI_CONTAINERID', { pod, environment })
  for (const name of badIfNames) {
    await lab.run(`ADD with CNI_IFNAME "${name}"`, { pod, environment: { CNI_IFNAME: name } })
  }
}

/** As Kubernetes' runtimes send them. */
const kubernetesArgs =
  'IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=conform;' +
  'K8S_POD_INFRA_CONTAINER_ID=conform;K8S_POD_UID=00000000-0000-4000-8000-000000000000'

/** Executions that need a plugin whose ADD works. */
export const runArguments = async (lab: Lab): Promise<void> => {
  const pods = [await lab.pod(), await lab.pod()] as const
  await lab.run("ADD with Kubernetes' CNI_ARGS", {
    pod: pods[0],
    environment: { CNI_ARGS: kubernetesArgs },
  })
  await lab.run('ADD with lenient CNI_ARGS', {
    pod: pods[1],
    environment: { CNI_ARGS: `${kubernetesArgs};CONFORM=a=b;` },
  })
  for (const pod of pods) await lab.removePod(pod)
}

const withoutAttachment = async (lab: Lab): Promise<void> => {
  const verb = 'VERSION'
  const alone = { CNI_PATH: undefined }
  const nothing = { kind: 'text', text: '' } as const
  await lab.run('VERSION with CNI_COMMAND alone', { verb, environment: alone, stdin: nothing })
  await lab.run('VERSION with empty variables', { verb, environment: empty })
  await lab.run('VERSION with placeholders', {
    verb,
    environment: { CNI_NETNS: 'dummy', CNI_IFNAME: 'dummy', CNI_CONTAINERID: 'dummy' },
  })
  await lab.run('VERSION while stdin stays open', { verb, stdin: { kind: 'open' } })
  if (!lab.supports('1.1.0')) {
    const reason = 'it supports no version that knows STATUS and GC'
    lab.skip(reason, 'STATUS with empty variables', 'GC with empty variables')
    return
  }
  await lab.run('STATUS with empty variables', { verb: 'STATUS', environment: empty })
  await lab.run('GC with empty variables', { verb: 'GC', environment: empty })
}

// An ADD would take over the host, so it must refuse before it acts. A name nobody uses keeps the
// harm small when it does not.
const ownNamespace = async (lab: Lab): Promise<void> => {
  const pod = { netns: lab.host, containerId: 'ew-conform-own', previous: undefined }
  const environment = { CNI_IFNAME: 'ewconform0' }
  await lab.run("ADD into the host's namespace", { pod, environment, look: true })
  await lab.run("DEL in the host's namespace", { verb: 'DEL', pod, environment })
  await lab.run("DEL in the host's namespace with CNI_NETNS_OVERRIDE", {
    verb: 'DEL',
    pod,
    environment: { ...environment, CNI_NETNS_OVERRIDE: 'True' },
  })
}
