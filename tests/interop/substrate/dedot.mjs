// The scenario with dedot, over chainHead_v1 and its relatives (DedotClient), or over the legacy methods
// (LegacyClient) where the scenario says so. See scenario.py for the steps.

import { Keyring } from '@polkadot/keyring'
import { createKeyMulti, cryptoWaitReady, encodeAddress, sortAddresses } from '@polkadot/util-crypto'
import { DedotClient, LegacyClient, WsProvider } from 'dedot'

import { report, scenario, step } from './common.mjs'

await cryptoWaitReady()
const pairOf = (uri, scheme = 'sr25519') => new Keyring({ type: scheme, ss58Format: 42 }).addFromUri(uri)
const keys = { sr25519: pairOf('//Alice'), ed25519: pairOf('//Alice', 'ed25519') }
const user = pairOf(scenario.user)

const kind = scenario.client === 'dedot_legacy' ? LegacyClient : DedotClient
const client = await kind.new(new WsProvider(scenario.url))

const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())

// The client's values as the report has them: accounts in SS58, names in snake case, enums as their type.
const plain = (value) => {
  if (typeof value?.address === 'function') return value.address()
  if (Array.isArray(value)) return value.map(plain)
  if (value === null || typeof value !== 'object') return value
  if ('type' in value && value.value === undefined) return value.type
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [snake(key), plain(inner)]))
}
const camelKeys = (value) => {
  if (Array.isArray(value)) return value.map(camelKeys)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [camel(key), camelKeys(inner)]))
}
const eventJson = ({ event: { pallet, palletEvent } }) => ({
  name: `${pallet}.${palletEvent.name ?? palletEvent}`,
  data: plain(palletEvent.data ?? null),
})
const errorJson = (error) => {
  if (error === undefined) return null
  if (error.type !== 'Module') return [error.type, error.value]
  const found = client.registry.findErrorMeta(error)
  return [found.pallet, found.name, found.docs.join(' ')]
}

const submit = async (transaction, signer, options = {}) => {
  const statuses = []
  const sent = transaction.signAndSend(signer, options, ({ status }) => statuses.push(status.type))
  const [, result] = await Promise.all([sent, sent.untilFinalized()]) // a refusal may reject only the first
  return {
    statuses,
    block: result.status.value.blockHash,
    index: result.txIndex,
    events: result.events.map(eventJson),
    error: errorJson(result.dispatchError),
  }
}

// The first items that a subscription hands to its callback.
const take = async (subscribe, count, value) => {
  const seen = []
  let end
  const taken = new Promise((resolve) => {
    end = subscribe((item) => {
      seen.push(value(item))
      if (seen.length === count) resolve()
    })
  })
  await taken
  await (await end)()
  return seen.slice(0, count)
}

const transfer = (amount = BigInt(scenario.amount)) => client.tx.balances.transferKeepAlive(scenario.recipient, amount)

await step('connect', async () => {
  const { tokenSymbol, tokenDecimals } = await client.chainSpec.properties()
  return {
    chain: await client.chainSpec.chainName(),
    spec: client.runtimeVersion.specName,
    token: tokenSymbol,
    decimals: tokenDecimals,
    metadata_version: client.metadata.version,
  }
})

await step('constants', async () => ({
  ss58_prefix: client.consts.system.ss58Prefix,
  existential_deposit: client.consts.balances.existentialDeposit,
  challenge_delay: client.consts.datDot.challengeDelay,
}))

const started = await step('storage', async () => {
  const account = await client.query.system.account(keys.sr25519.address)
  return {
    free: account.data.free,
    number: await client.query.system.number(),
    now_ms: Number(await client.query.timestamp.now()),
    unknown_plan: (await client.query.datDot.getPlanByID(4_000_000n)) ?? null,
  }
})
const startedHash = (await client.block.best()).hash

await step('accounts', async () => {
  const entries = await client.query.system.account.entries()
  return { addresses: entries.map(([account]) => account.address()) }
})

await step('fee', async () => {
  const info = await transfer().paymentInfo(keys.sr25519.address)
  return { partial_fee: info.partialFee, class: info.class, ref_time: info.weight.refTime }
})

for (const { name, scheme, mortal, tip } of scenario.transfers) {
  const mortality = mortal ? { type: 'Mortal', period: 64 } : { type: 'Immortal' }
  await step(name, () => submit(transfer(), keys[scheme], { tip: BigInt(tip), mortality }))
}

await step('received', async () => {
  const account = await client.query.system.account(scenario.recipient)
  return { free: account.data.free, nonce: account.nonce }
})

await step('token_error', () => submit(transfer(1n << 100n), keys.sr25519))

// Integers of 64 bits and more are BigInt to dedot; optional values left out are undefined.
const market = camelKeys(scenario.market)
const publishPlan = () => {
  const { plan, components, deposit } = market.publishPlan
  const program = plan.program.map((entry) => ({ ...entry, datasets: entry.datasets.map(BigInt) }))
  const datasets = components.datasets.map((dataset) => ({
    ...dataset,
    feed: BigInt(dataset.feed),
    ranges: dataset.ranges.map((range) => range.map(BigInt)),
  }))
  return client.tx.datDot.publishPlan(
    { ...plan, program, prices: undefined },
    { ...components, datasets },
    BigInt(deposit),
  )
}

await step('module_error', () => submit(publishPlan(), user))

const remark = (data) => client.tx.system.remark(data)
const batchAll = (...calls) => client.tx.utility.batchAll(calls.map((one) => one.call))

await step('batch_all', () => submit(batchAll(transfer(), remark('0x646174')), keys.sr25519))
await step('batch_all_undone', () => submit(batchAll(transfer(), client.tx.sudo.sudo(remark('0x').call)), user))

await step('new_user', () => {
  const { noiseKey, signingKey, keyProofs } = market.newUser
  return submit(client.tx.datDot.newUser(noiseKey, signingKey, keyProofs), user)
})
await step('publish_feed', () => submit(client.tx.datDot.publishFeed(market.feed.key, market.feed.headProof), user))
await step('publish_plan', async () => {
  const result = await submit(publishPlan(), user)
  const published = result.events.find(({ name }) => name === 'DatDot.NewPlan')
  const plan = await client.query.datDot.getPlanByID(published.data.plan)
  return { ...result, plan: { from: plan.from, until: plan.until, state: plan.state, contracts: plan.contracts.length } }
})

// An account with an ECDSA key: it is given something, and gives it on.
const ecdsa = pairOf(scenario.ecdsa, 'ecdsa')
const give = (dest, amount) => client.tx.balances.transferAllowDeath(dest, BigInt(amount))
await step('ecdsa_funded', () => submit(give(ecdsa.address, scenario.amount), keys.sr25519))
await step('ecdsa', () => submit(give(keys.sr25519.address, scenario.amount / 2), ecdsa))

// Two of three approve a call: the first by its hash, the second with the call.
const signatories = [keys.sr25519.address, user.address, ecdsa.address]
const othersThan = (who) => sortAddresses(signatories.filter((one) => one !== who), 42)
const remarked = client.tx.system.remarkWithEvent('0x646174')
const enough = { refTime: 10_000_000_000n, proofSize: 0n }
const shared = encodeAddress(createKeyMulti(signatories, 2), 42)
const hash = client.registry.hashAsHex(remarked.callU8a)
const { approveAsMulti, asMulti } = client.tx.multisig
await step('multisig_opened', () =>
  submit(approveAsMulti(2, othersThan(keys.sr25519.address), undefined, hash, enough), keys.sr25519),
)
await step('multisig', async () => {
  const open = await client.query.multisig.multisigs([shared, hash])
  const result = await submit(asMulti(2, othersThan(user.address), open.when, remarked.call, enough), user)
  return { ...result, account: shared, depositor: open.depositor.address() }
})

// A proxy remarks for the user but cannot spend for it; a pure account is made by the user.
const { addProxy, createPure, proxy, removeProxy } = client.tx.proxy
await step('proxy_added', () => submit(addProxy(keys.sr25519.address, 'NonTransfer', 0), user))
await step('proxied', () => submit(proxy(user.address, undefined, remarked.call), keys.sr25519))
await step('proxy_limited', () =>
  submit(proxy(user.address, 'NonTransfer', batchAll(transfer(1n)).call), keys.sr25519),
)
await step('proxy_removed', () => submit(removeProxy(keys.sr25519.address, 'NonTransfer', 0), user))
await step('pure', () => submit(createPure('Any', 0, 0), user))

await step('at', async () => {
  const past = await client.at(kind === LegacyClient ? startedHash : (await client.block.best()).hash)
  const account = await past.query.system.account(scenario.recipient)
  return { number: await past.query.system.number(), free: account.data.free }
})

await step('heads', async () => ({
  numbers: await take((callback) => client.block.finalized(callback), 3, (block) => block.number),
}))

await step('storage_subscription', async () => ({
  seen: await take((callback) => client.query.timestamp.now(callback), 3, Number),
}))

await step('runtime_api', async () => ({
  user: await client.call.datDotApi.getUserIdByNoiseKey(scenario.market.new_user.noise_key),
  feed: await client.call.datDotApi.getFeedByKey(scenario.market.feed.key),
  unknown: (await client.call.datDotApi.getPlanById(4_000_000n)) ?? null,
}))

await step('refused', async () => {
  try {
    await submit(transfer(1n), pairOf(scenario.stranger))
    return { message: null }
  } catch (error) {
    return { code: error.code, message: error.message }
  }
})

await client.disconnect()
report('done', {})
process.exit(0)
