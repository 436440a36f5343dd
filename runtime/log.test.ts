import { expect, test } from 'vitest'
import { createLog, silentLog } from './log.ts'
import type { LogLevel } from './log.ts'

const capture = (level: LogLevel) => {
  const lines: Record<string, unknown>[] = []
  const sink = { write: (line: string) => void lines.push(JSON.parse(line)) }
  return { log: createLog({ level, sink }), lines }
}

test('a line is one JSON object with level, time, message and fields', () => {
  const { log, lines } = capture('info')
  log.info('blocks lent', { nic: 'eni-1', count: 3 })
  expect(lines).toEqual([
    { level: 'info', time: expect.any(String), msg: 'blocks lent', nic: 'eni-1', count: 3 },
  ])
})

test('lines below the level are not written', () => {
  const { log, lines } = capture('warn')
  log.debug('a')
  log.info('b')
  log.warn('c')
  log.error('d')
  expect(lines.map(line => line['msg'])).toEqual(['c', 'd'])
})

test('fields of with() are on every line', () => {
  const { log, lines } = capture('info')
  log.with({ node: 'a' }).with({ nic: 'eni-1' }).info('nic attached')
  expect(lines[0]).toMatchObject({ node: 'a', nic: 'eni-1', msg: 'nic attached' })
})

test('an error keeps its message, stack and cause', () => {
  const { log, lines } = capture('info')
  log.error('save failed', { error: new Error('cannot write', { cause: new Error('no space') }) })
  expect(lines[0]?.['error']).toMatchObject({
    message: 'cannot write',
    stack: expect.stringContaining('cannot write'),
    cause: { message: 'no space' },
  })
})

test('the silent log accepts everything', () => {
  silentLog.with({ a: 1 }).error('nothing')
})
