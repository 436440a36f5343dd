// The alphabets of network names, container ids and interface names.

/** Network names and container ids: safe in file names, see "Network configuration format". */
export const isName = (text: string): boolean => /^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(text)

/** What isName wants, for error messages. */
export const nameRule =
  'it must begin with a letter or digit and hold only letters, digits, "_", "." and "-"'

/** IFNAMSIZ of linux/if.h less the closing zero. */
const ifNameBytesMax = 15

/** Why the kernel or the specification refuses an interface name; undefined when it is fine. */
export const ifNameProblem = (text: string): string | undefined => {
  if (text === '') return 'it is empty'
  if (text === '.' || text === '..') return 'it names a directory'
  if (/[/:\s]/.test(text)) return 'it must not hold "/", ":" or white space'
  // The kernel takes it for a pattern and chooses a number (net/core/dev.c, dev_alloc_name).
  if (text.includes('%')) return 'it must not hold "%"'
  const bytes = new TextEncoder().encode(text).length
  return bytes > ifNameBytesMax ? `it has ${bytes} bytes, at most 15 are allowed` : undefined
}
