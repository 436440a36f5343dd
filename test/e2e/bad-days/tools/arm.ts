// One call of Azure Resource Manager as an administrator makes it:
// `node arm.ts PUT '{"path": …, "body": …, "ifMatch": …}'` prints {status, body} as JSON. Plain
// requests, so that what is written is what the test says and nothing that an SDK adds.

type Input = { readonly path: string; readonly body?: unknown; readonly ifMatch?: string }

const [method = 'GET', text = '{}'] = process.argv.slice(2)
const { path, body, ifMatch } = JSON.parse(text) as Input
const setting = (name: string): string => process.env[name] ?? ''

const form = new URLSearchParams({
  grant_type: 'client_credentials',
  client_id: setting('AZURE_CLIENT_ID'),
  client_secret: setting('AZURE_CLIENT_SECRET'),
  scope: 'https://management.azure.com/.default',
})
const authority = `${setting('AZURE_AUTHORITY_HOST')}/${setting('AZURE_TENANT_ID')}`
const granting = await fetch(`${authority}/oauth2/v2.0/token`, { method: 'POST', body: form })
const token = (await granting.json()) as { readonly access_token: string }

const answer = await fetch(`${setting('AZURE_RESOURCE_MANAGER_ENDPOINT')}${path}`, {
  method,
  headers: {
    authorization: `Bearer ${token.access_token}`,
    'content-type': 'application/json',
    ...(ifMatch === undefined ? {} : { 'if-match': ifMatch }),
  },
  ...(body === undefined ? {} : { body: JSON.stringify(body) }),
})
const said = await answer.text()
const json = said === '' ? null : (JSON.parse(said) as unknown)
process.stdout.write(JSON.stringify({ status: answer.status, body: json }))
