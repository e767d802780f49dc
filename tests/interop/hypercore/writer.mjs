// Makes a core from a file (blocks of 64 KiB, the last one shorter) with the unmodified npm package `hypercore`, serves it
// over plain TCP and runs until killed:
//
//   node writer.mjs FILE [--port P] [--block-size BYTES] [--compat] [--seed HEX]
//
// It prints {"key": hex, "host", "port", "length"} once it listens. Commands, one JSON object a line on standard input:
//
//   {"append": ["text", …]}   adds blocks; prints {"length", "fork"}
//   {"truncate": N}           goes back to N blocks; prints {"length", "fork"}
//   {"clear": [START, END]}   gives up the contents of blocks; prints {"length", "fork"}
//
// It also prints {"event": "conflict", "length", "fork"} when another log is signed for one length.

import { open } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import Hypercore from 'hypercore'
import crypto from 'hypercore-crypto'
import { commands, print, serve, temporaryDirectory } from './common.mjs'

const BATCH_BLOCKS = 64

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    port: { type: 'string', default: '0' },
    'block-size': { type: 'string', default: '65536' },
    compat: { type: 'boolean', default: false },
    seed: { type: 'string' }
  }
})
if (positionals.length !== 1) {
  console.error('usage: writer.mjs FILE [--port P] [--block-size BYTES] [--compat] [--seed HEX]')
  process.exit(2)
}
const directory = await temporaryDirectory()
const keyPair = values.seed && crypto.keyPair(Buffer.from(values.seed, 'hex'))
const core = new Hypercore(directory.path, { compat: values.compat, ...(keyPair && { keyPair }) })
await core.ready()
core.on('conflict', (length, fork) => print({ event: 'conflict', length, fork }))

const file = await open(positionals[0])
let batch = []
for await (const block of file.createReadStream({ highWaterMark: Number(values['block-size']) })) {
  batch.push(block)
  if (batch.length === BATCH_BLOCKS) await core.append(batch.splice(0))
}
if (batch.length) await core.append(batch)

const { host, port } = await serve(core, Number(values.port))
print({ key: core.key.toString('hex'), host, port, length: core.length })

await commands(async (command) => {
  if (command.append) await core.append(command.append.map((text) => Buffer.from(text)))
  if (command.truncate !== undefined) await core.truncate(command.truncate)
  if (command.clear) await core.clear(...command.clear)
  print({ length: core.length, fork: core.fork })
})
