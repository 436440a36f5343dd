// Tags of NICs, instances and security groups.
import { checkTags } from '#emulator/model/nics.ts'
import { refuse } from '#emulator/model/refusal.ts'
import type { Tags } from '#emulator/model/types.ts'
import {
  type World,
  allNics,
  instanceOf,
  nicOf,
  putInstance,
  putNic,
} from '#emulator/model/world.ts'
import { type Actions, ecs } from './action.ts'
import { ApiError, invalidParameter, missingParameter } from './errors.ts'
import { pageOf, readPage } from './pages.ts'
import { type Params, hasTags, readTagFilters, readTags } from './params.ts'

/** Resources, and tag keys, per call. */
const resourcesMax = 50
const keysMax = 20

type ResourceType = 'eni' | 'instance' | 'securitygroup'

const tagResources = ecs('tag', params => {
  const { type, ids } = readResources(params)
  const added = readTags(params)
  if (ids.length === 0) throw missingParameter('ResourceId.1')
  if (Object.keys(added).length === 0) throw missingParameter('Tag.1.Key')
  return ({ world }) => {
    const changes = ids.map(id => retag(world, { type, id }, old => ({ ...old, ...added })))
    for (const change of changes) change()
    return {}
  }
})

const untagResources = ecs('tag', params => {
  const { type, ids } = readResources(params)
  const keys = params.list('TagKey', keysMax)
  const isAll = params.flag('All') ?? false
  if (ids.length === 0) throw missingParameter('ResourceId.1')
  if (keys.length === 0 && !isAll) throw missingParameter('TagKey.1')
  const kept = (old: Tags): Tags =>
    Object.fromEntries(
      Object.entries(old).filter(([key]) => keys.length > 0 && !keys.includes(key)),
    )
  return ({ world }) => {
    const changes = ids.map(id => retag(world, { type, id }, kept))
    for (const change of changes) change()
    return {}
  }
})

const listTagResources = ecs('describe', params => {
  const { type, ids } = readResources(params)
  const filters = readTagFilters(params)
  if (ids.length === 0 && filters.length === 0) throw missingParameter('ResourceId.1')
  const limits = { defaultSize: 50, pageSizeMax: 50, results: { min: 1, max: 50 } }
  const page = readPage(params, limits, JSON.stringify([type, ids, filters]))
  const tokens = page.kind === 'token' ? page : { ...page, kind: 'token' as const, after: '' }
  return ({ world }) => {
    const found = tagsOf(world, type)
      .filter(({ id, tags }) => (ids.length === 0 || ids.includes(id)) && hasTags(tags, filters))
      .flatMap(({ id, tags }) =>
        Object.entries(tags).map(([TagKey, TagValue]) => ({
          ResourceType: type,
          ResourceId: id,
          TagKey,
          TagValue,
        })),
      )
    const { items, place } = pageOf(found, one => `${one.ResourceId}/${one.TagKey}`, tokens)
    return { TagResources: { TagResource: items }, ...place }
  }
})

/** The tag actions by name. */
export const tagActions: Actions = {
  TagResources: tagResources,
  UntagResources: untagResources,
  ListTagResources: listTagResources,
}

const readResources = (
  params: Params,
): { readonly type: ResourceType; readonly ids: readonly string[] } => {
  const type = params.required('ResourceType').toLowerCase()
  if (type !== 'eni' && type !== 'instance' && type !== 'securitygroup') {
    throw invalidParameter('ResourceType')
  }
  return { type, ids: params.list('ResourceId', resourcesMax) }
}

const tagsOf = (
  world: World,
  type: ResourceType,
): readonly { readonly id: string; readonly tags: Tags }[] => {
  if (type === 'eni') return allNics(world)
  return [...(type === 'instance' ? world.instances : world.groups).values()]
}

// Checks first and returns the change, so that one bad id of several changes nothing.
const retag = (
  world: World,
  { type, id }: { readonly type: ResourceType; readonly id: string },
  change: (old: Tags) => Tags,
): (() => void) => {
  const checked = (old: Tags): Tags => {
    const value = change(old)
    checkTags(world, value)
    return value
  }
  if (type === 'eni') {
    const nic = known(world.nics.has(id), id) && nicOf(world, id)
    const tags = checked(nic.tags)
    return () => putNic(world, id, { ...nic, tags })
  }
  if (type === 'instance') {
    const instance = known(world.instances.has(id), id) && instanceOf(world, id)
    const tags = checked(instance.tags)
    return () => putInstance(world, { ...instance, tags })
  }
  const group = world.groups.get(id)
  if (group === undefined) throw refuse({ kind: 'notFound', thing: 'group', ids: [id] })
  const tags = checked(group.tags)
  return () => void world.groups.set(id, { ...group, tags })
}

const known = (isKnown: boolean, id: string): true => {
  if (isKnown) return true
  throw new ApiError('InvalidResourceId.NotFound', `The specified ResourceId "${id}" is not found.`)
}
