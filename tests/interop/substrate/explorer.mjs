// What the pages of polkadot.js Apps ask of a node: explorer, accounts, extrinsic form, storage browser, constants,
// runtime calls, raw RPC. See test_explorer.py for what is expected.

import { ApiPromise, Keyring, WsProvider } from '@polkadot/api'

import { report, scenario, step } from './common.mjs'

const ENTRIES_PER_MAP = 20
const api = await ApiPromise.create({
  provider: new WsProvider(scenario.url),
  throwOnConnect: true,
  throwOnUnknown: true,
})
const raw = (method, ...params) => api._rpcCore.provider.send(method, params)
const alice = new Keyring({ type: 'sr25519' }).addFromUri('//Alice')

// The first `count` values that a subscription gives.
const first = (count, subscribe) =>
  new Promise((resolve, reject) => {
    const seen = []
    const unsubscribe = subscribe((value) => {
      seen.push(value)
      if (seen.length === count) unsubscribe.then((end) => end()).then(() => resolve(seen), reject)
    })
    unsubscribe.catch(reject)
  })

await step('explorer', async () => {
  const heads = await first(3, (each) => api.derive.chain.subscribeNewHeads(each))
  const [best] = await first(1, (each) => api.derive.chain.bestNumber(each))
  const [finalized] = await first(1, (each) => api.derive.chain.bestNumberFinalized(each))
  const [blocks] = await first(1, (each) => api.derive.chain.subscribeNewBlocks(each))
  const [session] = await first(1, (each) => api.derive.session.progress(each))
  const [issuance] = await first(1, (each) => api.query.balances.totalIssuance(each))
  return {
    numbers: heads.map((head) => head.number.toNumber()),
    authors: heads.map((head) => `${head.author}`),
    best: best.toNumber(),
    finalized: finalized.toNumber(),
    extrinsics: blocks.extrinsics.length,
    issuance: issuance.toBigInt(),
    session: session.currentIndex.toNumber(),
    period: api.consts.timestamp.minimumPeriod.toNumber(),
  }
})

await step('block', async () => {
  const sent = await new Promise((resolve, reject) => {
    api.tx.system
      .remarkWithEvent('0x1234')
      .signAndSend(alice, (result) => result.status.isInBlock && resolve(result.status.asInBlock))
      .catch(reject)
  })
  const block = await api.derive.chain.getBlock(sent)
  const again = await api.derive.chain.getBlockByNumber(block.block.header.number.unwrap())
  const header = await api.derive.chain.getHeader(sent)
  const remark = block.extrinsics.find(({ extrinsic }) => extrinsic.method.method === 'remarkWithEvent')
  return {
    author: `${block.author}`,
    header_author: `${header.author}`,
    same: again.block.hash.eq(sent),
    signer: `${remark.extrinsic.signer}`,
    failed: remark.dispatchError !== undefined,
    fee_class: `${remark.dispatchInfo.class}`,
    events: remark.events.map((event) => `${event.section}.${event.method}`),
    timestamp: block.extrinsics[0].extrinsic.method.toHuman().method,
  }
})

await step('node', async () => ({
  name: `${await api.rpc.system.name()}`,
  version: `${await api.rpc.system.version()}`,
  chain_type: (await api.rpc.system.chainType()).type,
  health: (await api.rpc.system.health()).toJSON(),
  peers: (await api.rpc.system.peers()).toJSON(),
  roles: (await api.rpc.system.nodeRoles()).map((role) => role.type),
  sync: (await api.rpc.system.syncState()).toJSON(),
  peer_id: `${await api.rpc.system.localPeerId()}`,
  addresses: (await api.rpc.system.localListenAddresses()).map(String),
  pending: (await api.rpc.author.pendingExtrinsics()).length,
  methods: (await api.rpc.rpc.methods()).methods.length,
}))

await step('accounts', async () => {
  const listed = await api.query.system.account.entriesPaged({ args: [], pageSize: 10 })
  const [balances] = await first(1, (each) => api.derive.balances.all(alice.address, each))
  const [account] = await first(1, (each) => api.derive.balances.account(alice.address, each))
  const [info] = await first(1, (each) => api.derive.accounts.info(alice.address, each))
  const signing = await api.derive.tx.signingInfo(alice.address, undefined, undefined)
  return {
    listed: listed.length,
    free: balances.freeBalance.toBigInt(),
    transferable: (balances.transferable ?? balances.availableBalance).toBigInt(),
    locked: balances.lockedBalance.toBigInt(),
    nonce: account.accountNonce.toNumber(),
    info: `${info.accountId}`,
    signing_nonce: signing.nonce.toNumber(),
    mortal_length: signing.mortalLength,
  }
})

// Every call with the values that the form begins with, encoded and read back.
await step('extrinsics', async () => {
  const built = {}
  for (const [section, calls] of Object.entries(api.tx)) {
    for (const [method, build] of Object.entries(calls)) {
      const extrinsic = build(...build.meta.args.map(({ type }) => api.createType(`${type}`)))
      const decoded = api.createType('Call', extrinsic.method.toHex())
      built[`${section}.${method}`] = decoded.toHex() === extrinsic.method.toHex() && decoded.toHuman() !== null
    }
  }
  const info = await api.tx.system.remark('0x00').paymentInfo(alice)
  return { built, fee: info.partialFee.toBigInt() }
})

await step('storage', async () => {
  const read = {}
  const values = {}
  for (const [section, items] of Object.entries(api.query)) {
    for (const [name, item] of Object.entries(items)) {
      if (section === 'substrate' || name === 'palletVersion') continue // the client's own additions
      if (item.creator.meta.type.isPlain) {
        const value = await item()
        values[`${section}.${name}`] = value.toHuman() !== undefined
      } else {
        const depth = item.creator.meta.type.asMap.hashers.length
        const keys = await item.keysPaged({ args: [], pageSize: ENTRIES_PER_MAP })
        const entries = await item.entriesPaged({ args: [], pageSize: ENTRIES_PER_MAP })
        const readable = entries.every(([key, value]) => key.toHuman().length === depth && value.toHuman() !== undefined)
        const single = keys.length === 0 || (await item(...keys[0].args)).toHex() === entries[0][1].toHex()
        read[`${section}.${name}`] = readable && single && keys.length === entries.length ? entries.length : null
      }
    }
  }
  return { values, maps: read }
})

await step('constants', async () => {
  const shown = {}
  for (const [section, constants] of Object.entries(api.consts)) {
    for (const [name, value] of Object.entries(constants)) {
      shown[`${section}.${name}`] = value.toHuman() !== undefined && value.meta.docs.length > 0
    }
  }
  return { shown }
})

// Every event of the last blocks, decoded with its documentation; and every error and event that the metadata knows.
await step('events', async () => {
  const names = new Set()
  const head = (await api.rpc.chain.getHeader()).number.toNumber()
  for (let number = Math.max(head - 30, 1); number <= head; number++) {
    const records = await (await api.at(await api.rpc.chain.getBlockHash(number))).query.system.events()
    for (const { event, phase } of records) {
      event.toHuman()
      if (phase.toHuman() === undefined || event.meta.docs.length === 0) throw new Error(`${event.section}.${event.method}`)
      names.add(`${event.section}.${event.method}`)
    }
  }
  const count = (groups) => Object.values(groups).reduce((sum, group) => sum + Object.keys(group).length, 0)
  return { seen: [...names].sort(), events: count(api.events), errors: count(api.errors) }
})

await step('runtime', async () => {
  const call = api.tx.balances.transferKeepAlive(alice.address, 1).method
  const info = await api.call.transactionPaymentCallApi.queryCallInfo(call, 100)
  const version = await api.call.core.version()
  const inherents = await api.call.blockBuilder.inherentExtrinsics({ data: new Map() })
  return {
    apis: Object.fromEntries(Object.entries(api.call).map(([name, methods]) => [name, Object.keys(methods).length])),
    listed: api.runtimeVersion.apis.length,
    fee: `${info.partialFee}`,
    spec: `${version.specName}`,
    inherents: inherents.length,
    unknown_plan: (await api.call.datDotApi.getPlanById(4_000_000)).isNone,
  }
})

await step('raw', async () => {
  const before = (await api.rpc.chain.getHeader()).number.toNumber()
  const made = await raw('dev_newBlock', { count: 2 })
  const written = await raw('dev_setStorage', { System: { Account: [[[scenario.nobody], { data: { free: '12345' } }]] } })
  const account = await (await api.at(written)).query.system.account(scenario.nobody)
  const body = (await api.rpc.chain.getBlock(written)).block.extrinsics
  const trace = await raw('datdot_traceExtrinsic', written, body.length - 1)
  const proof = await raw('datdot_getProof', [api.query.system.account.key(scenario.nobody)], written)
  const refused = await raw('system_accountNextIndex', 'nobody').catch((error) => error.code)
  return {
    blocks: (await api.rpc.chain.getHeader(made)).number.toNumber() - before,
    free: account.data.free.toNumber(),
    traced: trace.calls.map(({ pallet, call }) => `${pallet}.${call}`),
    proof,
    state_root: (await api.rpc.chain.getHeader(written)).stateRoot.toHex(),
    refused,
  }
})

await api.disconnect()
report('done', {})
