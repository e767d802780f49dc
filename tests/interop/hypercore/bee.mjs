// A JavaScript Hyperbee over plain TCP, told what to do, one JSON object a line on standard input:
//
//   node bee.mjs [--key HEX --dial HOST:PORT] [--seed HEX]
//
// Without --key it makes a writable bee (from a key pair of the seed, if one is given), serves it and prints
// {"key", "port"}; with --key it reads that one from HOST:PORT. Keys and values are UTF-8. Commands:
//
//   {"file": PATH}            carries out the JSON list of operations in a file: ["put", k, v], ["del", k], or
//                             ["batch", [operations]]; prints {"version", "milliseconds"}
//   {"version": N}            waits until the log has N blocks; prints {"version"}
//   {"download": N}           fetches the first N blocks of the log; prints {"downloaded"}
//   {"get": K}                prints {"entry": {seq, key, value} or null}
//   {"list": OPTIONS}         prints {"count", "sha256"} over lines of JSON [key, value, seq] of createReadStream(OPTIONS)
//   {"history": true}         the same over [type, key, seq]
//   {"diff": [NEW, OLD]}      the same over [left seq or null, right seq or null]
//   {"blocks": true}          prints {"count", "sha256"} over the hex of every block, one a line

import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import Hyperbee from 'hyperbee'
import Hypercore from 'hypercore'
import crypto from 'hypercore-crypto'
import { commands, dial, print, serve, temporaryDirectory } from './common.mjs'

const { values } = parseArgs({
  options: { key: { type: 'string' }, dial: { type: 'string' }, seed: { type: 'string' } }
})
const directory = await temporaryDirectory()
const keyPair = values.seed ? crypto.keyPair(Buffer.from(values.seed, 'hex')) : undefined
const core = new Hypercore(directory.path, values.key, { keyPair })
await core.ready()
const bee = new Hyperbee(core, { keyEncoding: 'utf-8', valueEncoding: 'utf-8' })
await bee.ready()
if (values.dial) {
  dial(core, values.dial)
} else {
  const { port } = await serve(core)
  print({ key: core.key.toString('hex'), port })
}

async function perform(target, operation) {
  const [kind, ...rest] = operation
  if (kind === 'put') return target.put(...rest)
  if (kind === 'del') return target.del(...rest)
  const batch = target.batch()
  for (const inner of rest[0]) await perform(batch, inner)
  return batch.flush()
}

async function digest(items, line) {
  const hash = createHash('sha256')
  let count = 0
  for await (const item of items) {
    hash.update(line(item) + '\n')
    count += 1
  }
  print({ count, sha256: hash.digest('hex') })
}

async function* blocks() {
  for (let index = 0; index < core.length; index++) yield core.get(index, { valueEncoding: 'binary' })
}

await commands(async (command) => {
  if (command.file) {
    const operations = JSON.parse(await readFile(command.file))
    const started = performance.now()
    for (const operation of operations) await perform(bee, operation)
    print({ version: bee.version, milliseconds: Math.round(performance.now() - started) })
  }
  if (command.version !== undefined) {
    while (core.length < command.version) await new Promise((resolve) => core.once('append', resolve))
    print({ version: core.length })
  }
  if (command.download !== undefined) {
    await core.download({ start: 0, end: command.download }).done()
    print({ downloaded: command.download })
  }
  if (command.get !== undefined) print({ entry: await bee.get(command.get) })
  if (command.list) {
    await digest(bee.createReadStream(command.list), ({ key, value, seq }) => JSON.stringify([key, value, seq]))
  }
  if (command.history) await digest(bee.createHistoryStream(), ({ type, key, seq }) => JSON.stringify([type, key, seq]))
  if (command.diff) {
    const [newer, older] = command.diff
    const stream = bee.checkout(newer).createDiffStream(older)
    await digest(stream, ({ left, right }) => JSON.stringify([left && left.seq, right && right.seq]))
  }
  if (command.blocks) await digest(blocks(), (block) => block.toString('hex'))
})
