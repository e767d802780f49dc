// The scenario with @polkadot/api, or with its next major version where the scenario says so. See scenario.py for the
// steps and what is expected of each.

import { createKeyMulti, encodeAddress, sortAddresses } from '@polkadot/util-crypto'

import { report, scenario, step } from './common.mjs'

const library = scenario.client === 'polkadot_17' ? '@polkadot/api-17' : '@polkadot/api'
const { ApiPromise, Keyring, WsProvider } = await import(library)

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())
const camelKeys = (value) => {
  if (Array.isArray(value)) return value.map(camelKeys)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [camel(key), camelKeys(inner)]))
}
const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

const api = await ApiPromise.create({
  provider: new WsProvider(scenario.url),
  throwOnConnect: true,
  throwOnUnknown: true,
})
const sr25519 = new Keyring({ type: 'sr25519' })
const ed25519 = new Keyring({ type: 'ed25519' })
const keys = { sr25519: sr25519.addFromUri('//Alice'), ed25519: ed25519.addFromUri('//Alice') }

const eventJson = ({ event }) => ({
  name: `${camel(event.section)[0].toUpperCase()}${camel(event.section).slice(1)}.${event.method}`,
  data: Object.fromEntries(event.data.map((value, index) => [snake(event.data.names?.[index] ?? `${index}`), `${value}`])),
})
const errorJson = (error) => {
  if (error === undefined) return null
  if (!error.isModule) return [error.type, `${error.value}`]
  const found = api.registry.findMetaError(error.asModule)
  return [found.section, found.name, found.docs.join(' ')]
}

// Signs, sends and follows an extrinsic until it is finalized.
const submit = (extrinsic, signer, options = {}) =>
  new Promise((resolve, reject) => {
    const statuses = []
    extrinsic
      .signAndSend(signer, options, (result) => {
        statuses.push(result.status.type)
        if (result.isError) reject(new Error(`${result.status}`))
        if (!result.status.isFinalized) return
        resolve({
          statuses,
          block: result.status.asFinalized.toHex(),
          index: result.txIndex,
          events: result.events.map(eventJson),
          error: errorJson(result.dispatchError),
        })
      })
      .catch(reject)
  })

await step('connect', async () => ({
  chain: `${await api.rpc.system.chain()}`,
  spec: `${api.runtimeVersion.specName}`,
  token: api.registry.chainTokens[0],
  decimals: api.registry.chainDecimals[0],
  metadata_version: api.runtimeMetadata.version,
}))

await step('constants', async () => ({
  ss58_prefix: api.consts.system.ss58Prefix.toNumber(),
  existential_deposit: api.consts.balances.existentialDeposit.toBigInt(),
  challenge_delay: api.consts.datDot.challengeDelay.toNumber(),
}))

const started = await step('storage', async () => {
  const alice = await api.query.system.account(keys.sr25519.address)
  return {
    free: alice.data.free.toBigInt(),
    number: (await api.query.system.number()).toNumber(),
    now_ms: (await api.query.timestamp.now()).toNumber(),
    unknown_plan: (await api.query.datDot.getPlanByID(4_000_000)).toJSON(),
  }
})

await step('accounts', async () => {
  const entries = await api.query.system.account.entries()
  return { addresses: entries.map(([key]) => key.args[0].toString()) }
})

await step('fee', async () => {
  const transfer = api.tx.balances.transferKeepAlive(scenario.recipient, scenario.amount)
  const info = await transfer.paymentInfo(keys.sr25519)
  return { partial_fee: info.partialFee.toBigInt(), class: info.class.type, ref_time: info.weight.refTime.toBigInt() }
})

for (const { name, scheme, mortal, tip } of scenario.transfers) {
  await step(name, () =>
    submit(api.tx.balances.transferKeepAlive(scenario.recipient, scenario.amount), keys[scheme], {
      tip,
      era: mortal ? 64 : 0,
      // Both ways to find the nonce: the pool's next index, or the account's own as of the best block.
      nonce: mortal ? undefined : -1,
    }),
  )
}

await step('received', async () => {
  const account = await api.query.system.account(scenario.recipient)
  return { free: account.data.free.toBigInt(), nonce: account.nonce.toNumber() }
})

await step('token_error', () =>
  submit(api.tx.balances.transferKeepAlive(scenario.recipient, 1n << 100n), keys.sr25519),
)

const user = sr25519.addFromUri(scenario.user)
const market = camelKeys(scenario.market)
const publishPlan = () => {
  const { plan, components, deposit } = market.publishPlan
  return api.tx.datDot.publishPlan(plan, components, deposit)
}

await step('module_error', () => submit(publishPlan(), user))

await step('batch_all', () =>
  submit(
    api.tx.utility.batchAll([
      api.tx.balances.transferKeepAlive(scenario.recipient, scenario.amount),
      api.tx.system.remark('0x646174'),
    ]),
    keys.sr25519,
  ),
)

await step('batch_all_undone', () =>
  submit(
    api.tx.utility.batchAll([
      api.tx.balances.transferKeepAlive(scenario.recipient, scenario.amount),
      api.tx.sudo.sudo(api.tx.system.remark('0x')),
    ]),
    user,
  ),
)

// An account with an ECDSA key: it is given something, and gives it on.
const ecdsa = new Keyring({ type: 'ecdsa' }).addFromUri(scenario.ecdsa)
await step('ecdsa_funded', () => submit(api.tx.balances.transferKeepAlive(ecdsa.address, scenario.amount), keys.sr25519))
await step('ecdsa', () => submit(api.tx.balances.transferAllowDeath(keys.sr25519.address, scenario.amount / 2), ecdsa))

// Two of three approve a call: the first by its hash, the second with the call.
const multisig = { signatories: [keys.sr25519.address, user.address, ecdsa.address], threshold: 2 }
const othersThan = (who) => sortAddresses(multisig.signatories.filter((one) => one !== who), 42)
const remarked = api.tx.system.remarkWithEvent('0x646174')
const enough = { refTime: 10_000_000_000, proofSize: 0 }
const shared = createKeyMulti(multisig.signatories, multisig.threshold)
const hash = remarked.method.hash
await step('multisig_opened', () =>
  submit(api.tx.multisig.approveAsMulti(2, othersThan(keys.sr25519.address), null, hash, enough), keys.sr25519),
)
await step('multisig', async () => {
  const open = (await api.query.multisig.multisigs(shared, hash)).unwrap()
  const result = await submit(api.tx.multisig.asMulti(2, othersThan(user.address), open.when, remarked, enough), user)
  return { ...result, account: encodeAddress(shared, 42), depositor: `${open.depositor}` }
})

// A proxy remarks for the user but cannot spend for it; a pure account is made by the user.
await step('proxy_added', () => submit(api.tx.proxy.addProxy(keys.sr25519.address, 'NonTransfer', 0), user))
await step('proxied', () => submit(api.tx.proxy.proxy(user.address, null, remarked), keys.sr25519))
await step('proxy_limited', () => {
  const spending = api.tx.utility.batchAll([api.tx.balances.transferKeepAlive(scenario.recipient, 1)])
  return submit(api.tx.proxy.proxy(user.address, 'NonTransfer', spending), keys.sr25519)
})
await step('proxy_removed', () => submit(api.tx.proxy.removeProxy(keys.sr25519.address, 'NonTransfer', 0), user))
await step('pure', () => submit(api.tx.proxy.createPure('Any', 0, 0), user))

await step('new_user', () => {
  const { noiseKey, signingKey, keyProofs } = market.newUser
  return submit(api.tx.datDot.newUser(noiseKey, signingKey, keyProofs), user)
})
await step('publish_feed', () => submit(api.tx.datDot.publishFeed(market.feed.key, market.feed.headProof), user))
await step('publish_plan', async () => {
  const result = await submit(publishPlan(), user)
  const published = result.events.find(({ name }) => name === 'DatDot.NewPlan')
  const plan = (await api.query.datDot.getPlanByID(published.data.plan)).toJSON()
  return { ...result, plan: { from: plan.from, until: plan.until, state: plan.state, contracts: plan.contracts.length } }
})

await step('derive', async () => {
  const balances = await api.derive.balances.all(keys.sr25519.address)
  const account = await api.derive.balances.account(keys.sr25519.address)
  const header = await api.derive.chain.getHeader(await api.rpc.chain.getBlockHash())
  return {
    nonce: account.accountNonce.toNumber(),
    free: account.freeBalance.toBigInt(),
    transferable: (balances.transferable ?? balances.availableBalance).toBigInt(),
    author: header.author?.toString(),
  }
})

await step('at', async () => {
  const hash = await api.rpc.chain.getBlockHash(started.number)
  const before = await (await api.at(hash)).query.system.account(scenario.recipient)
  return { number: (await (await api.at(hash)).query.system.number()).toNumber(), free: before.data.free.toBigInt() }
})

await step('heads', async () => {
  const numbers = []
  await new Promise((resolve) => {
    const subscribed = api.rpc.chain.subscribeNewHeads(async (header) => {
      numbers.push(header.number.toNumber())
      if (numbers.length < 3) return
      ;(await subscribed)()
      resolve()
    })
  })
  return { numbers }
})

await step('storage_subscription', async () => {
  const seen = []
  await new Promise((resolve) => {
    const subscribed = api.query.timestamp.now(async (moment) => {
      seen.push(moment.toNumber())
      if (seen.length < 3) return
      ;(await subscribed)()
      resolve()
    })
  })
  return { seen }
})

const bytesToId = async (call) => (await call).unwrapOr(null)
await step('runtime_api', async () => ({
  user: `${await bytesToId(api.call.datDotApi.getUserIdByNoiseKey(scenario.market.new_user.noise_key))}`,
  feed: `${await bytesToId(api.call.datDotApi.getFeedByKey(scenario.market.feed.key))}`,
  unknown: await bytesToId(api.call.datDotApi.getPlanById(4_000_000)),
}))

await step('payment', async () => {
  const extrinsic = await api.tx.system.remark('0x00').signAsync(keys.sr25519)
  const info = await api.rpc.payment.queryInfo(extrinsic.toHex())
  const { inclusionFee } = await api.rpc.payment.queryFeeDetails(extrinsic.toHex())
  const { baseFee, lenFee, adjustedWeightFee } = inclusionFee.unwrap()
  return { partial_fee: `${info.partialFee}`, parts: [baseFee, lenFee, adjustedWeightFee].map(String), weight: `${info.weight}` }
})

await step('refused', async () => {
  const poor = sr25519.addFromUri(scenario.stranger)
  try {
    await submit(api.tx.balances.transferKeepAlive(scenario.recipient, 1), poor)
    return { message: null }
  } catch (error) {
    return { code: error.code, message: error.message }
  }
})

await api.disconnect()
report('done', {})
