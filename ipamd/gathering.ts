// Lets a burst of calls share one turn of the loop, and so one save. Node accepts one connection in
// each round of its own loop (libuv, uv__server_io), so otherwise every call would be a turn alone.

export type Gathering = {
  /** Somebody has connected, and a request is on its way. */
  arriving(caller: object): void
  /** The request has come. */
  arrived(caller: object): void
  /** Runs soon, but after those who are arriving just now. */
  soon(run: () => void): void
}

/** Rounds to wait at most: whoever connects and then says nothing holds up nobody for long. */
const roundsMax = 64

/** `later` runs something in the next round of Node's loop, after it has looked for input. */
export const createGathering = (later: (run: () => void) => void): Gathering => {
  let newest: object | undefined

  const wait = (run: () => void, rounds: number): void =>
    later(() => {
      if (newest !== undefined && rounds < roundsMax) return wait(run, rounds + 1)
      newest = undefined
      run()
    })

  return {
    arriving: caller => {
      newest = caller
    },
    arrived: caller => {
      if (caller === newest) newest = undefined
    },
    soon: run => wait(run, 0),
  }
}
