// A JavaScript reader that is told what to do, one JSON object a line on standard input:
//
//   node follower.mjs KEY [HOST:PORT] [--listen]
//
// It dials HOST:PORT, or with --listen accepts connections and prints {"port"}. Commands:
//
//   {"get": N}         prints {"index", "block": text, "length", "fork"}, waiting for the log to grow that far
//   {"length": N}      waits until the log has N blocks, prints {"length", "fork"}
//   {"fork": N}        waits until the log is at fork N, prints {"length", "fork"}
//   {"seek": BYTES}    prints {"seek": [index, offset]}
//   {"extension": T}   sends T in the extension "datdot-test"; what comes in is printed as {"extension": text}
//
// It also prints {"event": "verification-error", "code"}, and {"event": "end", "error"} when the connection ends.

import { parseArgs } from 'node:util'
import Hypercore from 'hypercore'
import { commands, dial, print, serve, temporaryDirectory } from './common.mjs'

const { values, positionals } = parseArgs({ allowPositionals: true, options: { listen: { type: 'boolean' } } })
const [key, address] = positionals
const directory = await temporaryDirectory()
const core = new Hypercore(directory.path, key)
await core.ready()
core.on('verification-error', (error) => print({ event: 'verification-error', code: error.code }))
const extension = core.registerExtension('datdot-test', {
  encoding: 'utf-8',
  onmessage: (text) => print({ extension: text })
})

if (values.listen) {
  const { port } = await serve(core, 0, (stream) => {
    stream.on('error', (error) => print({ event: 'end', error: error.message }))
  })
  print({ port })
} else {
  dial(core, address, (error) => print({ event: 'end', error: error ? error.message : null }))
}

async function until(condition) {
  while (!condition()) {
    await new Promise((resolve) => {
      core.once('append', resolve)
      core.once('truncate', resolve)
    })
  }
}

await commands(async (command) => {
  if (command.get !== undefined) {
    const block = await core.get(command.get)
    print({ index: command.get, block: block.toString(), length: core.length, fork: core.fork })
  }
  if (command.length !== undefined) {
    await until(() => core.length >= command.length)
    print({ length: core.length, fork: core.fork })
  }
  if (command.fork !== undefined) {
    await until(() => core.fork >= command.fork)
    print({ length: core.length, fork: core.fork })
  }
  if (command.seek !== undefined) print({ seek: await core.seek(command.seek) })
  if (command.extension !== undefined) extension.broadcast(command.extension)
})
