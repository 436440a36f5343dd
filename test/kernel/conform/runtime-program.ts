// Judges the runtime in a directory, a copy of ours with one fault, by the points that are named;
// prints the report.

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { RuntimeSubject } from '#cni/conform/runtime/place.ts'
import { conformRuntime } from '#cni/conform/runtime/suite.ts'
import { createClock } from '#runtime/clock.ts'

const [directory = '', ...ids] = process.argv.slice(2)

type Library = {
  readonly loadNetwork: RuntimeSubject['load']
  readonly createRuntime: RuntimeSubject['create']
}

const library = pathToFileURL(join(directory, 'cni', 'runtime', 'index.ts')).href
const { loadNetwork, createRuntime } = (await import(library)) as Library
const subject = { name: 'faulty', versions: [], load: loadNetwork, create: createRuntime }
const report = await conformRuntime({ subject, clock: createClock(), ids: ids.map(Number) })
process.stdout.write(JSON.stringify(report))
// A fault may leave something waiting for ever.
process.exit()
