// Asks a cloud for every type that `eniway max-pods` has figures of, as the command does with
// --live, and prints the answers as one JSON object. A process of its own: the credentials and the
// certificate of the emulated cloud are in its environment.

import { typeNames, type CloudName } from '#cli/max-pods/figures.ts'
import { liveFigures } from '#cli/max-pods/live.ts'

const [cloud = '', region, subscription] = process.argv.slice(2)
const answers: Record<string, unknown> = {}
for (const instanceType of [...typeNames(cloud as CloudName), 'no.such-type']) {
  const request = { cloud: cloud as CloudName, instanceType, region, subscription }
  answers[instanceType] = await liveFigures(request)
}
process.stdout.write(JSON.stringify(answers))
