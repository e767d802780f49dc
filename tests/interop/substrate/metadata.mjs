// A polkadot.js client that stays connected: tells when names appear in its storage and calls, by the clock.

import { ApiPromise, WsProvider } from '@polkadot/api'

const wanted = JSON.parse(process.argv[2])
const api = await ApiPromise.create({ provider: new WsProvider(wanted.url), noInitWarn: true })
const print = (event, values) => process.stdout.write(JSON.stringify({ event, time: Date.now() / 1000, ...values }) + '\n')
const state = () => ({
  specVersion: api.runtimeVersion.specVersion.toNumber(),
  items: Object.keys(api.query[wanted.pallet] ?? {}).filter((name) => name !== 'palletVersion'), // which it adds itself
  calls: Object.keys(api.tx[wanted.pallet] ?? {})
})

print('connected', state())
const timer = setInterval(() => {
  const now = state()
  if (now.items.includes(wanted.item) && now.calls.includes(wanted.call)) {
    clearInterval(timer)
    api.query[wanted.pallet][wanted.item]().then((value) => {
      print('seen', { ...now, value: value.toString() })
      return api.disconnect()
    })
  }
}, 5)
