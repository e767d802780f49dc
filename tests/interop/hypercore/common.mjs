// What the scripts of this folder share: JSON lines on standard output, commands on standard input, temporary storage.

import { mkdtemp, rm } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import readline from 'node:readline'

// The packages tell of conflicts with console.log, and standard output carries JSON lines only.
console.log = console.error

// Prints one JSON object as a line.
export function print(value) {
  process.stdout.write(JSON.stringify(value) + '\n')
}

// Gives a fresh directory that is removed when the process ends in an ordinary way.
export async function temporaryDirectory() {
  const path = await mkdtemp(join(tmpdir(), 'datdot-interop-'))
  const remove = () => rm(path, { recursive: true, force: true })
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => remove().then(() => process.exit(0)))
  return { path, remove }
}

// Serves a core over TCP and returns {host, port}; each connection replicates it. onconnection(stream) sees each one.
export function serve(core, port = 0, onconnection = () => {}) {
  const server = net.createServer({ noDelay: true }, (socket) => {
    const stream = core.replicate(false)
    stream.on('error', () => {})
    socket.on('error', () => {})
    socket.pipe(stream).pipe(socket)
    onconnection(stream)
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => resolve({ host: '127.0.0.1', port: server.address().port, server }))
  })
}

// Dials HOST:PORT and replicates a core over the connection; onend(error) is called once when it ends.
export function dial(core, address, onend = () => {}) {
  const split = address.lastIndexOf(':')
  const socket = net.connect({ host: address.slice(0, split), port: Number(address.slice(split + 1)), noDelay: true })
  const stream = core.replicate(true)
  let failure = null
  let ended = false
  const end = (error) => {
    failure = failure || error || null
    if (ended || !socket.destroyed) return
    ended = true
    onend(failure)
  }
  stream.on('error', end)
  socket.on('error', end)
  socket.on('close', () => end())
  socket.pipe(stream).pipe(socket)
  return { socket, stream }
}

// Calls handle(command) for each JSON line of standard input, one after the other.
export async function commands(handle) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (line.trim()) await handle(JSON.parse(line))
  }
}
