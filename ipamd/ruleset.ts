// Keeps the rules of our nftables table as they were loaded. The text is loaded when it changes and
// listed in the background now and then: what the kernel prints after loading, it must print later.

import { tableName } from '#core/ruleset.ts'
import { loadRulesetNow } from '#linux/nftables/now.ts'
import { listRuleset } from '#linux/nftables/ruleset.ts'

export type Ruleset = {
  /**
   * Loads the text unless it is in force; answers with what went wrong. `isThere`: the table is.
   */
  ensure(text: string, isThere: boolean): readonly string[]
  /** Looks in the background whether somebody changed the rules; the next `ensure` repairs them. */
  verifyLater(): void
  /** What was found changed since the last call. */
  takeRepairs(): readonly string[]
}

export const createRuleset = (): Ruleset => {
  let loaded: string | undefined
  let printed: string | undefined
  let generation = 0
  let repairs: string[] = []

  const ensure = (text: string, isThere: boolean): readonly string[] => {
    if (text === loaded && isThere) return []
    if (text === loaded) repairs.push(`table inet ${tableName}`)
    const result = loadRulesetNow(text)
    loaded = result.ok ? text : undefined
    printed = undefined
    generation++
    return result.ok ? [] : [result.message]
  }

  const verify = async (): Promise<void> => {
    const asked = generation
    const text = await listRuleset(tableName)
    if (asked !== generation) return
    if (printed !== undefined && text !== printed) {
      loaded = undefined
      repairs.push(`rules of table inet ${tableName}`)
    }
    printed ??= text
  }

  return {
    ensure,
    verifyLater: () => void verify().catch(() => undefined),
    takeRepairs: (): readonly string[] => {
      const taken = repairs
      repairs = []
      return taken
    },
  }
}
