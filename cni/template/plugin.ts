#!/usr/bin/env node
// A whole CNI plugin, to start from: chained behind one that makes interfaces, it writes down which
// pod has which addresses, one file per attachment. docs/write-a-plugin.md walks through it.

import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { answerCall, codes, done, failed, parsed, type Plugin, type PluginCall } from 'eniway/cni'

const directoryOf = ({ config }: PluginCall): string =>
  join((config.raw['directory'] ?? '/run/pod-addresses') as string, config.name)

// A container id holds no "@", so that no two attachments share a file.
const nameOf = ({ containerId, ifName }: { containerId: string; ifName: string }): string =>
  `${containerId}@${ifName}`

const fileOf = (call: PluginCall): string => join(directoryOf(call), nameOf(call.environment))

const plugin: Plugin = {
  versions: ['0.4.0', '1.0.0', '1.1.0'],
  add: call => {
    const { previous, environment } = call
    if (previous === undefined) return failed(codes.invalidConfig, 'put me behind another plugin')
    const pod = environment.args.get('K8S_POD_NAME') ?? environment.containerId
    mkdirSync(directoryOf(call), { recursive: true })
    writeFileSync(fileOf(call), `${pod} ${previous.ips.map(ip => ip.address).join(' ')}\n`)
    return parsed(previous)
  },
  del: call => {
    rmSync(fileOf(call), { force: true })
    return done
  },
  check: call => (existsSync(fileOf(call)) ? done : failed(codes.checkFailed, 'my file is gone')),
  gc: (call, valid) => {
    const kept = new Set(valid.map(nameOf))
    const names = existsSync(directoryOf(call)) ? readdirSync(directoryOf(call)) : []
    for (const name of names) if (!kept.has(name)) rmSync(join(directoryOf(call), name))
    return done
  },
  // What it throws becomes code 50, of the other verbs code 100.
  status: call => {
    mkdirSync(directoryOf(call), { recursive: true })
    return done
  },
}

const stdin = process.stdin.isTTY ? '' : await text(process.stdin)
const { stdout, exitCode } = await answerCall({ environment: process.env, stdin }, plugin)
process.stdout.write(stdout)
process.exitCode = exitCode
