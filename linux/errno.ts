// Names and texts of Linux error numbers, for messages and for decisions on a readable code.

import { constants } from 'node:os'
import { getSystemErrorMap } from 'node:util'

/** `EEXIST` for 17; `E` and the number when Node does not know the name. */
export const errnoName = (errno: number): string => names.get(errno) ?? `E${errno}`

/** The usual sentence for an error number, such as `file already exists`. */
export const errnoText = (errno: number): string => texts.get(-errno)?.[1] ?? `error ${errno}`

// The first name wins where Linux gives one number two names (EAGAIN and EWOULDBLOCK).
const names = new Map(
  Object.entries({ ...constants.errno, EOPNOTSUPP: 95, ERESTART: 85 })
    .reverse()
    .map(([name, errno]) => [errno, name]),
)

const texts = getSystemErrorMap()
