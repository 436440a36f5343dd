// Unit, contract and simulation tests run side by side; kernel and e2e tests share one machine's
// kernel, so they run one file at a time in their own project.

import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'fast',
          include: ['**/*.test.ts'],
          exclude: ['node_modules/**', 'dist/**', 'test/kernel/**', 'test/e2e/**'],
          // The longest wait for clocks and sockets, so there are more than processors.
          maxWorkers: Math.max(3, availableParallelism()),
          sequence: { groupOrder: 0 },
          // Long only so that a busy machine fails nothing.
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'kernel',
          include: ['test/kernel/**/*.test.ts', 'test/e2e/**/*.test.ts'],
          fileParallelism: false,
          sequence: { groupOrder: 1 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
