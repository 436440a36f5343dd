// Executions with keys the plugin may not know, and with well-known ones it may consume.

import { isObject } from '../../spec/json.ts'
import type { Lab, Run } from '../lab.ts'
import { entriesOf, objectOf, textOf, type Execution } from '../record.ts'

/** A key no plugin knows, and its value. */
export const unknownKey = { name: 'eniway-conform-unknown', value: 'conform' } as const

/** What a configuration says about resolvers. */
export const dns = {
  nameservers: ['192.0.2.53'],
  domain: 'conform.test',
  search: ['conform.test'],
  options: ['ndots:2'],
} as const

export const runConfig = async (lab: Lab): Promise<void> => {
  await once(lab, 'ADD with an unknown key', { config: { [unknownKey.name]: unknownKey.value } })
  await once(lab, 'ADD with args.cni', {
    config: { args: { cni: { labels: [{ key: 'a', value: 'b' }] } } },
  })
  await once(lab, 'ADD with dns', { config: { dns } })
  const ipam = lab.subject.plugin['ipam']
  if (isObject(ipam) && lab.role !== 'ipam') {
    const config = { ipam: { ...ipam, type: `../${textOf(ipam['type'])}` } }
    await once(lab, 'ADD with a slash in ipam.type', { config })
  } else lab.skip('its configuration names no IPAM plugin', 'ADD with a slash in ipam.type')
  await malformedCapabilities(lab)
  await argsBeforeVariables(lab)
}

const once = async (lab: Lab, label: string, run: Run): Promise<Execution> => {
  const pod = await lab.pod()
  const execution = await lab.run(label, { ...run, pod })
  await lab.removePod(pod)
  return execution
}

/** Capabilities the configuration declares, with a value none of them can have. */
export const capabilitiesOf = (plugin: Readonly<Record<string, unknown>>): readonly string[] => {
  const declared = plugin['capabilities']
  if (!isObject(declared)) return []
  return Object.keys(declared).filter(name => declared[name] === true)
}

const malformedCapabilities = async (lab: Lab): Promise<void> => {
  for (const name of capabilitiesOf(lab.subject.plugin)) {
    const config = { runtimeConfig: { [name]: 42 } }
    await once(lab, `ADD with a malformed capability ${name}`, { config })
  }
}

// Three addresses the plugin would give. Whoever then asks for the second or third and gets it was
// obeyed: left alone, the plugin would give another.
const argsBeforeVariables = async (lab: Lab): Promise<void> => {
  const pods = [await lab.pod(), await lab.pod(), await lab.pod()]
  const texts: string[] = []
  for (const [i, pod] of pods.entries()) {
    const result = objectOf(await lab.run(`ADD for an address, ${i + 1}`, { pod }))
    texts.push(textOf(entriesOf(result, 'ips')[0]?.['address']))
  }
  for (const pod of pods) await lab.removePod(pod)
  const [, second = '', third = ''] = texts
  if (third === '' || second === '') {
    lab.skip('it gives no address to ask for', 'ADD with args.cni.ips and CNI_ARGS')
    return
  }
  const environment = { CNI_ARGS: `IgnoreUnknown=1;IP=${second.replace(/\/.*/, '')}` }
  await once(lab, 'ADD with CNI_ARGS IP', { environment })
  const config = { args: { cni: { ips: [third] } } }
  await once(lab, 'ADD with args.cni.ips', { config })
  await once(lab, 'ADD with args.cni.ips and CNI_ARGS', { config, environment })
}
