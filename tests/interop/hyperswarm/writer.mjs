// An ordinary Hyperswarm writer: Hyperswarm, Corestore and store.replicate(connection).
//
//   node writer.mjs BOOTSTRAP_PORT BLOCKS
//
// Appends BLOCKS blocks of growing size to a new core, announces it, prints {"key", "sha256"} and runs until standard
// input ends.

import { createHash } from 'node:crypto'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Corestore from 'corestore'
import Hyperswarm from 'hyperswarm'

const [port, blocks] = process.argv.slice(2).map(Number)
const store = new Corestore(await mkdtemp(join(tmpdir(), 'datdot-interop-')))
const swarm = new Hyperswarm({ bootstrap: [{ host: '127.0.0.1', port }] })
swarm.on('connection', (connection) => {
  connection.on('error', () => {})
  store.replicate(connection)
})

const core = store.get({ name: 'writer' })
await core.ready()
const digest = createHash('sha256')
for (let index = 0; index < blocks; index++) {
  const block = Buffer.alloc(1 + 997 * index, index)
  digest.update(block)
  await core.append(block)
}
await swarm.join(core.discoveryKey, { server: true, client: false }).flushed()
process.stdout.write(JSON.stringify({ key: core.key.toString('hex'), sha256: digest.digest('hex') }) + '\n')
process.stdin.on('end', () => process.exit(0))
process.stdin.resume()
