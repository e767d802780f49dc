// A JavaScript corestore over plain TCP, told what to do, one JSON object a line on standard input:
//
//   node corestore.mjs [--primary-key HEX] [--dial HOST:PORT]
//
// It prints {"port"} of its own server at once; with --dial it also connects there. Commands:
//
//   {"open": NAME, "namespace": [NAME…], "encryption": HEX}   prints {"key", "length"}
//   {"append": [text…], "key": HEX}                           to a core that was opened; prints {"length"}
//   {"get": N, "key": HEX, "encryption": HEX}                 prints {"block": text}, waiting for it
//   {"write": COUNT, "blocks": N}   writes blocks "core-<i> block-<j>" to COUNT cores "core-<i>"; prints {"keys"}
//   {"read": [HEX…], "blocks": N}   reads them all at once; prints {"texts": [[text…]…]}
//   {"raw": N, "key": HEX}                                    prints {"block": hex} as it is stored, waiting for it

import { parseArgs } from 'node:util'
import Corestore from 'corestore'
import { commands, dial, print, serve, temporaryDirectory } from './common.mjs'

const { values } = parseArgs({ options: { 'primary-key': { type: 'string' }, dial: { type: 'string' } } })
const directory = await temporaryDirectory()
const primaryKey = values['primary-key'] && Buffer.from(values['primary-key'], 'hex')
const store = new Corestore(directory.path, primaryKey ? { primaryKey, unsafe: true } : {})
await store.ready()
const { port } = await serve(store)
print({ port })
if (values.dial) dial(store, values.dial)

const opened = new Map()

function encryption(command) {
  return command.encryption ? { encryption: { key: Buffer.from(command.encryption, 'hex') } } : {}
}

async function find(command) {
  const present = opened.get(command.key)
  if (present && !command.encryption) return present
  const core = store.get({ key: Buffer.from(command.key, 'hex'), ...encryption(command) })
  await core.ready()
  opened.set(command.key, core)
  return core
}

await commands(async (command) => {
  if (command.open !== undefined) {
    const space = (command.namespace || []).reduce((inner, name) => inner.namespace(name), store)
    const core = space.get({ name: command.open, ...encryption(command) })
    await core.ready()
    opened.set(core.key.toString('hex'), core)
    print({ key: core.key.toString('hex'), length: core.length })
  }
  if (command.append) {
    const core = await find(command)
    await core.append(command.append.map((text) => Buffer.from(text)))
    print({ length: core.length })
  }
  if (command.get !== undefined) {
    const core = await find(command)
    print({ block: (await core.get(command.get)).toString() })
  }
  if (command.write !== undefined) {
    const keys = []
    for (let number = 0; number < command.write; number++) {
      const core = store.get({ name: `core-${number}` })
      await core.ready()
      opened.set(core.key.toString('hex'), core)
      await core.append(Array.from({ length: command.blocks }, (_, index) => `core-${number} block-${index}`))
      keys.push(core.key.toString('hex'))
    }
    print({ keys })
  }
  if (command.read) {
    const indexes = Array.from({ length: command.blocks }, (_, index) => index)
    const read = async (key) => {
      const core = await find({ key })
      return Promise.all(indexes.map(async (index) => (await core.get(index)).toString()))
    }
    print({ texts: await Promise.all(command.read.map(read)) })
  }
  if (command.raw !== undefined) {
    const core = await find(command)
    print({ block: (await core.get(command.raw, { raw: true, decrypt: false })).toString('hex') })
  }
})
