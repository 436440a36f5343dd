// Lists of Azure, page after page as their links lead on.

import { read } from './calls.ts'
import type { Arm, Json, Service } from './client.ts'
import { listOf } from './shapes.ts'

/** A region lists about a thousand VM sizes on one or two pages. */
const pagesMax = 50

export type Listing = {
  readonly service: Service
  readonly call: string
  readonly on: string
  readonly path: string
}

/** The members of each page; rejects with CallFailed. */
export async function* pagesOf<Member>(
  arm: Arm,
  { service, call, on, path }: Listing,
  signal: AbortSignal,
): AsyncGenerator<readonly Member[]> {
  let next: string | undefined = path
  for (let pages = 0; next !== undefined && pages < pagesMax; pages++) {
    const request = { service, call, method: 'GET', path: next } as const
    const body: Json | undefined = await read({ call, on }, signal, async () => {
      const answer = await arm.send(request, signal)
      listOf(answer.body?.['value'] as readonly Member[] | undefined, `list of ${call}`)
      return answer.body
    })
    yield body?.['value'] as readonly Member[]
    next = (body?.['nextLink'] as string | undefined) || undefined
  }
}
