// The forms of ids: a malformed one is refused before anyone looks for it.
import { ApiError } from './errors.ts'

/** An `eni-…` id. */
export const nicId = (id: string): string =>
  checked(id, 'eni', [
    'InvalidParams.EniId',
    `The specified NetworkInterfaceId "${id}" is invalid.`,
  ])

/** An `i-…` id. */
export const instanceId = (id: string): string =>
  checked(id, 'i', ['InvalidInstanceID.Malformed', `The specified InstanceId "${id}" is invalid.`])

const checked = (
  id: string,
  prefix: string,
  [code, message]: readonly [code: string, message: string],
): string => {
  if (new RegExp(`^${prefix}-[0-9a-z]{1,30}$`).test(id)) return id
  throw new ApiError(code, message)
}
