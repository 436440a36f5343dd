// One thing at a time: the fabric's changes read what earlier ones wrote.

/** Runs tasks in the order given, each after the former has ended, whether well or badly. */
export type Queue = <T>(task: () => Promise<T>) => Promise<T>

export const newQueue = (): Queue => {
  let last: Promise<unknown> = Promise.resolve()
  return task => {
    const result = last.then(task)
    last = result.catch(() => undefined)
    return result
  }
}
