// The whole bench of judges.

import type { MakeChecker } from '../world.ts'
import { cooling, oneHolder, settling } from './addresses.ts'
import { deadlines, order, reasons } from './answers.ts'
import { foreign, limits, rates, twins } from './calls.ts'
import { durability } from './durability.ts'
import { ownership } from './ownership.ts'
import { leaks, poolSize, stillness } from './rest.ts'
import { shape } from './shape.ts'
import { traffic } from './traffic.ts'

export const allCheckers: readonly MakeChecker[] = [
  oneHolder,
  cooling,
  settling,
  ownership,
  durability,
  traffic,
  deadlines,
  reasons,
  order,
  rates,
  twins,
  limits,
  foreign,
  leaks,
  stillness,
  poolSize,
  shape,
]
