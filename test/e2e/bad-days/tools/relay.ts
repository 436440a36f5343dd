// Makes the state server of a node's daemon reachable from outside its namespace: every connection
// to the unix socket PATH goes on to PORT on the loopback here. Ends when its stdin does.

import { connect, createServer } from 'node:net'

const [path = '', port = ''] = process.argv.slice(2)

createServer(near => {
  const far = connect(Number(port), '127.0.0.1')
  near.on('error', () => far.destroy())
  far.on('error', () => near.destroy())
  near.pipe(far).pipe(near)
}).listen(path, () => process.stdout.write('ready\n'))

process.stdin.resume().on('end', () => process.exit(0))
