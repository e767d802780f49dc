// Signs transfers of the development accounts, in turns with sequential nonces: node sign.mjs RPC-URL ACCOUNTS COUNT.
// Prints one raw transaction a line. The nonces go on from what the node at the URL has.

import { HDNodeWallet, JsonRpcProvider, Mnemonic } from 'ethers'

const MNEMONIC = 'test test test test test test test test test test test junk'
const RECIPIENT = `0x${'da'.repeat(20)}`
const GAS_PRICE = 2_000_000_000n

const [url, accounts, count] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]
const provider = new JsonRpcProvider(url, undefined, { staticNetwork: true })
const { chainId } = await provider.getNetwork()
const mnemonic = Mnemonic.fromPhrase(MNEMONIC)
const senders = []
for (let index = 0; index < accounts; index += 1) {
  const wallet = HDNodeWallet.fromMnemonic(mnemonic, `m/44'/60'/0'/0/${index}`)
  senders.push({ wallet, nonce: await provider.getTransactionCount(wallet.address) })
}
for (let made = 0; made < count; made += 1) {
  const sender = senders[made % accounts]
  const transaction = { to: RECIPIENT, value: 1n, gasLimit: 21_000n, gasPrice: GAS_PRICE, nonce: sender.nonce, chainId, type: 0 }
  console.log(await sender.wallet.signTransaction(transaction))
  sender.nonce += 1
}
provider.destroy()
