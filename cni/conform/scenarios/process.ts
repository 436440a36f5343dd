// Executions with a stdin that cannot be read or understood, and with two things wrong at once.

import type { Lab } from '../lab.ts'

const garbage = { kind: 'text', text: '{"cniVersion": conform' } as const

export const runProcess = async (lab: Lab): Promise<void> => {
  const pod = await lab.pod()
  const noContainer = { CNI_CONTAINERID: undefined }
  await lab.run('ADD with a stdin that cannot be read', { pod, stdin: { kind: 'directory' } })
  await lab.run('ADD with a stdin that is no JSON', { pod, stdin: garbage })
  await lab.run('ADD with an unknown version', { pod, version: '1.0' })
  await lab.run('ADD with a malformed name', { pod, config: { name: 'a/b' } })
  await lab.run('ADD with no name', { pod, config: { name: undefined } })
  await lab.run('no CNI_CONTAINERID and no JSON', { pod, environment: noContainer, stdin: garbage })
  await lab.run('no JSON and an unknown command', { verb: 'CONFORM', pod, stdin: garbage })
  await lab.run('a malformed name and an unknown command', {
    verb: 'CONFORM',
    pod,
    config: { name: 'a/b' },
  })
  await lab.run('an unknown command and an unknown version', {
    verb: 'CONFORM',
    pod,
    version: '99.0.0',
  })
  await lab.run('CHECK with an unknown version and a bad prevResult', {
    verb: 'CHECK',
    pod,
    version: '99.0.0',
    config: { prevResult: 5 },
  })
  await lab.removePod(pod)
}
