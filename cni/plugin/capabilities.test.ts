// Capabilities as different runtimes send them, taken from the calls of real ones.

import { expect, test } from 'vitest'
import { parseCapabilities } from './capabilities.ts'

const check = (runtimeConfig: object, want: unknown, isDelegate = false) => {
  const outcome = parseCapabilities(runtimeConfig as never, { isDelegate })
  const answer =
    outcome.kind === 'failed' ? `${outcome.code} ${outcome.message}` : outcome.value.dns
  expect(answer).toEqual(want)
}

const dns = { nameservers: ['10.96.0.10'], domain: '', search: ['a.local'], options: ['ndots:5'] }

test.each([
  { servers: ['10.96.0.10'], searches: ['a.local'], options: ['ndots:5'] },
  { Servers: ['10.96.0.10'], Searches: ['a.local'], Options: ['ndots:5'] },
  { SERVERS: ['10.96.0.10'], searcheS: ['a.local'], options: ['ndots:5'] },
])('dns with the keys of %j', value => check({ dns: value }, dns))

test('what is not there, null or empty is as nothing', () => {
  check({}, undefined)
  check({ dns: null, portMappings: [], mac: '', ips: null }, undefined)
  check(
    { dns: { Servers: null, Searches: ['a.local'], Options: null } },
    { ...dns, nameservers: [], options: [] },
  )
})

test('what is harmless passes, known or not', () =>
  check(
    {
      'io.kubernetes.cri.pod-annotations': { a: 'b' },
      cgroupPath: '/x',
      aliases: ['web'],
      'example.org/new': 1,
    },
    undefined,
  ))

test.each([
  [{ dns: 42 }, '7 runtimeConfig.dns is 42 in the network configuration; it must be an object'],
  [
    { dns: { Servers: [1] } },
    '7 runtimeConfig.dns is {"Servers":[1]} in the network configuration; it must be an object ' +
      'whose lists hold strings',
  ],
  [
    { 'io.kubernetes.cri.pod-annotations': 42 },
    '7 runtimeConfig.io.kubernetes.cri.pod-annotations is 42 in the network configuration; it ' +
      'must be an object of strings',
  ],
])('%j is malformed', (runtimeConfig, want) => check(runtimeConfig, want))

test.each(['hostPort', 'HostPort'])('%s of portMappings is for another plugin', key => {
  const portMappings = [{ [key]: 80 }]
  check(
    { portMappings },
    `2 capability portMappings of the network configuration is [{"${key}":80}], which eniway ` +
      'does not act on; put it on the plugin portmap behind eniway',
  )
  check({ portMappings, mac: '02:00:00:00:00:01' }, undefined, true)
})
