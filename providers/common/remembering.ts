// What is true for as long as the process lives is asked for once.

/** Asks until it is answered and keeps the answer; a failure is not kept. */
export const remembering = <Value>(
  ask: (signal: AbortSignal) => Promise<Value>,
): ((signal: AbortSignal) => Promise<Value>) => {
  let known: { readonly value: Value } | undefined
  return async signal => {
    known ??= { value: await ask(signal) }
    return known.value
  }
}
