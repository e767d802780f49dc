// One signer of a JavaScript core with several signers, told what to do, one JSON object a line on standard input:
//
//   node signer.mjs SEED MANIFEST
//
// SEED is the hex seed of the signer's key pair, MANIFEST JSON {"quorum", "signers": [hex public key…], "userData"?: hex}.
// It prints {"key"} at once. Commands:
//
//   {"append": [text…]}     adds blocks to the signer's own copy; prints {"length", "signature": hex}, its part
//   {"assemble": [{"signer", "signature": hex}…]}         prints {"signature": hex}, the quorum's
//   {"publish": [text…], "signature": hex}                makes another copy, without a signing key, that holds these blocks
//                                                         under that signature, and serves it; prints {"port", "length"}

import Hypercore from 'hypercore'
import crypto from 'hypercore-crypto'
import multisig from 'hypercore/lib/multisig.js'
import { commands, print, serve, temporaryDirectory } from './common.mjs'

const [seed, rules] = process.argv.slice(2)
const { quorum, signers, userData } = JSON.parse(rules)
const manifest = {
  version: userData ? 2 : 1,
  quorum,
  signers: signers.map((publicKey) => ({ publicKey: Buffer.from(publicKey, 'hex') })),
  userData: userData ? Buffer.from(userData, 'hex') : null
}
const directory = await temporaryDirectory()
const keyPair = crypto.keyPair(Buffer.from(seed, 'hex'))
const core = new Hypercore(directory.path + '/own', { manifest, keyPair })
await core.ready()
print({ key: core.key.toString('hex') })

await commands(async (command) => {
  if (command.append) {
    await core.append(command.append.map((text) => Buffer.from(text)))
    print({ length: core.length, signature: core.core.state.signature.toString('hex') })
  }
  if (command.assemble) {
    const parts = command.assemble.map(({ signer, signature }) => {
      return { signer, signature: Buffer.from(signature, 'hex'), patch: 0, nodes: null }
    })
    print({ signature: multisig.assemble(parts).toString('hex') })
  }
  if (command.publish) {
    const copy = new Hypercore(directory.path + '/published', { manifest })
    await copy.ready()
    const blocks = command.publish.map((text) => Buffer.from(text))
    await copy.append(blocks, { signature: Buffer.from(command.signature, 'hex') })
    const { port } = await serve(copy)
    print({ port, length: copy.length })
  }
})
