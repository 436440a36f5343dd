// Points about which version of the specification a network is used with.

import type { Place } from '../place.ts'
import type { RuntimePoint, Trial } from '../point.ts'

const section = 'Network configuration'

/** The version that a plugin is told, or why the list was refused. */
const told = async (place: Place, keys: Readonly<Record<string, unknown>>): Promise<string> => {
  const loaded = await place.loads({ cniVersion: undefined, ...keys })
  if (loaded.kind === 'failed') return `refused: ${loaded.message}`
  const done = await place.runtime().del(loaded.value, place.attachment)
  if (done.kind === 'failed') return `cannot delete: ${done.message}`
  return String(place.last('a', 'DEL').config['cniVersion'])
}

type Case = readonly [keys: Readonly<Record<string, unknown>>, version: string]

const tells =
  (...cases: readonly Case[]): Trial =>
  async (place, notes) => {
    for (const [keys, version] of cases) {
      notes.same(JSON.stringify(keys), await told(place, keys), version)
    }
  }

/** Lists that must not load. */
const refuses =
  (...lists: readonly Readonly<Record<string, unknown>>[]): Trial =>
  async (place, notes) => {
    for (const keys of lists) notes.fails(JSON.stringify(keys), await place.loads(keys))
  }

export const versionPoints: readonly RuntimePoint[] = [
  {
    id: 1,
    level: 'MUST',
    section,
    text: 'cniVersion is a version, and the list and every plugin object obey it.',
    trials: [
      async (place, notes) => {
        const plugins = [{ type: 'a', cniVersion: '0.3.1' }, { type: 'b' }]
        const network = await place.network({ cniVersion: '1.0.0', plugins })
        notes.succeeds('ADD', await place.runtime().add(network, place.attachment))
        const versions = place.calls().map(({ config }) => config['cniVersion'])
        notes.same('versions told', versions, ['1.0.0', '1.0.0'])
      },
      refuses(
        ...['banana', '1.0.0.0', '1.x', '1.0.0-rc1', 5, ['1.0.0']].map(cniVersion => ({
          cniVersion,
        })),
      ),
    ],
  },
  {
    id: 2,
    level: 'MUST',
    section,
    text: 'cniVersions is a list of versions; with cniVersion it is the set to choose from.',
    trials: [
      tells(
        [{ cniVersion: '0.4.0', cniVersions: ['1.0.0'] }, '1.0.0'],
        [{ cniVersion: '1.1.0', cniVersions: ['0.4.0'] }, '1.1.0'],
        [{ cniVersions: ['0.4.0'] }, '0.4.0'],
      ),
      refuses({ cniVersions: '1.0.0' }, { cniVersions: { '1.0.0': true } }),
    ],
  },
  {
    id: 3,
    level: 'MUST',
    section,
    text: 'Of that set the highest version is chosen that the runtime supports.',
    trials: [
      tells(
        [{ cniVersion: '0.3.1', cniVersions: ['0.4.0', '1.0.0', '0.3.0'] }, '1.0.0'],
        [{ cniVersion: '0.4.0', cniVersions: ['1.1.0', '1.0.0'] }, '1.1.0'],
        // Of no version that there is, though lower than the highest.
        [{ cniVersion: '0.4.0', cniVersions: ['0.4.0', '0.10.0'] }, '0.4.0'],
      ),
    ],
  },
  {
    id: 4,
    level: 'MAY',
    section,
    text: 'A runtime may choose among what the plugins answer to VERSION.',
    trials: [
      async (place, notes) => {
        const stdout = JSON.stringify({
          cniVersion: '1.0.0',
          supportedVersions: ['0.4.0', '1.0.0'],
        })
        place.recorder.behave('b', 'VERSION', { stdout })
        const network = await place.network({ cniVersions: ['0.4.0', '1.0.0', '1.1.0'] })
        const support = await place.runtime().versions(network)
        const agreed = support.kind === 'failed' ? support.message : support.value.agreed
        notes.same('highest of all plugins', agreed, '1.0.0')
      },
    ],
  },
  {
    id: 5,
    level: 'REFERENCE',
    section,
    text: 'Newer entries are skipped, unreadable ones refused; a lone cniVersion is used as it is.',
    trials: [
      tells(
        [{ cniVersion: '0.4.0', cniVersions: ['1.0.0', '9.9.9'] }, '1.0.0'],
        [{ cniVersion: '0.4.0', cniVersions: [] }, '0.4.0'],
        [{ cniVersion: '1.9.0' }, '1.9.0'],
        [{}, '0.1.0'],
      ),
      refuses({ cniVersions: ['1.0.0', 'x'] }, { cniVersions: [5] }, { cniVersions: [''] }),
    ],
  },
]
