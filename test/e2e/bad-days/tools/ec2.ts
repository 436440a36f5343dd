// One call of the EC2 API as an administrator makes it: `node ec2.ts DetachNetworkInterface JSON`
// prints the answer as JSON. The SDK finds endpoint and key in its own environment variables.

import * as sdk from '@aws-sdk/client-ec2'

const [name = '', input = '{}'] = process.argv.slice(2)
const Command = (sdk as unknown as Record<string, new (input: object) => never>)[`${name}Command`]
if (Command === undefined) throw new Error(`the SDK has no ${name}`)

const client = new sdk.EC2Client({})
const answer: unknown = await client.send(new Command(JSON.parse(input) as object))
process.stdout.write(JSON.stringify(answer))
