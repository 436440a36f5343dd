import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { LockedError, acquireLock } from './lock.ts'

let directory: string
beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), 'eniway-lock-'))))
afterEach(() => rmSync(directory, { recursive: true }))

/** A process of its own that takes the lock and then does what the script says. */
const holder = async (then: string) => {
  const script = `
    import { acquireLock } from ${JSON.stringify(join(import.meta.dirname, 'lock.ts'))}
    await acquireLock(${JSON.stringify(directory)})
    console.log('held')
    ${then}`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  return child
}

test('a process killed outright leaves no lock behind', async () => {
  const child = await holder('setInterval(() => {}, 1000)')
  await expect(acquireLock(directory)).rejects.toThrow(`process ${child.pid} is already running`)
  child.kill('SIGKILL')
  await once(child, 'exit')
  const lock = await acquireLock(directory)
  lock.release()
})

// The kernel accepts connections for a process that has no time to answer, so it still counts.
test('a busy process holds its lock, though it cannot say its name', async () => {
  const child = await holder('for (;;);')
  await expect(acquireLock(directory)).rejects.toThrow('another process is already running')
  child.kill('SIGKILL')
  await once(child, 'exit')
})

test('of many contenders for a dead lock exactly one wins', async () => {
  const dead = await acquireLock(directory)
  dead.release()
  const results = await Promise.allSettled(Array.from({ length: 20 }, () => acquireLock(directory)))
  const won = results.filter(result => result.status === 'fulfilled')
  const lost = results.filter(result => result.status === 'rejected')
  expect(won).toHaveLength(1)
  expect(lost.every(({ reason }) => reason instanceof LockedError)).toBe(true)
  for (const { value } of won) value.release()
})

test('files of earlier locks do not pile up', async () => {
  for (let run = 0; run < 5; run++) (await acquireLock(directory)).release()
  expect(readdirSync(directory)).toEqual(['lock.5'])
})

test('a directory that is gone is an ordinary error', async () => {
  await expect(acquireLock(join(directory, 'absent'))).rejects.toThrow(/cannot make the lock/)
})
