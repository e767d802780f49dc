// Downloads every block of a core from the given peers together, with the unmodified npm package `hypercore` over plain
// TCP sockets, and prints one JSON line:
//
//   node reader.mjs KEY HOST:PORT[,HOST:PORT…] [--length N] [--timeout SECONDS] [--encryption-key FILE]
//
//   {"length": blocks, "bytes": sum of their sizes, "sha256": hex of all blocks put together, "milliseconds": …}
//
// KEY is hex or z-base-32. With --length it waits until the log has at least N blocks and reads the first N, else it
// reads the length that the first peer tells. With the key in FILE (hex) blocks are decrypted. Exit status 0; 1 with {"error": …} when the time (default 60 s) is up, a
// proof is wrong or every peer hung up; 2 for wrong usage.

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import Hypercore from 'hypercore'
import { dial, print, temporaryDirectory } from './common.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    length: { type: 'string' },
    timeout: { type: 'string', default: '60' },
    'encryption-key': { type: 'string' }
  }
})
if (positionals.length !== 2) {
  console.error('usage: reader.mjs KEY HOST:PORT[,HOST:PORT…] [--length N] [--timeout SECONDS] [--encryption-key FILE]')
  process.exit(2)
}
const [key, addresses] = positionals
const peers = addresses.split(',')
const directory = await temporaryDirectory()
const secret = values['encryption-key'] && Buffer.from((await readFile(values['encryption-key'], 'utf8')).trim(), 'hex')
const core = new Hypercore(directory.path, key, secret ? { encryption: { key: secret } } : {})

async function finish(result, status) {
  print(result)
  await directory.remove()
  process.exit(status)
}

setTimeout(() => {
  const error = `not complete after ${values.timeout} s: ${core.contiguousLength} of ${core.length} blocks in a row`
  finish({ error }, 1)
}, Number(values.timeout) * 1000)

await core.ready()
core.on('verification-error', (error) => finish({ error: `wrong proof: ${error.code || error.message}` }, 1))

let open = peers.length
for (const peer of peers) {
  dial(core, peer, (error) => {
    open -= 1
    if (open === 0) finish({ error: `no peer is left: ${error ? error.message : 'closed'}` }, 1)
  })
}

const started = performance.now()
const wanted = values.length === undefined ? 1 : Number(values.length)
while (core.length < wanted) {
  const grown = new Promise((resolve) => core.once('append', resolve))
  if (core.length < wanted) await grown
}
const length = values.length === undefined ? core.length : wanted
await core.download({ start: 0, end: length }).done()
const milliseconds = Math.round(performance.now() - started)

const digest = createHash('sha256')
let bytes = 0
for (let index = 0; index < length; index++) {
  const block = await core.get(index, { wait: false })
  digest.update(block)
  bytes += block.byteLength
}
await finish({ length, bytes, sha256: digest.digest('hex'), milliseconds }, 0)
