// Whether the caller may use what a resource refers to: Azure asks for a join permission on every
// subnet and security group that a write names, also on those that were there before.
import { type AzureAction, azureActions, isDenied } from './actions.ts'
import { tenantId } from './account.ts'
import type { WantedNic } from './desired.ts'
import { ArmError } from './errors.ts'
import type { Principal } from './principals.ts'

/** Refuses an action that the caller's roles do not contain. */
export const authorize = (principal: Principal, action: AzureAction, scope: string): void => {
  if (!isDenied(principal.deniedActions, action)) return
  const { clientId, objectId } = principal
  throw new ArmError(
    'AuthorizationFailed',
    `The client '${clientId}' with object id '${objectId}' does not have authorization to ` +
      `perform action '${azureActions[action]}' over scope '${scope}' or the scope is invalid. ` +
      'If access was recently granted, please refresh your credentials.',
  )
}

/** One thing that a write refers to, and what is needed for that. */
export interface Link {
  readonly action: AzureAction
  readonly id: string
}

/** Refuses a write whose caller may not use what it refers to. */
export const authorizeLinks = (
  principal: Principal,
  write: { readonly action: AzureAction; readonly id: string },
  links: readonly Link[],
): void => {
  const refused = links.find(({ action }) => isDenied(principal.deniedActions, action))
  if (refused === undefined) return
  const { clientId, objectId } = principal
  throw new ArmError(
    'LinkedAuthorizationFailed',
    `The client '${clientId}' with object id '${objectId}' has permission to perform action ` +
      `'${azureActions[write.action]}' on scope '${write.id}'; however, it does not have ` +
      `permission to perform action(s) '${azureActions[refused.action]}' on the linked scope(s) ` +
      `'${refused.id}' (respectively) or the linked scope(s) are invalid.`,
  )
}

/** What a NIC refers to. */
export const linksOf = (wanted: WantedNic): readonly Link[] => [
  ...wanted.configs.flatMap(({ subnetId: id }) => link('subnets/join', id)),
  ...link('networkSecurityGroups/join', wanted.nsgId),
  ...wanted.configs.flatMap(({ asgIds }) =>
    asgIds.flatMap(id => link('applicationSecurityGroups/joinIpConfiguration', id)),
  ),
]

const link = (action: AzureAction, id: string | undefined): readonly Link[] =>
  id === undefined ? [] : [{ action, id }]

/** Which tenant a caller belongs to, for the challenge of a 401. */
export const authorizationUri = `https://login.microsoftonline.com/${tenantId}`
