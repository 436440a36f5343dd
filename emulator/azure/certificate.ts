// The certificate of the HTTPS face, made anew at every start: Azure's clients refuse to send a
// token over plain HTTP. Debian's openssl makes it.
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { parseIp } from '#core/ip.ts'

/** A self-signed certificate, valid for two days. */
export interface Certificate {
  /** File that NODE_EXTRA_CA_CERTS can name. */
  readonly path: string
  readonly cert: string
  readonly key: string
}

const days = 2

/** Makes a certificate for the given hosts beside loopback's names; `publish` keeps its file. */
export const createCertificate = async (
  hosts: readonly string[],
  publish: (pem: string) => Promise<string>,
): Promise<Certificate> => {
  const directory = await mkdtemp(join(tmpdir(), 'eniway-azure-'))
  try {
    const made = await makeIn(directory, hosts)
    return { path: await publish(made.cert), ...made }
  } finally {
    await rm(directory, { recursive: true })
  }
}

const makeIn = async (
  directory: string,
  hosts: readonly string[],
): Promise<Pick<Certificate, 'cert' | 'key'>> => {
  const [cert, key] = [join(directory, 'ca.pem'), join(directory, 'key.pem')]
  await writeFile(join(directory, 'openssl.cnf'), configOf(hosts))
  try {
    await openssl(directory, ['-keyout', key, '-out', cert])
  } catch (cause) {
    throw new Error(
      'cannot make a certificate for the emulated Azure API: the command openssl failed; ' +
        'install the Debian package openssl',
      { cause },
    )
  }
  return { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') }
}

const openssl = (directory: string, more: readonly string[]): Promise<unknown> =>
  promisify(execFile)(
    'openssl',
    [
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      String(days),
      '-config',
      join(directory, 'openssl.cnf'),
      '-extensions',
      'own',
      ...more,
    ],
    { timeout: 20_000 },
  )

const configOf = (hosts: readonly string[]): string => {
  const names = [...new Set([...hosts, '127.0.0.1', 'localhost'])].map((host, i) =>
    parseIp(host) === undefined ? `DNS.${i} = ${host}` : `IP.${i} = ${host}`,
  )
  return [
    '[req]',
    'distinguished_name = subject',
    'prompt = no',
    '[subject]',
    'CN = eniway emulated Azure',
    '[own]',
    'basicConstraints = critical, CA:TRUE',
    'keyUsage = critical, digitalSignature, keyCertSign',
    'extendedKeyUsage = serverAuth',
    'subjectAltName = @names',
    '[names]',
    ...names,
    '',
  ].join('\n')
}
