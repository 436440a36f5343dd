// Runs ip(8) and nft(8) inside a network namespace. Children are fine here: the emulator is not on
// anyone's hot path. `nsenter` and not `ip netns exec`, which would also remount /sys each time.
import { spawn } from 'node:child_process'
import { netnsPath } from './layout.ts'

/** A command to run, with what it reads on stdin. `netns` undefined: where this process is. */
export interface Command {
  readonly netns: string | undefined
  readonly argv: readonly string[]
  readonly input?: string
}

/** Longest run of one command; a child that hangs is killed and reported. */
const commandMs = 20_000

/** Runs a command to its end and returns its stdout. Throws with its stderr when it fails. */
export const runCommand = (command: Command): Promise<string> =>
  new Promise((resolve, reject) => {
    const argv = inNetns(command.netns, command.argv)
    const child = spawn(argv[0] ?? '', argv.slice(1), { timeout: commandMs, killSignal: 'SIGKILL' })
    const output = { stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
    // A child that fails early closes stdin; its exit status says more than our EPIPE.
    child.stdin.on('error', () => undefined)
    child.on('error', cause => reject(new Error(failure(command, String(cause)), { cause })))
    child.on('close', (code, signal) => {
      if (code === 0) resolve(output.stdout)
      else reject(new Error(failure(command, output.stderr.trim() || `ended by ${signal ?? code}`)))
    })
    child.stdin.end(command.input ?? '')
  })

/** The argv that runs `argv` inside a named namespace. */
export const inNetns = (netns: string | undefined, argv: readonly string[]): readonly string[] =>
  netns === undefined ? argv : ['nsenter', `--net=${netnsPath(netns)}`, '--', ...argv]

/** Applies ip(8) lines in order and stops at the first failure. */
export const ipBatch = async (netns: string, lines: readonly string[]): Promise<void> => {
  if (lines.length === 0) return
  await runCommand({ netns, argv: ['ip', '-batch', '-'], input: `${lines.join('\n')}\n` })
}

/** Applies nft lines as one transaction: all of them or none. */
export const nftApply = async (netns: string, lines: readonly string[]): Promise<void> => {
  if (lines.length === 0) return
  await runCommand({ netns, argv: ['nft', '-f', '-'], input: `${lines.join('\n')}\n` })
}

/** Writes kernel settings: `net/ipv4/ip_forward` to a value, in the given order. */
export const writeSysctls = async (
  netns: string,
  settings: readonly (readonly [string, number])[],
): Promise<void> => {
  const script = 'while read -r key value; do echo "$value" > "/proc/sys/$key" || exit 1; done'
  const input = settings.map(([key, value]) => `${key} ${value}\n`).join('')
  await runCommand({ netns, argv: ['sh', '-c', script], input })
}

const failure = (command: Command, why: string): string => {
  const where = command.netns === undefined ? '' : ` in namespace ${command.netns}`
  const lines = command.input?.trim().split('\n') ?? []
  const shown = lines.slice(0, 12).join(' | ')
  return `cannot run "${command.argv.join(' ')}"${where}: ${why}${shown === '' ? '' : ` (${shown})`}`
}
