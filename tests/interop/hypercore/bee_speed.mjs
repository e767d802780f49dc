// Times the unmodified npm package `hyperbee` and prints what it does a second, as one JSON object:
//
//   node bee_speed.mjs FILE
//
// FILE is JSON: {"batch": N, "puts": [KEY…], "gets": [KEY…], "singles": [KEY…], "deletes": [KEY…]}. The puts are written
// N a batch; gets, and a range over all, each begin with the store opened anew; then the singles are written one by one
// and the deletes N a batch. Prints {"puts", "gets", "range", "singles", "deletes"}.

import { readFile } from 'node:fs/promises'
import Hyperbee from 'hyperbee'
import Hypercore from 'hypercore'
import { print, temporaryDirectory } from './common.mjs'

const work = JSON.parse(await readFile(process.argv[2]))
const directory = await temporaryDirectory()
const rates = {}
let bee = null

async function open() {
  if (bee) await bee.close()
  bee = new Hyperbee(new Hypercore(directory.path), { keyEncoding: 'utf-8', valueEncoding: 'utf-8' })
  await bee.ready()
}

async function timed(name, count, operation) {
  const started = performance.now()
  await operation()
  rates[name] = (1000 * count) / (performance.now() - started)
}

async function batched(keys, change) {
  for (let start = 0; start < keys.length; start += work.batch) {
    const batch = bee.batch()
    for (const key of keys.slice(start, start + work.batch)) await change(batch, key)
    await batch.flush()
  }
}

await open()
await timed('puts', work.puts.length, () => batched(work.puts, (batch, key) => batch.put(key, 'value of ' + key)))
await open()
await timed('gets', work.gets.length, async () => {
  for (const key of work.gets) if (!(await bee.get(key))) throw new Error(key + ' is missing')
})
await open()
await timed('range', work.puts.length, async () => {
  let count = 0
  for await (const entry of bee.createReadStream()) count += entry.key ? 1 : 0
  if (count !== work.puts.length) throw new Error(count + ' entries')
})
await timed('singles', work.singles.length, async () => {
  for (const key of work.singles) await bee.put(key, 'again')
})
await timed('deletes', work.deletes.length, () => batched(work.deletes, (batch, key) => batch.del(key)))
print(rates)
await bee.close()
await directory.remove()
