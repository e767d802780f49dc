"""`dev_*`: blocks on demand, moved time, written state, an earlier head; and that everything can be executed again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.rpc import errors
from node.rpc.methods.every import registry_of
from runtime.crypto import blake2_128, ss58_encode, twox128
from runtime.header import Block
from runtime.transition import execute_block
from tests.node.chain.conftest import BOB, DAVE, START_MS
from tests.node.rpc.conftest import WINDOW_BLOCKS, RpcNode

ACCOUNTS = (twox128(b"System") + twox128(b"Account")).hex()
NOBODY = bytes(range(32))
NOBODY_SS58 = ss58_encode(NOBODY)
NOW = "0x" + (twox128(b"Timestamp") + twox128(b"Now")).hex()


@pytest.fixture
def dev(rpc: RpcNode) -> RpcNode:
    rpc.trusted = True
    return rpc


def account_key(account: bytes) -> str:
    return f"0x{ACCOUNTS}{blake2_128(account).hex()}{account.hex()}"


async def number(dev: RpcNode) -> int:
    return int((await dev.call("chain_getHeader"))["number"], 16)


def assert_executes_again(dev: RpcNode) -> None:
    """Every block whose parent's state is kept gives the same root."""
    store, header = dev.node.store, dev.node.best
    while header.number > 0 and store.has_state(header.parent_hash):
        parent, body = store.required_header(header.parent_hash), store.body(header.hash)
        assert body is not None
        view = store.state(parent.hash)
        execute_block(dev.node.runtime, parent, view, Block(header, body), store.get_node)
        header = parent


async def test_blocks_are_made_on_demand(dev: RpcNode) -> None:
    assert await dev.call("dev_newBlock") == await dev.call("chain_getBlockHash", 1)
    assert await dev.call("dev_newBlock", {"count": 3}) == await dev.call("chain_getBlockHash", 4)
    assert await dev.call("dev_newBlock", {"to": 6}) == await dev.call("chain_getBlockHash", 6)
    assert await number(dev) == 6
    assert_executes_again(dev)


async def test_given_transactions_are_in_the_block(dev: RpcNode) -> None:
    extrinsic = f"0x{dev.node.transfer(BOB, DAVE).hex()}"
    for _ in range(2):
        await dev.node.author.author_block()
    block = await dev.call("dev_newBlock", {"transactions": [extrinsic]})
    assert extrinsic in (await dev.call("chain_getBlock", block))["block"]["extrinsics"]
    error = await dev.error("dev_newBlock", {"transactions": [extrinsic]})
    assert error["code"] in (errors.INVALID_TRANSACTION, errors.TEMPORARILY_BANNED)
    assert (await dev.error("dev_newBlock", {"transactions": ["0x0400"]}))["code"] == errors.VERIFICATION_FAILED


@pytest.mark.parametrize(
    "options",
    [{"count": 0}, {"count": 10**6}, {"count": "x"}, {"to": 0}, {"to": 10**7}, {"unsafeBlockHeight": 9}, {"dmp": []}],
)
async def test_blocks_that_cannot_be_made_are_refused(dev: RpcNode, options: Any) -> None:
    assert (await dev.error("dev_newBlock", options))["code"] == errors.INVALID_PARAMS
    assert await number(dev) == 0


@pytest.mark.parametrize(
    ("date", "time_ms"), [(START_MS + 10**9, START_MS + 10**9), ("2030-01-01T00:00:00Z", 1_893_456_000_000)]
)
async def test_the_next_block_has_the_time_that_was_travelled_to(dev: RpcNode, date: Any, time_ms: int) -> None:
    await dev.call("dev_newBlock")
    assert await dev.call("dev_timeTravel", date) == time_ms
    for _ in range(2):
        await dev.call("dev_newBlock")
    stated = int.from_bytes(bytes.fromhex((await dev.call("state_getStorage", NOW))[2:]), "little")
    assert time_ms <= stated < time_ms + 3_000
    assert_executes_again(dev)


@pytest.mark.parametrize("date", [0, "1999-12-31", "yesterday", -1, {}, True, None])
async def test_time_does_not_go_back(dev: RpcNode, date: Any) -> None:
    await dev.call("dev_newBlock")
    assert (await dev.error("dev_timeTravel", date))["code"] == errors.INVALID_PARAMS


async def test_raw_storage_is_written_and_killed_in_blocks(dev: RpcNode) -> None:
    block = await dev.call("dev_setStorage", [["0x1234", "0x56"], ["0x12", "0x01"]])
    assert block == await dev.call("chain_getBlockHash", 1)
    assert await dev.call("state_getStorage", "0x1234") == "0x56"
    await dev.call("dev_setStorage", [["0x1234", None], ["0x12", "0x02"]])
    assert await dev.call("state_getStorage", "0x1234") is None
    assert await dev.call("state_getStorage", "0x12") == "0x02"
    assert_executes_again(dev)


async def test_storage_is_written_by_names_as_in_chopsticks(dev: RpcNode) -> None:
    account = {"providers": 1, "data": {"free": "1000000000000"}}
    values = {"System": {"Account": [[[NOBODY_SS58], account]]}, "Sudo": {"Key": ss58_encode(BOB.account_id)}}
    await dev.call("dev_setStorage", values)
    stored = bytes.fromhex((await dev.call("state_getStorage", account_key(NOBODY)))[2:])
    assert int.from_bytes(stored[16:32], "little") == 10**12
    assert len(stored) == 80
    error = await dev.error("dev_setStorage", [["0x01", "0x01"]])
    assert "not the chain's sudo key" in error["message"]
    assert_executes_again(dev)


async def test_entries_and_whole_items_are_removed_by_names(dev: RpcNode) -> None:
    entries = [[[f"0x{bytes([byte] * 32).hex()}"], {"data": {"free": 1}}] for byte in range(1, 4)]
    await dev.call("dev_setStorage", {"system": {"account": entries}})
    assert await dev.call("state_getStorage", account_key(bytes([1] * 32)))
    await dev.call("dev_setStorage", {"System": {"Account": [[entries[0][0], None]]}})
    assert await dev.call("state_getStorage", account_key(bytes([1] * 32))) is None
    hashes = "0x" + (twox128(b"System") + twox128(b"LastRuntimeUpgrade")).hex()
    assert await dev.call("state_getKeysPaged", hashes, 10) == [hashes]
    await dev.call("dev_setStorage", {"System": {"$removePrefix": ["LastRuntimeUpgrade"]}})
    assert await dev.call("state_getKeysPaged", hashes, 10) == []
    assert_executes_again(dev)


@pytest.mark.parametrize(
    "values",
    [
        [["0x", "0x01"]],
        [["0x01", "0x"]],
        [["0x" + "00" * 512, "0x01"]],
        [[f"0x{ACCOUNTS}{'00' * 48}", "0x01"]],
        [["0x01"]],
        [],
        {},
        {"Nothing": {}},
        {"System": {"Nothing": 1}},
        {"System": []},
        {"System": {"Account": {}}},
        {"System": {"Account": [[NOBODY_SS58, {}]]}},
        {"System": {"Account": [[[NOBODY_SS58, 1], {}]]}},
        {"System": {"Account": [[[NOBODY_SS58], {"unknown": 1}]]}},
        {"System": {"Account": [[[NOBODY_SS58], {"nonce": 2**32}]]}},
        {"System": {"Number": "x"}},
        {"System": {"$removePrefix": ["Nothing"]}},
    ],
)
async def test_what_cannot_be_stored_is_refused_before_any_block(dev: RpcNode, values: Any) -> None:
    assert (await dev.error("dev_setStorage", values))["code"] in (errors.INVALID_PARAMS, 1)
    assert await number(dev) == 0
    assert await dev.call("author_pendingExtrinsics") == []


async def test_storage_is_written_on_the_head_only(dev: RpcNode) -> None:
    await dev.call("dev_newBlock", {"count": 2})
    first, head = await dev.call("chain_getBlockHash", [1, 2])
    assert (await dev.error("dev_setStorage", [["0x01", "0x01"]], first))["code"] == errors.INVALID_PARAMS
    await dev.call("dev_setStorage", [["0x01", "0x01"]], head)


async def test_an_earlier_head_is_built_upon(dev: RpcNode) -> None:
    transfer = dev.node.transfer(BOB, DAVE)
    await dev.call("dev_newBlock", {"count": 2})
    before = dev.node.pairs(dev.node.best.hash)
    await dev.call("dev_newBlock", {"transactions": [f"0x{transfer.hex()}"], "count": 2})
    left = await dev.call("chain_getBlockHash", 3)
    assert await dev.call("dev_setHead", 2) is None
    assert await number(dev) == 2
    assert await dev.call("chain_getFinalizedHead") == await dev.call("chain_getBlockHash")
    assert dev.node.pairs(dev.node.best.hash) == before
    assert await dev.call("author_pendingExtrinsics") == [f"0x{transfer.hex()}"]
    dev.clock.time_ms += 60_000
    await dev.call("dev_newBlock", {"count": 3})
    assert await number(dev) == 5
    assert await dev.call("chain_getBlockHash", 3) != left
    await dev.call("dev_setHead", left)
    assert await dev.call("chain_getBlockHash") == left
    assert_executes_again(dev)


async def test_clients_hear_of_an_earlier_head(dev: RpcNode) -> None:
    await dev.call("dev_newBlock", {"count": 3})
    async with dev.client() as client:
        heads = await client.result("chain_subscribeNewHeads")
        await client.message()
        finalized = await client.result("chain_subscribeFinalizedHeads")
        await client.message()
        follow = await client.result("chainHead_v1_follow", False)
        for _ in range(2):
            await client.message()
        await dev.call("dev_setHead", 1)
        seen = [await client.message() for _ in range(2)]
        told = {one["params"]["subscription"]: one["params"]["result"] for one in seen}
        assert told[heads]["number"] == "0x1"
        assert told[follow] == {"event": "stop"}
        await dev.call("dev_newBlock")
        seen = [await client.message() for _ in range(2)]
        told = {one["params"]["subscription"]: one["params"]["result"]["number"] for one in seen}
        assert told == {heads: "0x2", finalized: "0x2"}


@pytest.mark.parametrize("head", [99, "0x" + "00" * 32, "0x12", None])
async def test_a_head_that_is_not_there_is_refused(dev: RpcNode, head: Any) -> None:
    assert "error" in await dev.answer("dev_setHead", head)
    assert await number(dev) == 0


async def test_the_head_stays_within_the_window_of_states(dev: RpcNode) -> None:
    await dev.call("dev_newBlock", {"count": WINDOW_BLOCKS + 2})
    error = await dev.error("dev_setHead", 1)
    assert "keeps the states of blocks 2 to" in error["message"]
    assert await dev.call("dev_setHead", 2) is None


async def test_a_node_that_cannot_author_says_so(dev: RpcNode) -> None:
    dev.node.author._keys.clear()
    for name, params in (("dev_newBlock", []), ("dev_setStorage", [[["0x01", "0x01"]]])):
        assert "made no block" in (await dev.error(name, *params))["message"]


async def test_other_chains_have_no_such_methods(rpc: RpcNode) -> None:
    registry = registry_of(replace(rpc.backend, development=None, offchain=None))
    assert not [name for name in registry.names() if name.startswith(("dev_", "offchain_"))]
