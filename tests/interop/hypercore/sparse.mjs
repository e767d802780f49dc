// Reads single blocks in random order, some at a time, with the unmodified npm package `hypercore` over a plain TCP
// socket, and prints {"milliseconds", "processor_milliseconds", "blocks"}:
//
//   node sparse.mjs KEY HOST:PORT BLOCKS IN_FLIGHT
//
// No block is read twice. The time starts once the log is known.

import Hypercore from 'hypercore'
import { dial, print, temporaryDirectory } from './common.mjs'

const [key, address, ...numbers] = process.argv.slice(2)
const [count, inFlight] = numbers.map(Number)
if (!count || !inFlight) {
  console.error('usage: sparse.mjs KEY HOST:PORT BLOCKS IN_FLIGHT')
  process.exit(2)
}
const directory = await temporaryDirectory()
const core = new Hypercore(directory.path, key)
await core.ready()
dial(core, address)
if (!core.length) await new Promise((resolve) => core.once('append', resolve))

const order = Array.from({ length: core.length }, (_, index) => index)
for (let last = order.length - 1; last > 0; last--) {
  const other = Math.floor(Math.random() * (last + 1))
  ;[order[last], order[other]] = [order[other], order[last]]
}
const wanted = order.slice(0, count)
const start = performance.now()
const used = process.cpuUsage()
async function reader() {
  while (wanted.length) await core.get(wanted.pop())
}
await Promise.all(Array.from({ length: inFlight }, reader))
const { user, system } = process.cpuUsage(used)
const milliseconds = performance.now() - start
print({ milliseconds, processor_milliseconds: (user + system) / 1000, blocks: Math.min(count, order.length) })
await core.close()
await directory.remove()
process.exit(0)
