// One call of the ECS API as an administrator makes it: `node ecs.ts DetachNetworkInterface JSON`
// prints the answer's body as JSON. Endpoint and key come from the variables of the daemon.

import * as sdk from '@alicloud/ecs20140526'
import { $OpenApiUtil } from '@alicloud/openapi-core'

const [name = '', input = '{}'] = process.argv.slice(2)
const variable = (key: string): string => process.env[`ALIBABA_CLOUD_${key}`] ?? ''
const { host } = new URL(variable('ECS_ENDPOINT'))
const regionId = variable('REGION_ID')

type Calls = Readonly<Record<string, (request: object) => Promise<{ readonly body?: unknown }>>>
type Requests = Readonly<Record<string, new (input: object) => object>>

const { default: module } = sdk as unknown as { readonly default: { readonly default: unknown } }
const Client = module.default as new (config: object) => Calls
const Request = (sdk as unknown as Requests)[`${name}Request`]
const client = new Client(
  new $OpenApiUtil.Config({
    accessKeyId: variable('ACCESS_KEY_ID'),
    accessKeySecret: variable('ACCESS_KEY_SECRET'),
    endpoint: host,
    protocol: 'http',
    regionId,
  }),
)
const method = `${name.slice(0, 1).toLowerCase()}${name.slice(1)}`
if (Request === undefined) throw new Error(`the SDK has no ${name}`)

const request = new Request({ regionId, ...(JSON.parse(input) as object) })
const answer = await client[method]?.(request)
process.stdout.write(JSON.stringify(answer?.body ?? {}))
