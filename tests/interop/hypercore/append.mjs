// Times appends to a fresh core of the unmodified npm package `hypercore` and prints {"blocks_per_second"}:
//
//   node append.mjs BLOCK_BYTES BATCH_BLOCKS BATCHES

import { randomBytes } from 'node:crypto'
import Hypercore from 'hypercore'
import { print, temporaryDirectory } from './common.mjs'

const [size, batch, count] = process.argv.slice(2).map(Number)
if (!size || !batch || !count) {
  console.error('usage: append.mjs BLOCK_BYTES BATCH_BLOCKS BATCHES')
  process.exit(2)
}
const directory = await temporaryDirectory()
const core = new Hypercore(directory.path)
await core.ready()
const blocks = Array.from({ length: batch }, () => randomBytes(size))
await core.append(blocks)
const start = performance.now()
for (let round = 0; round < count; round++) await core.append(blocks)
const seconds = (performance.now() - start) / 1000
print({ blocks_per_second: (batch * count) / seconds })
await core.close()
await directory.remove()
