// An ordinary Hyperswarm reader that knows nothing but a key: Hyperswarm, Corestore and store.replicate(connection).
//
//   node reader.mjs KEY BOOTSTRAP_PORT [BLOCKS]
//
// Downloads every block (at least BLOCKS of them, default 1) and prints {"length", "bytes", "sha256", "peers"}.

import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Corestore from 'corestore'
import Hyperswarm from 'hyperswarm'

const [key, port, blocks] = process.argv.slice(2)
const directory = await mkdtemp(join(tmpdir(), 'datdot-interop-'))
const store = new Corestore(directory)
const swarm = new Hyperswarm({ bootstrap: [{ host: '127.0.0.1', port: Number(port) }] })
const peers = new Set()
swarm.on('connection', (connection) => {
  peers.add(connection.remotePublicKey.toString('hex'))
  connection.on('error', () => {})
  store.replicate(connection)
})

const core = store.get({ key: Buffer.from(key, 'hex') })
await core.ready()
swarm.join(core.discoveryKey, { server: false, client: true })
while (core.length < Number(blocks || 1)) {
  const grown = new Promise((resolve) => core.once('append', resolve))
  if (core.length < Number(blocks || 1)) await grown
}
const length = core.length
await core.download({ start: 0, end: length }).done()

const digest = createHash('sha256')
let bytes = 0
for (let index = 0; index < length; index++) {
  const block = await core.get(index, { wait: false })
  digest.update(block)
  bytes += block.byteLength
}
process.stdout.write(JSON.stringify({ length, bytes, sha256: digest.digest('hex'), peers: peers.size }) + '\n')
await rm(directory, { recursive: true, force: true })
process.exit(0)
