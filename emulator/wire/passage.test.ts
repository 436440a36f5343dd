// What a fault does to a call is the same for every face: whether the work is done, what is
// answered, and what is counted.
import { expect, test } from 'vitest'
import { createCallLog } from '#emulator/model/calls.ts'
import type { Effect } from '#emulator/model/faults.ts'
import { sampleWorld } from '#emulator/sample.ts'
import type { Answer } from './answer.ts'
import { pass } from './passage.ts'

const sent = (answer: Answer): string =>
  answer.kind === 'answer'
    ? `${answer.status} ${answer.headers['content-type']} ${answer.body}`
    : answer.kind

const run = async (effects: readonly Effect[]): Promise<string> => {
  const { world, clock } = sampleWorld()
  const calls = createCallLog()
  for (const effect of effects) world.faults.add({ effect, action: 'Lend', count: 1 })
  let works = 0
  const answer = pass({
    world,
    calls,
    name: 'Lend',
    subject: { instanceId: undefined, subnetId: undefined, accessKey: 'key' },
    latency: { kind: 'assign', stream: 'Lend' },
    pageHeaders: { 'x-id': '1' },
    throttled: () => new Error('too fast'),
    failed: (code, message, status) => new Error(`${code}, ${message}, ${status ?? 'own status'}`),
    prepare: () => struck => {
      works++
      const body = `granted ${struck.granted ?? 'all'}`
      return { kind: 'answer', status: 200, headers: { 'content-type': 'text/plain' }, body }
    },
  })
  void clock.advance(1000)
  const text = await answer.then(sent, (error: Error) => `refused: ${error.message}`)
  const counted = Object.keys(calls.counts()['Lend'] ?? {}).join()
  return `${text} | ${works} done | counted ${counted}`
}

const check = async (effects: readonly Effect[], want: string): Promise<void> =>
  expect(await run(effects)).toBe(want)

const page = '<html><head><title>502 Bad Gateway</title></head><body>502</body></html>'

test('without a fault the work is done and counted', () =>
  check([], '200 text/plain granted all | 1 done | counted ok'))

test('faults that answer before the work', async () => {
  await check([{ kind: 'throttle' }], 'refused: too fast | 0 done | counted ')
  const failed = (status: string) =>
    `refused: Bad, Bad (injected fault), ${status} | 0 done | counted `
  await check([{ kind: 'fail', code: 'Bad' }], failed('own status'))
  await check([{ kind: 'fail', code: 'Bad', status: 418 }], failed('418'))
  await check([{ kind: 'reset' }], 'reset | 0 done | counted reset')
  await check([{ kind: 'hang' }], 'hang | 0 done | counted hang')
  await check([{ kind: 'html', status: 502 }], `502 text/html ${page} | 0 done | counted html`)
})

test('faults that spoil the reply of work that is done', async () => {
  await check([{ kind: 'loseReply' }], 'reset | 1 done | counted loseReply')
  await check([{ kind: 'malformed' }], '200 text/plain grant | 1 done | counted malformed')
  const partial = { kind: 'partial', granted: 2 } as const
  await check([partial], '200 text/plain granted 2 | 1 done | counted ok')
})

test('the oldest fault that blocks wins, and a delay leaves the answer as it is', async () => {
  const delay = { kind: 'delay', ms: 5 } as const
  await check([delay, { kind: 'hang' }, { kind: 'reset' }], 'hang | 0 done | counted hang')
  await check([delay], '200 text/plain granted all | 1 done | counted ok')
})

test('faults of other faces are left alone', () =>
  check([{ kind: 'foreignWrite' }], '200 text/plain granted all | 1 done | counted ok'))
