// The scenario with PAPI (polkadot-api), over chainHead_v1 and its relatives, or over the legacy methods where the
// scenario says so, or with generated descriptors where it names them. See scenario.py for the steps.

import { Keyring } from '@polkadot/keyring'
import { blake2AsU8a, createKeyMulti, cryptoWaitReady, encodeAddress, sortAddresses } from '@polkadot/util-crypto'
import { Binary, createClient, Enum, InvalidTxError } from 'polkadot-api'
import { getPolkadotSigner } from 'polkadot-api/signer'
import { getWsProvider } from 'polkadot-api/ws'
import WebSocket from 'ws'

import { report, scenario, step } from './common.mjs'

await cryptoWaitReady()
const signerOf = (uri, scheme) => {
  const pair = new Keyring({ type: scheme }).addFromUri(uri)
  const name = scheme === 'sr25519' ? 'Sr25519' : 'Ed25519'
  return getPolkadotSigner(pair.publicKey, name, (payload) => pair.sign(payload))
}
const keys = { sr25519: signerOf('//Alice', 'sr25519'), ed25519: signerOf('//Alice', 'ed25519') }
const alice = new Keyring({ type: 'sr25519', ss58Format: 42 }).addFromUri('//Alice').address
const user = signerOf(scenario.user, 'sr25519')

// PAPI uses the newer methods if rpc_methods lists them: this socket takes them out of the list.
class LegacySocket extends WebSocket {
  addEventListener(type, listener, options) {
    super.addEventListener(type, type === 'message' ? ({ data }) => listener({ data: legacyOnly(data) }) : listener, options)
  }
}
const legacyOnly = (data) => {
  const message = JSON.parse(data)
  if (message.result?.methods === undefined) return data
  const methods = message.result.methods.filter((name) => !/^(chainHead|transaction|transactionWatch|archive)_v1_/.test(name))
  return JSON.stringify({ ...message, result: { methods } })
}

// What was asked of the node, to see which methods are used.
const asked = new Set()
const onlyLegacy = scenario.client === 'papi_legacy'
class CountingSocket extends (onlyLegacy ? LegacySocket : WebSocket) {
  send(data, ...rest) {
    asked.add(JSON.parse(data).method)
    super.send(data, ...rest)
  }
}

const client = createClient(getWsProvider(scenario.url, { websocketClass: CountingSocket }))
const api = scenario.descriptors
  ? client.getTypedApi((await import(scenario.descriptors)).datdot)
  : client.getUnsafeApi()

// PAPI's values as JSON: bytes in hexadecimal, enums as their type where they hold nothing.
const plain = (value) => {
  if (value instanceof Uint8Array) return Binary.toHex(value)
  if (Array.isArray(value)) return value.map(plain)
  if (value === null || typeof value !== 'object') return value
  if ('type' in value && 'value' in value && value.value === undefined) return value.type
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]))
}
const errorJson = (error) => {
  if (error === undefined) return null
  const inner = error.value
  return error.type === 'Module' ? [inner.type, inner.value.type] : [error.type, inner?.type]
}

const submit = (transaction, signer, options = {}) =>
  new Promise((resolve, reject) => {
    const statuses = []
    transaction.signSubmitAndWatch(signer, options).subscribe({
      next: (event) => {
        statuses.push(event.type)
        if (event.type !== 'finalized') return
        resolve({
          statuses,
          block: event.block.hash,
          index: event.block.index,
          events: event.events.map(({ type, value }) => ({ name: `${type}.${value.type}`, data: plain(value.value) ?? null })),
          error: errorJson(event.dispatchError),
        })
      },
      error: reject,
    })
  })

// The first items of an observable.
const take = (observable, count, value) =>
  new Promise((resolve, reject) => {
    const seen = []
    const subscription = observable.subscribe({
      next: (item) => {
        seen.push(value(item))
        if (seen.length < count) return
        setTimeout(() => subscription.unsubscribe())
        resolve(seen.slice(0, count))
      },
      error: reject,
    })
  })

const transfer = (value = BigInt(scenario.amount)) =>
  api.tx.Balances.transfer_keep_alive({ dest: Enum('Id', scenario.recipient), value })

await step('connect', async () => {
  const version = await api.constants.System.Version()
  const { name, properties } = await client.getChainSpecData()
  return { chain: name, spec: version.spec_name, token: properties.tokenSymbol, decimals: properties.tokenDecimals }
})

await step('constants', async () => ({
  ss58_prefix: await api.constants.System.SS58Prefix(),
  existential_deposit: await api.constants.Balances.ExistentialDeposit(),
  challenge_delay: await api.constants.DatDot.ChallengeDelay(),
}))

await step('storage', async () => {
  const account = await api.query.System.Account.getValue(alice)
  return {
    free: account.data.free,
    number: await api.query.System.Number.getValue(),
    now_ms: Number(await api.query.Timestamp.Now.getValue()),
    unknown_plan: (await api.query.DatDot.GetPlanByID.getValue(4_000_000n)) ?? null,
  }
})

await step('accounts', async () => {
  const entries = await api.query.System.Account.getEntries()
  return { addresses: entries.map(({ keyArgs }) => keyArgs[0]) }
})

await step('fee', async () => {
  const info = await transfer().getPaymentInfo(alice)
  return { partial_fee: info.partial_fee, class: info.class.type, ref_time: info.weight.ref_time }
})

for (const { name, scheme, mortal, tip } of scenario.transfers) {
  const mortality = mortal ? { mortal: true, period: 64 } : { mortal: false }
  await step(name, () => submit(transfer(), keys[scheme], { tip: BigInt(tip), mortality }))
}

await step('received', async () => {
  const account = await api.query.System.Account.getValue(scenario.recipient)
  return { free: account.data.free, nonce: account.nonce }
})

await step('token_error', () => submit(transfer(1n << 100n), keys.sr25519))

// Bytes of a fixed length are hexadecimal text to PAPI, others a Uint8Array.
const feedInput = (feed) => ({ key: feed.key, head_proof: Binary.fromHex(feed.head_proof) })
const { new_user: joining, feed, publish_plan: order } = scenario.market
const publishPlan = () =>
  api.tx.DatDot.publish_plan({
    plan: {
      ...order.plan,
      program: order.plan.program.map((entry) => ({ ...entry, datasets: entry.datasets.map(BigInt) })),
      prices: undefined,
    },
    components: {
      ...order.components,
      feeds: order.components.feeds.map(feedInput),
      datasets: order.components.datasets.map((dataset) => ({
        feed: BigInt(dataset.feed),
        ranges: dataset.ranges.map((range) => range.map(BigInt)),
        sizes_proofs: dataset.sizes_proofs.map((proof) => Binary.fromHex(proof)),
      })),
    },
    deposit: BigInt(order.deposit),
  })

await step('module_error', () => submit(publishPlan(), user))

const remark = () => api.tx.System.remark({ remark: Binary.fromText('dat') })
const batchAll = (...calls) => api.tx.Utility.batch_all({ calls: calls.map((call) => call.decodedCall) })

await step('batch_all', () => submit(batchAll(transfer(), remark()), keys.sr25519))
await step('batch_all_undone', () =>
  submit(batchAll(transfer(), api.tx.Sudo.sudo({ call: remark().decodedCall })), user),
)

// An account with an ECDSA key: it is given something, and gives it on.
const ecdsaPair = new Keyring({ type: 'ecdsa', ss58Format: 42 }).addFromUri(scenario.ecdsa)
const ecdsa = getPolkadotSigner(ecdsaPair.addressRaw, 'Ecdsa', (payload) => ecdsaPair.sign(payload))
const half = BigInt(scenario.amount / 2)
await step('ecdsa_funded', () =>
  submit(
    api.tx.Balances.transfer_keep_alive({ dest: Enum('Id', ecdsaPair.address), value: BigInt(scenario.amount) }),
    keys.sr25519,
  ),
)
await step('ecdsa', () =>
  submit(api.tx.Balances.transfer_allow_death({ dest: Enum('Id', alice), value: half }), ecdsa),
)

// Two of three approve a call: the first by its hash, the second with the call.
const userAddress = new Keyring({ type: 'sr25519', ss58Format: 42 }).addFromUri(scenario.user).address
const signatories = [alice, userAddress, ecdsaPair.address]
const multisigOf = (who) => ({
  threshold: 2,
  other_signatories: sortAddresses(signatories.filter((one) => one !== who), 42),
  max_weight: { ref_time: 10_000_000_000n, proof_size: 0n },
})
const remarked = api.tx.System.remark_with_event({ remark: Binary.fromText('dat') })
const shared = encodeAddress(createKeyMulti(signatories, 2), 42)
const hash = Binary.toHex(blake2AsU8a(await remarked.getEncodedData()))
await step('multisig_opened', () =>
  submit(
    api.tx.Multisig.approve_as_multi({ ...multisigOf(alice), maybe_timepoint: undefined, call_hash: hash }),
    keys.sr25519,
  ),
)
await step('multisig', async () => {
  const open = await api.query.Multisig.Multisigs.getValue(shared, hash)
  const call = remarked.decodedCall
  const result = await submit(
    api.tx.Multisig.as_multi({ ...multisigOf(userAddress), maybe_timepoint: open.when, call }),
    user,
  )
  return { ...result, account: shared, depositor: open.depositor }
})

// A proxy remarks for the user but cannot spend for it; a pure account is made by the user.
const proxied = (call, force_proxy_type) =>
  api.tx.Proxy.proxy({ real: Enum('Id', userAddress), force_proxy_type, call: call.decodedCall })
const limited = { delegate: Enum('Id', alice), proxy_type: Enum('NonTransfer'), delay: 0 }
await step('proxy_added', () => submit(api.tx.Proxy.add_proxy(limited), user))
await step('proxied', () => submit(proxied(remarked), keys.sr25519))
await step('proxy_limited', () => submit(proxied(batchAll(transfer(1n)), Enum('NonTransfer')), keys.sr25519))
await step('proxy_removed', () => submit(api.tx.Proxy.remove_proxy(limited), user))
await step('pure', () => submit(api.tx.Proxy.create_pure({ proxy_type: Enum('Any'), delay: 0, index: 0 }), user))

await step('new_user', () => submit(api.tx.DatDot.new_user(joining), user))
await step('publish_feed', () => submit(api.tx.DatDot.publish_feed(feedInput(feed)), user))
await step('publish_plan', async () => {
  const result = await submit(publishPlan(), user)
  const published = result.events.find(({ name }) => name === 'DatDot.NewPlan')
  const plan = await api.query.DatDot.GetPlanByID.getValue(published.data.plan)
  return {
    ...result,
    plan: { from: plan.from, until: plan.until, state: plan.state.type, contracts: plan.contracts.length },
  }
})

await step('heads', async () => ({ numbers: await take(client.finalizedBlock$, 3, (block) => block.number) }))

await step('storage_subscription', async () => ({
  seen: await take(api.query.Timestamp.Now.watchValue({ at: 'best' }), 3, ({ value }) => Number(value)),
}))

await step('at', async () => {
  const { hash } = await (await client.getBestBlocks()).at(-1)
  const account = await api.query.System.Account.getValue(scenario.recipient, { at: hash })
  return { number: await api.query.System.Number.getValue({ at: hash }), free: account.data.free }
})

await step('runtime_api', async () => ({
  user: await api.apis.DatDotApi.get_user_id_by_noise_key(scenario.market.new_user.noise_key),
  feed: await api.apis.DatDotApi.get_feed_by_key(scenario.market.feed.key),
  unknown: (await api.apis.DatDotApi.get_plan_by_id(4_000_000n)) ?? null,
}))

// Follows all entries of a map while one is added. It needs Merkle values, which the legacy methods do not have.
if (!onlyLegacy) {
  await step('watch_entries', () =>
    new Promise((resolve, reject) => {
      let before = null
      const subscription = api.query.System.Account.watchEntries({ at: 'best' }).subscribe({
        next: ({ entries, deltas }) => {
          if (before === null) {
            before = entries.length
            const call = api.tx.Balances.transfer_keep_alive({ dest: Enum('Id', scenario.watched), value: BigInt(scenario.amount) })
            submit(call, keys.sr25519).catch(reject)
          }
          const added = deltas?.upserted.find(({ args }) => args[0] === scenario.watched)
          if (added === undefined || entries.length <= before) return
          setTimeout(() => subscription.unsubscribe())
          resolve({ before, after: entries.length, free: added.value.data.free })
        },
        error: reject,
      })
    }),
  )
}

await step('refused', async () => {
  try {
    await submit(transfer(1n), signerOf(scenario.stranger, 'sr25519'))
    return { message: null }
  } catch (error) {
    return { kind: error instanceof InvalidTxError ? error.error : null, message: `${error}` }
  }
})

await step('methods', async () => ({ asked: [...asked].filter((name) => name !== undefined).sort() }))

client.destroy()
report('done', {})
process.exit(0)
