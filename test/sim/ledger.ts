// Durable memory of one node: what a save has put there survives every crash, and passes through
// text as a file would have it.

import type { LedgerChange } from '#core/ports.ts'

export type SimLedger = {
  save(changes: readonly LedgerChange[]): void
  /** What a restart reads. */
  entries(): ReadonlyMap<string, unknown>
  /** True when some entry's key or value holds the text. */
  mentions(text: string): boolean
  wipe(): void
}

export const createSimLedger = (): SimLedger => {
  const lines = new Map<string, string>()
  return {
    save: changes => {
      for (const change of changes) {
        if (change.kind === 'drop') lines.delete(change.key)
        else lines.set(change.key, JSON.stringify(change.value))
      }
    },
    entries: () => new Map([...lines].map(([key, line]) => [key, JSON.parse(line) as unknown])),
    mentions: text => {
      for (const [key, line] of lines) if (key.includes(text) || line.includes(text)) return true
      return false
    },
    wipe: () => lines.clear(),
  }
}
