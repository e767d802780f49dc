#!/usr/bin/env node
// Holds Hyperswarm connections for a program that speaks no Hyperswarm: each connection's messages go to that program
// over a local socket, together with the handshake hash to which the channels inside are bound.
//
// Standard input, JSON lines:
//
//   {"socket": PATH, "bootstrap": [{"host", "port"}…] or null, "loopback": BOOLEAN, "maxPeers": N}     first
//   {"join": TOPIC (hex), "swarm": N, "server": BOOLEAN, "client": BOOLEAN}    announce it, look for who does
//   {"leave": TOPIC (hex), "swarm": N}
//
// Each number N is an identity of its own (a key pair of this run). The end of standard input ends the program.
//
// Standard output, JSON lines: {"event": "ready"}, {"event": "joined", "topic", "swarm"} once the topic is
// announced, or was looked for once.
//
// The local socket, one connection per Hyperswarm connection: a greeting of 99 bytes, then messages both ways, each
// behind a 3-byte little-endian length:
//
//   role (1): 1 when we were the initiator; swarm (2, little endian); public key of the peer (32); handshake hash (64)

import net from 'node:net'
import readline from 'node:readline'
import HyperDHT from 'hyperdht'
import Hyperswarm from 'hyperswarm'

const KEEP_ALIVE_MS = 5000
const GREETING_BYTES = 99
const LENGTH_BYTES = 3
const SHUTDOWN_MS = 2000

class Bridge {
  constructor({ socket, bootstrap, loopback, maxPeers }) {
    this.path = socket
    this.maxPeers = maxPeers
    this.swarms = new Map()
    // On loopback there is no router to find out about, and HyperDHT could not in a network of few nodes.
    const place = loopback ? { host: '127.0.0.1', firewalled: false } : {}
    this.dht = new HyperDHT({ ...(bootstrap ? { bootstrap } : {}), ...place })
  }

  async ready() {
    await this.dht.fullyBootstrapped()
    print({ event: 'ready' })
  }

  async join({ join, swarm: number, server, client }) {
    const discovery = this.swarm(number).join(Buffer.from(join, 'hex'), { server, client })
    await discovery.flushed()
    print({ event: 'joined', topic: join, swarm: number })
  }

  async leave({ leave, swarm: number }) {
    await this.swarm(number).leave(Buffer.from(leave, 'hex'))
  }

  swarm(number) {
    let swarm = this.swarms.get(number)
    if (swarm === undefined) {
      swarm = new Hyperswarm({ dht: this.dht, keyPair: HyperDHT.keyPair(), maxPeers: this.maxPeers })
      swarm.on('connection', (connection) => {
        // Hyperswarm itself bounds only the connections that it dials.
        if (swarm.connections.size > this.maxPeers) connection.destroy()
        else carry(connection, number, this.path)
      })
      this.swarms.set(number, swarm)
    }
    return swarm
  }

  async destroy() {
    await Promise.allSettled([...this.swarms.values()].map((swarm) => swarm.destroy()))
    await this.dht.destroy()
  }
}

// Carries messages between a Hyperswarm connection and a connection of its own to the program; both end together.
function carry(connection, number, path) {
  const local = net.connect(path)
  connection.on('error', () => {})
  local.on('error', () => {})
  connection.on('end', () => local.end())
  connection.on('close', () => local.end())
  local.on('close', () => connection.end())
  connection.setKeepAlive(KEEP_ALIVE_MS)
  local.write(greeting(connection, number))

  connection.on('data', (message) => {
    const room = local.write(framed(message))
    if (!room) connection.pause()
  })
  local.on('drain', () => connection.resume())

  const take = unframed((message) => connection.write(message))
  local.on('data', (bytes) => {
    if (!take(bytes)) local.pause()
  })
  connection.on('drain', () => local.resume())
}

function greeting(connection, number) {
  const bytes = Buffer.alloc(GREETING_BYTES)
  bytes[0] = connection.isInitiator ? 1 : 0
  bytes.writeUInt16LE(number, 1)
  connection.remotePublicKey.copy(bytes, 3)
  connection.handshakeHash.copy(bytes, 35)
  return bytes
}

function framed(message) {
  const bytes = Buffer.allocUnsafe(LENGTH_BYTES + message.byteLength)
  bytes.writeUIntLE(message.byteLength, 0, LENGTH_BYTES)
  bytes.set(message, LENGTH_BYTES)
  return bytes
}

// Returns a function that takes bytes, hands every message that they complete to `give`, and returns false when one
// of them found no room.
function unframed(give) {
  let parts = []
  let held = 0
  let needed = LENGTH_BYTES
  return (bytes) => {
    parts.push(bytes)
    held += bytes.byteLength
    if (held < needed) return true
    let rest = parts.length === 1 ? bytes : Buffer.concat(parts)
    let room = true
    needed = LENGTH_BYTES
    while (rest.byteLength >= LENGTH_BYTES) {
      needed = LENGTH_BYTES + rest.readUIntLE(0, LENGTH_BYTES)
      if (rest.byteLength < needed) break
      if (needed > LENGTH_BYTES) room = give(rest.subarray(LENGTH_BYTES, needed)) && room
      rest = rest.subarray(needed)
      needed = LENGTH_BYTES
    }
    parts = rest.byteLength ? [rest] : []
    held = rest.byteLength
    return room
  }
}

function print(event) {
  process.stdout.write(JSON.stringify(event) + '\n')
}

function fail(error) {
  process.stderr.write(`${error.message || error}\n`)
  process.exit(1)
}

async function main() {
  let bridge = null
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const command = JSON.parse(line)
    if (bridge === null) {
      bridge = new Bridge(command)
      bridge.ready().catch(fail)
    } else if (command.join) {
      bridge.join(command).catch((error) => process.stderr.write(`${command.join} is not joined: ${error.message}\n`))
    } else if (command.leave) {
      bridge.leave(command).catch(() => {})
    }
  }
  setTimeout(() => process.exit(0), SHUTDOWN_MS).unref()
  if (bridge !== null) await bridge.destroy()
  process.exit(0)
}

// The program that started us ends us by closing standard input; a signal for the whole group must not come first.
process.on('SIGINT', () => {})
process.stdout.on('error', () => process.exit(0))
main().catch(fail)
