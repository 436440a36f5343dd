// The file with the certificate that clients of an https API must trust. Written only where a
// platform needs it, and removed with the emulator.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** A file that may come to be. */
export interface Authority {
  /** Writes it and returns its path. */
  readonly write: (pem: string) => Promise<string>
  /** Removes what was written, if anything. */
  readonly remove: () => Promise<void>
}

/** At the given path, or in a temporary folder of its own. */
export const newAuthority = (path: string | undefined): Authority => {
  const made = new Set<string>()
  return {
    write: async pem => {
      const file = path ?? join(await mkdtemp(join(tmpdir(), 'eniway-emulator-')), 'authority.pem')
      made.add(path ?? dirname(file))
      // Everyone on the machine may trust it: it is no secret, and it signs for this emulator only.
      await writeFile(file, pem, { mode: 0o644 })
      return file
    },
    remove: async () => {
      for (const one of made) await rm(one, { recursive: true, force: true })
    },
  }
}
