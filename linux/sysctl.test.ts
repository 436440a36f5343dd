import { expect, test } from 'vitest'
import { readSysctl, writeSysctl } from './sysctl.ts'

test('a value is read, and setting it to what it is changes nothing', () => {
  const value = readSysctl('ipv4/ip_forward')
  expect(value).toMatch(/^[01]$/)
  expect(writeSysctl('ipv4/ip_forward', value ?? '')).toEqual({ ok: true })
})

test('what the kernel does not have reads as undefined and cannot be set', () => {
  expect(readSysctl('ipv4/no_such_thing')).toBe(undefined)
  const written = writeSysctl('ipv4/no_such_thing', 1)
  expect(written).toMatchObject({ ok: false })
  expect(JSON.stringify(written)).toContain('cannot set the sysctl net/ipv4/no_such_thing to 1')
})

test('a name cannot leave the network sysctls', () => {
  expect(() => readSysctl('../kernel/hostname')).toThrow('not the name of a network sysctl')
})
