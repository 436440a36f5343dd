// Prints what the daemon of a node answers to `GET URL`, as one JSON line {status, body}. Run
// inside the node's namespace, because the daemon listens on the loopback there.

const [url = ''] = process.argv.slice(2)

const response = await fetch(url)
const answer = { status: response.status, body: await response.json() }
process.stdout.write(`${JSON.stringify(answer)}\n`)
