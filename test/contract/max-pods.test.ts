// The figures that come with `eniway max-pods` are those that the clouds' describe calls give:
// every type of the file, through the provider and the official SDK, over the emulator's wire.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import {
  clouds,
  figuresOf,
  typeNames,
  type CloudName,
  type Figures,
} from '#cli/max-pods/figures.ts'
import type { LiveAnswer } from '#cli/max-pods/live.ts'
import { startEmulator } from '#emulator/emulator.ts'
import { defaultLayout, instanceTypes } from '#emulator/launch-layout.ts'

const run = promisify(execFile)
const program = join(import.meta.dirname, 'max-pods-program.ts')

const liveAnswers = async (cloud: CloudName): Promise<Record<string, LiveAnswer>> => {
  const emulator = await startEmulator({
    platform: cloud,
    seed: 1,
    latency: 'none',
    throttleFactor: 1000,
    vpc: defaultLayout({ cloud, nodes: 1, instanceType: instanceTypes[cloud] }),
  })
  try {
    const env = { PATH: process.env['PATH'], ...(await emulator.environment('node-a')) }
    const { stdout } = await run(process.execPath, [program, cloud], { env, maxBuffer: 2 ** 24 })
    return JSON.parse(stdout) as Record<string, LiveAnswer>
  } finally {
    await emulator.close()
  }
}

// What no describe call tells is left out of the comparison.
const comparable = (figures: Figures | undefined) =>
  figures && {
    type: figures.instanceType,
    nics: figures.nics,
    ipv4: figures.ipv4,
    ipv6: figures.ipv6 ?? 0,
    takesPrefixes: figures.takesPrefixes,
  }

test.each(clouds)('file and describe call of %s agree on every type', async cloud => {
  const answers = await liveAnswers(cloud)
  const found = typeNames(cloud).map(type => {
    const answer = answers[type]
    return answer?.kind === 'known' ? comparable(answer.figures) : answer
  })
  expect(found).toEqual(typeNames(cloud).map(type => comparable(figuresOf(cloud, type))))
  expect(answers['no.such-type']?.kind).toBe('unknown')
})
