// Stands between a container runtime and our executable and writes down what the one asked and the
// other answered. A shell script, so that it is a plugin like any other; each call is a file.

import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** One call of our executable by a runtime. */
export type CniCall = {
  readonly command: string
  readonly containerId: string
  readonly ifName: string
  readonly netns: string
  readonly args: string
  readonly exitCode: number
  /** The JSON on stdin. */
  readonly request: Readonly<Record<string, unknown>>
  /** What was printed, as text. */
  readonly answer: string
}

export type Recorder = {
  /** For the runtime: our executable, `loopback`, which containerd wants, and `portmap`. */
  readonly binDir: string
  /** All calls so far, oldest first. */
  readonly calls: () => Promise<readonly CniCall[]>
}

const debianPlugins = '/usr/lib/cni'

/** Puts it before the executable in `cniBinDir`, with all its files in an own directory. */
export const makeRecorder = async (directory: string, cniBinDir: string): Promise<Recorder> => {
  const [binDir, log] = [join(directory, 'bin'), join(directory, 'calls')]
  for (const path of [binDir, log]) await mkdir(path, { recursive: true })
  for (const name of ['loopback', 'portmap']) {
    await symlink(join(debianPlugins, name), join(binDir, name))
  }
  const script = scriptFor(join(cniBinDir, 'eniway'), log)
  await writeFile(join(binDir, 'eniway'), script, { mode: 0o755 })
  return { binDir, calls: () => readCalls(log) }
}

// A name with a leading dot is still being written. Neither side's JSON holds a line break.
const scriptFor = (executable: string, log: string): string => `#!/bin/sh
request=$(tr '\\n' ' ')
answer=$(printf %s "$request" | '${executable}')
code=$?
name=$(date +%s%N)-$$
printf '%s\\n' "$CNI_COMMAND" "$CNI_CONTAINERID" "$CNI_IFNAME" "$CNI_NETNS" "$CNI_ARGS" \\
  "$code" "$request" "$answer" >'${log}'/.$name
mv '${log}'/.$name '${log}'/$name
[ -z "$answer" ] || printf '%s\\n' "$answer"
exit $code
`

const readCalls = async (log: string): Promise<readonly CniCall[]> => {
  const names = (await readdir(log)).filter(name => !name.startsWith('.'))
  const texts = await Promise.all(names.toSorted().map(name => readFile(join(log, name), 'utf8')))
  return texts.map(callOf)
}

const callOf = (text: string): CniCall => {
  const [command = '', containerId = '', ifName = '', netns = '', args = '', ...rest] =
    text.split('\n')
  const [code, request = '', answer = ''] = rest
  return {
    command,
    containerId,
    ifName,
    netns,
    args,
    exitCode: Number(code),
    request: request.trim() === '' ? {} : (JSON.parse(request) as CniCall['request']),
    answer,
  }
}

/** The calls about one container, each as its verb, and whether it named a namespace. */
export const callsOf = async ({ calls }: Recorder, id: string): Promise<readonly string[]> =>
  (await calls())
    .filter(({ containerId }) => containerId === id)
    .map(({ command, netns }) => (netns === '' ? command : `${command} netns`))

/** The CNI version that the runtime chose to speak; empty before its first call. */
export const versionSpoken = async ({ calls }: Recorder): Promise<string> => {
  const add = (await calls()).find(({ command }) => command === 'ADD')
  const version = add?.request['cniVersion']
  return typeof version === 'string' ? version : ''
}
