// A JavaScript Hyperdrive over plain TCP, told what to do, one JSON object a line on standard input:
//
//   node drive.mjs [--key HEX --dial HOST:PORT[,HOST:PORT…]] [--primary-key HEX]
//
// Without --key it makes a drive, serves it and prints {"key", "port"}; with --key it reads that one from HOST:PORT.
//
//   {"import": FOLDER}              puts every file of a folder, executable flags kept; prints {"version"}
//   {"export": FOLDER}              writes every file of the drive to a folder; prints {"exported": how many}
//   {"put": PATH, "text": T, "options": {…}}, {"symlink": PATH, "target": T}, {"del": PATH}     print {"version"}
//   {"dedup": PATH, "blocks": [hex…]}   writes a deduplicated file of these blocks; prints {"version"}
//   {"version": N}                  waits until the drive has this version; prints {"version"}
//   {"files": true}                 prints {"files": [[path, executable, linkname, metadata, sha256 or null]…]}
//   {"range": PATH, "start", "length"}  prints {"text"} of createReadStream
//   {"checkout": N, "path": P}      prints {"text"} of a file at a version, null when it is not there

import { createHash } from 'node:crypto'
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import Corestore from 'corestore'
import Hyperdrive from 'hyperdrive'
import { commands, dial, print, serve, temporaryDirectory } from './common.mjs'

const { values } = parseArgs({
  options: { key: { type: 'string' }, dial: { type: 'string' }, 'primary-key': { type: 'string' } }
})
const directory = await temporaryDirectory()
const primaryKey = values['primary-key'] && Buffer.from(values['primary-key'], 'hex')
const store = new Corestore(directory.path, primaryKey ? { primaryKey, unsafe: true } : {})
const drive = new Hyperdrive(store, values.key ? Buffer.from(values.key, 'hex') : null)
await drive.ready()
if (values.dial) {
  for (const peer of values.dial.split(',')) dial(store, peer)
} else {
  const { port } = await serve(store)
  print({ key: drive.key.toString('hex'), contentKey: drive.contentKey.toString('hex'), port })
}

async function text(stream) {
  const parts = []
  for await (const part of stream) parts.push(part)
  return Buffer.concat(parts).toString()
}

await commands(async (command) => {
  if (command.import) {
    for (const entry of await readdir(command.import, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      const executable = ((await stat(path)).mode & 0o100) !== 0
      await drive.put('/' + relative(command.import, path), await readFile(path), { executable })
    }
    print({ version: drive.version })
  }
  if (command.export) {
    let exported = 0
    for await (const { key, value } of drive.list('/')) {
      const path = join(command.export, key)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, await drive.get(key), { mode: value.executable ? 0o755 : 0o644 })
      exported++
    }
    print({ exported })
  }
  if (command.put) {
    await drive.put(command.put, Buffer.from(command.text), command.options)
    print({ version: drive.version })
  }
  if (command.symlink) {
    await drive.symlink(command.symlink, command.target)
    print({ version: drive.version })
  }
  if (command.del) {
    await drive.del(command.del)
    print({ version: drive.version })
  }
  if (command.dedup) {
    const stream = drive.createWriteStream(command.dedup, { dedup: true })
    const closed = new Promise((resolve, reject) => stream.once('close', resolve).once('error', reject))
    for (const block of command.blocks) stream.write(Buffer.from(block, 'hex'))
    stream.end()
    await closed
    print({ version: drive.version })
  }
  if (command.version !== undefined) {
    while (drive.core.length < command.version) await new Promise((resolve) => drive.core.once('append', resolve))
    print({ version: drive.version })
  }
  if (command.files) {
    const files = []
    for await (const { key, value } of drive.list('/')) {
      const data = value.blob ? await drive.get(key) : null
      const digest = data && createHash('sha256').update(data).digest('hex')
      files.push([key, value.executable, value.linkname, value.metadata, digest])
    }
    print({ files })
  }
  if (command.range) {
    const { start, length } = command
    print({ text: await text(drive.createReadStream(command.range, { start, length })) })
  }
  if (command.checkout !== undefined) {
    const data = await drive.checkout(command.checkout).get(command.path)
    print({ text: data && data.toString() })
  }
})
