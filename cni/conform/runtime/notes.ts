// What a trial finds out about a runtime: each finding is good or bad, in words. One bad finding
// fails the point; without any finding there is no verdict.

import { isDeepStrictEqual } from 'node:util'
import type { Parsed } from '../../spec/failure.ts'
import { fail, notApplicable, pass, type Verdict } from '../judge.ts'
import { quote } from '../record.ts'

/** What may be wanted of a failure. */
export type Wanted = {
  readonly code?: number
  /** All in the message or the details. */
  readonly words?: readonly string[]
}

export class Notes {
  readonly good: string[] = []
  readonly bad: string[] = []

  /** Two values that must be equal, as JSON. */
  same(what: string, actual: unknown, wanted: unknown): void {
    const isSame = isDeepStrictEqual(plain(actual), plain(wanted))
    if (isSame) this.good.push(`${what}: ${quote(text(actual))}`)
    else this.bad.push(`${what}: wanted ${quote(text(wanted))}, got ${quote(text(actual))}`)
  }

  /** Something that must be so; `instead` says what is when it is not. */
  holds(what: string, isSo: boolean, instead: string): void {
    if (isSo) this.good.push(what)
    else this.bad.push(`${what}: ${instead}`)
  }

  succeeds(what: string, outcome: Parsed<unknown>): void {
    const isGood = outcome.kind === 'parsed'
    this.holds(`${what} succeeds`, isGood, isGood ? '' : `code ${outcome.code} ${wordsOf(outcome)}`)
  }

  fails(what: string, outcome: Parsed<unknown>, { code, words = [] }: Wanted = {}): void {
    if (outcome.kind === 'parsed') return void this.bad.push(`${what}: succeeds`)
    const said = `${outcome.message} ${outcome.details}`
    const missing = words.filter(word => !said.includes(word))
    const isRight = code === undefined || outcome.code === code
    const told = `code ${outcome.code} ${wordsOf(outcome)}`
    if (!isRight) this.bad.push(`${what}: wanted code ${code}, got ${told}`)
    else if (missing.length > 0) this.bad.push(`${what}: does not say ${text(missing)}: ${told}`)
    else this.good.push(`${what}: ${told}`)
  }

  get verdict(): Verdict {
    if (this.bad.length > 0) return fail(phrases(this.bad))
    if (this.good.length > 0) return pass(phrases(this.good))
    return notApplicable('nothing was found out')
  }
}

const plain = (value: unknown): unknown =>
  value === undefined ? undefined : JSON.parse(JSON.stringify(value))

const text = (value: unknown): string =>
  typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing')

const wordsOf = ({ message, details }: { readonly message: string; readonly details: string }) =>
  quote(details === '' ? message : `${message}; ${details}`)

const phrasesMax = 5

const phrases = (list: readonly string[]): string => {
  const more = list.length - phrasesMax
  const shown = list.slice(0, phrasesMax).join('; ')
  return more > 0 ? `${shown}; and ${more} more` : shown
}
