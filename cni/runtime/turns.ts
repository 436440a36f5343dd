// Who has to wait for whom inside one process: operations on one container follow each other, those
// on different containers run side by side, and a GC runs alone (points 70 and 120). Other
// processes are kept apart in lines.ts.

export type Turns = {
  /** Runs after everything of that container, and every `alone`, that came before. */
  readonly oneOf: <T>(container: string, work: () => Promise<T>) => Promise<T>
  /** Runs after everything that came before; everything that comes later waits for it. */
  readonly alone: <T>(work: () => Promise<T>) => Promise<T>
}

/** Turns that nobody has taken yet. Work that rejects ends its turn like any other. */
export const createTurns = (): Turns => {
  const last = new Map<string, Promise<unknown>>()
  let gate: Promise<unknown> = Promise.resolve()

  const take = <T>(
    before: readonly Promise<unknown>[],
    work: () => Promise<T>,
  ): { readonly outcome: Promise<T>; readonly over: Promise<unknown> } => {
    const outcome = Promise.allSettled(before).then(work)
    return { outcome, over: Promise.allSettled([outcome]) }
  }

  return {
    oneOf: (container, work) => {
      const { outcome, over } = take([gate, last.get(container) ?? gate], work)
      last.set(container, over)
      void over.then(() => {
        if (last.get(container) === over) last.delete(container)
      })
      return outcome
    },
    alone: work => {
      const { outcome, over } = take([gate, ...last.values()], work)
      gate = over
      return outcome
    },
  }
}
