// A JavaScript reader that is told what to do, one JSON object a line on standard input:
//
//   node follower.mjs KEY [HOST:PORT…] [--listen]
//
// It dials every HOST:PORT; with --listen it also accepts connections, so that it passes on what it has, and prints
// {"port"}. Commands:
//
//   {"get": N}         prints {"index", "block": text, "length", "fork"}, waiting for the log to grow that far
//   {"length": N}      waits until the log has N blocks, prints {"length", "fork"}
//   {"fork": N}        waits until the log is at fork N, prints {"length", "fork"}
//   {"seek": BYTES}    prints {"seek": [index, offset]}
//   {"download": [START, END]}   prints {"downloaded": [START, END]} when these blocks are here, or {"failed": why}
//   {"want": [START, END]}       begins to download these blocks and prints nothing
//   {"dial": HOST:PORT}          dials one more peer; prints {"dialled"}
//   {"has": N}         prints {"has": [index…]}, which of the first N blocks are here
//   {"extension": T}   sends T in the extension "datdot-test"; what comes in is printed as {"extension": text}
//
// It also prints {"event": "verification-error", "code"}, {"event": "conflict", "length", "fork"} when two logs
// are signed for one length, and {"event": "end", "error"} when a connection ends.

import { parseArgs } from 'node:util'
import Hypercore from 'hypercore'
import { commands, dial, print, serve, temporaryDirectory } from './common.mjs'

const { values, positionals } = parseArgs({ allowPositionals: true, options: { listen: { type: 'boolean' } } })
const [key, ...addresses] = positionals
const directory = await temporaryDirectory()
const core = new Hypercore(directory.path, key)
await core.ready()
core.on('verification-error', (error) => print({ event: 'verification-error', code: error.code }))
core.on('conflict', (length, fork) => print({ event: 'conflict', length, fork }))
const extension = core.registerExtension('datdot-test', {
  encoding: 'utf-8',
  onmessage: (text) => print({ extension: text })
})

function connect(address) {
  dial(core, address, (error) => print({ event: 'end', error: error ? error.message : null }))
}
addresses.forEach(connect)
if (values.listen) {
  const { port } = await serve(core, 0, (stream) => {
    stream.on('error', (error) => print({ event: 'end', error: error.message }))
  })
  print({ port })
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
  if (command.download) {
    const [start, end] = command.download
    const whole = core.download({ start, end }).done()
    const outcome = (failure) => print(failure ? { failed: failure.message } : { downloaded: command.download })
    await whole.then(() => outcome(), outcome)
  }
  if (command.want) core.download({ start: command.want[0], end: command.want[1] })
  if (command.dial) {
    connect(command.dial)
    print({ dialled: command.dial })
  }
  if (command.has !== undefined) {
    const has = []
    for (let index = 0; index < command.has; index++) if (await core.has(index)) has.push(index)
    print({ has })
  }
  if (command.extension !== undefined) extension.broadcast(command.extension)
})
