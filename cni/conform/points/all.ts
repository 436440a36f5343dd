// All points in the order of their numbers.

import type { Point } from '../judge.ts'
import { addPoints } from './add.ts'
import { checkPoints } from './check.ts'
import { configPoints } from './config.ts'
import { delegationPoints } from './delegation.ts'
import { delPoints } from './del.ts'
import { environmentPoints } from './environment.ts'
import { processPoints } from './process.ts'
import { resultPoints } from './result.ts'
import { gcPoints, statusPoints } from './status.ts'

export const points: readonly Point[] = [
  ...configPoints,
  ...environmentPoints,
  ...processPoints,
  ...addPoints,
  ...delPoints,
  ...checkPoints,
  ...statusPoints,
  ...gcPoints,
  ...delegationPoints,
  ...resultPoints,
].toSorted((a, b) => a.id - b.id)
