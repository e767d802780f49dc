// A private Hyperswarm on loopback: prints {"host", "port"} of its first node and runs until standard input ends.

import createTestnet from '@hyperswarm/testnet'

const testnet = await createTestnet(3, { host: '127.0.0.1' })
process.stdout.write(JSON.stringify(testnet.bootstrap[0]) + '\n')
process.stdin.on('end', () => process.exit(0))
process.stdin.resume()
