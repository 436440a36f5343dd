// Makes container images without a registry or a build tool: an OCI image layout
// (github.com/opencontainers/image-spec, image-layout.md) with one layer, as a tar archive.

import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { run } from './process.ts'
import { tarOf, type TarEntry } from './tar.ts'

/** References of the two images; a tag other than latest, so that nothing is ever pulled. */
export const pauseImage = 'eniway.test/pause:1'
export const shellImage = 'eniway.test/shell:1'

type Image = {
  readonly name: string
  readonly entries: readonly TarEntry[]
  readonly command: readonly string[]
}

const mediaType = 'application/vnd.oci.image'
const pauseSource = join(import.meta.dirname, 'pause.c')

/** Compiles and packs both images into the directory; returns the archives to import. */
export const buildImages = async (directory: string): Promise<readonly string[]> => [
  await buildShellImage(directory),
  await write(join(directory, 'pause.tar'), await pauseImageIn(directory)),
]

/** Packs the one with a shell; returns the archive. */
export const buildShellImage = async (directory: string): Promise<string> =>
  write(join(directory, 'shell.tar'), await shellImageOf('/usr/bin/busybox'))

const write = async (path: string, image: Image): Promise<string> => {
  await writeFile(path, archiveOf(image))
  return path
}

const pauseImageIn = async (directory: string): Promise<Image> => {
  const binary = join(directory, 'pause')
  await run('gcc', ['-static', '-Os', '-s', '-o', binary, pauseSource])
  const content = await readFile(binary)
  return {
    name: pauseImage,
    entries: [{ kind: 'file', path: 'pause', mode: 0o755, content }],
    command: ['/pause'],
  }
}

// busybox decides by the name it is called by; these are the names the tests use.
const applets = ['sh', 'nc', 'hostname', 'ip', 'cat', 'sleep', 'ping']

const shellImageOf = async (busybox: string): Promise<Image> => {
  const content = await readFile(busybox)
  const links = applets.map(
    applet => ({ kind: 'link', path: `bin/${applet}`, target: 'busybox' }) as const,
  )
  return {
    name: shellImage,
    entries: [{ kind: 'file', path: 'bin/busybox', mode: 0o755, content }, ...links],
    command: ['/bin/sh'],
  }
}

const archiveOf = (image: Image): Buffer => {
  const layer = tarOf(image.entries)
  const config = blobOf({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: { Entrypoint: image.command, Env: ['PATH=/bin'] },
    rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
  })
  const manifest = blobOf({
    schemaVersion: 2,
    mediaType: `${mediaType}.manifest.v1+json`,
    config: descriptorOf('config.v1+json', config),
    layers: [descriptorOf('layer.v1.tar', layer)],
  })
  const index = blobOf({ schemaVersion: 2, manifests: [namedManifest(image.name, manifest)] })
  return tarOf([
    fileOf('oci-layout', blobOf({ imageLayoutVersion: '1.0.0' })),
    fileOf('index.json', index),
    ...[layer, config, manifest].map(blob => fileOf(`blobs/${blobPath(blob)}`, blob)),
  ])
}

// containerd takes the reference of an imported image from its own annotation only, podman from
// the one of the specification.
const namedManifest = (name: string, manifest: Buffer) => ({
  ...descriptorOf('manifest.v1+json', manifest),
  annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name },
})

const descriptorOf = (type: string, blob: Buffer) => ({
  mediaType: `${mediaType}.${type}`,
  digest: digestOf(blob),
  size: blob.length,
})

const fileOf = (path: string, content: Buffer): TarEntry => ({
  kind: 'file',
  path,
  mode: 0o644,
  content,
})

const blobOf = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

const digestOf = (blob: Buffer): string =>
  `sha256:${createHash('sha256').update(blob).digest('hex')}`

const blobPath = (blob: Buffer): string => digestOf(blob).replace(':', '/')
