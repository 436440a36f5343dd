// What a metadata service shows as a tree of names: directories are objects, files are text, and
// what does not exist is undefined (a missing list is 404, not empty).

export interface Tree {
  readonly [name: string]: Tree | string | undefined
}

/**
 * The text at a path; undefined when there is nothing. `foo` and `foo/` are the same; a directory
 * lists its entries, sub-directories with a slash.
 */
export const textAt = (tree: Tree, path: string): string | undefined => {
  const parts = path.split('/').filter(part => part !== '')
  let here: Tree | string | undefined = tree
  for (const part of parts) {
    if (typeof here !== 'object') return undefined
    here = Object.hasOwn(here, part) ? here[part] : undefined
  }
  if (typeof here !== 'object') return here
  return Object.entries(here)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => (typeof value === 'object' ? `${name}/` : name))
    .join('\n')
}
