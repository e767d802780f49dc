"""`archive_v1_*`: blocks and states of the past, and what is said where history ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from node.rpc import errors
from runtime.crypto import blake2_256, twox128
from tests.node.chain.conftest import ALICE, AUTHORITIES, DAVE, SLOT_MS, Node
from tests.node.rpc.conftest import WINDOW_BLOCKS, RpcClient, RpcNode

NUMBER_KEY = "0x" + (twox128(b"System") + twox128(b"Number")).hex()
ACCOUNTS = "0x" + (twox128(b"System") + twox128(b"Account")).hex()
UNKNOWN = "0x" + "22" * 32
NOTIFIES = {"archive_v1_storage": "archive_v1_storageEvent", "archive_v1_storageDiff": "archive_v1_storageDiffEvent"}


async def events_of(client: RpcClient, name: str, *params: Any) -> list[Any]:
    """All events of a subscription up to its end, the last one included."""
    subscription = await client.result(name, *params)
    found: list[Any] = []
    while not found or not found[-1]["event"].endswith(("Done", "Error")):
        found.append(await client.next(subscription, NOTIFIES[name]))
    assert await client.is_quiet()
    return found


async def test_blocks_are_found_by_height_and_hash(rpc: RpcNode) -> None:
    rpc.node.transactions.submit(rpc.node.transfer(ALICE, DAVE))
    head = await rpc.author()
    await rpc.author(WINDOW_BLOCKS + 2)
    block = f"0x{head.hash.hex()}"
    assert await rpc.call("archive_v1_finalizedHeight") == WINDOW_BLOCKS + 3
    assert await rpc.call("archive_v1_genesisHash") == await rpc.call("chain_getBlockHash", 0)
    assert await rpc.call("archive_v1_hashByHeight", 1) == [block]
    assert await rpc.call("archive_v1_hashByHeight", 99) == []
    assert await rpc.call("archive_v1_header", block) == f"0x{head.encode().hex()}"
    legacy = await rpc.call("chain_getBlock", block)
    assert await rpc.call("archive_v1_body", block) == legacy["block"]["extrinsics"]


async def test_unknown_blocks_are_null(rpc: RpcNode) -> None:
    assert await rpc.call("archive_v1_header", UNKNOWN) is None
    assert await rpc.call("archive_v1_body", UNKNOWN) is None
    assert await rpc.call("archive_v1_call", UNKNOWN, "Core_version", "0x") is None


async def test_above_the_finalized_block_every_fork_is_named(tmp_path: Path) -> None:
    rpc = RpcNode(tmp_path / "one", AUTHORITIES)
    other = Node(tmp_path / "two", rpc.clock, spec=rpc.spec)
    try:
        rpc.clock.time_ms += SLOT_MS
        fork = await other.author.author_block()
        assert fork is not None
        best = await rpc.author()
        await rpc.node.receive(other.block(fork.hash))
        await rpc.author()
        expected = [f"0x{best.hash.hex()}", f"0x{fork.hash.hex()}"]
        assert await rpc.call("archive_v1_hashByHeight", 1) == expected
    finally:
        other.store.close()
        rpc.node.store.close()


async def test_calls_are_answered_at_their_block(rpc: RpcNode) -> None:
    genesis = await rpc.call("archive_v1_genesisHash")
    name, account = "AccountNonceApi_account_nonce", f"0x{ALICE.account_id.hex()}"
    rpc.node.transactions.submit(rpc.node.transfer(ALICE, DAVE))
    head = await rpc.author()
    after = {"success": True, "value": "0x01000000"}
    assert await rpc.call("archive_v1_call", f"0x{head.hash.hex()}", name, account) == after
    assert (await rpc.call("archive_v1_call", genesis, name, account))["value"] == "0x00000000"
    for function, data in (("Core_nothing", "0x"), (name, "0x00")):
        refused = await rpc.call("archive_v1_call", genesis, function, data)
        assert refused["success"] is False
        assert function in refused["error"]


async def test_storage_is_told_entry_by_entry(rpc: RpcNode) -> None:
    await rpc.author(2)
    block = f"0x{rpc.node.best.hash.hex()}"
    keys = await rpc.call("state_getKeysPaged", ACCOUNTS, 1_000)
    async with rpc.client() as client:
        items = [{"key": NUMBER_KEY, "type": "value"}, {"key": UNKNOWN, "type": "hash"}]
        events = await events_of(client, "archive_v1_storage", block, items)
        assert events == [{"event": "storage", "key": NUMBER_KEY, "value": "0x02000000"}, {"event": "storageDone"}]
        items = [{"key": ACCOUNTS, "type": "descendantsHashes", "paginationStartKey": keys[0]}]
        *entries, _ = await events_of(client, "archive_v1_storage", block, items)
        assert [entry["key"] for entry in entries] == keys[1:]
        merkle = [{"key": "0x", "type": "closestDescendantMerkleValue"}]
        (root, _) = await events_of(client, "archive_v1_storage", block, merkle)
        assert root["closestDescendantMerkleValue"] == f"0x{rpc.node.best.state_root.hex()}"
        assert await events_of(client, "archive_v1_storage", block, items, "0x00") == [{"event": "storageDone"}]


async def test_the_error_names_the_window_of_kept_states(rpc: RpcNode) -> None:
    genesis = await rpc.call("archive_v1_genesisHash")
    await rpc.author(WINDOW_BLOCKS + 3)
    kept = f"blocks 3 to {WINDOW_BLOCKS + 3}"
    refused = await rpc.call("archive_v1_call", genesis, "AuraApi_authorities", "0x")
    assert refused["success"] is False
    assert kept in refused["error"]
    async with rpc.client() as client:
        for block in (genesis, UNKNOWN):
            (error,) = await events_of(client, "archive_v1_storage", block, [{"key": "0x", "type": "value"}])
            assert error["event"] == "storageError"
            assert (kept if block == genesis else UNKNOWN) in error["error"]
            items = [{"key": "0x", "returnType": "value"}]
            (error,) = await events_of(client, "archive_v1_storageDiff", block, items)
            assert error["event"] == "storageDiffError"


async def test_a_difference_names_what_was_added_modified_and_deleted(rpc: RpcNode) -> None:
    first = await rpc.author()
    rpc.node.transactions.submit(rpc.node.transfer(ALICE, DAVE))
    second = await rpc.author()
    old, new = f"0x{first.hash.hex()}", f"0x{second.hash.hex()}"
    before, after = rpc.node.pairs(first.hash), rpc.node.pairs(second.hash)
    expected = {
        f"0x{key.hex()}": "added" if key not in before else "deleted" if key not in after else "modified"
        for key in {*before, *after}
        if before.get(key) != after.get(key)
    }
    items = [{"key": "0x", "returnType": "value"}]
    async with rpc.client() as client:
        *changes, _ = await events_of(client, "archive_v1_storageDiff", new, items)
        assert {change["key"]: change["type"] for change in changes} == expected
        assert [change["key"] for change in changes] == sorted(expected)
        for change in changes:
            value = after.get(bytes.fromhex(change["key"][2:]))
            assert change.get("value") == (None if value is None else f"0x{value.hex()}")
        *back, _ = await events_of(client, "archive_v1_storageDiff", old, items, new)
        turned = {"added": "deleted", "deleted": "added", "modified": "modified"}
        assert {change["key"]: turned[change["type"]] for change in back} == expected
        hashed = [{"key": NUMBER_KEY, "returnType": "hash"}, {"key": "0x", "returnType": "hash", "childTrieKey": "0x"}]
        (only, _) = await events_of(client, "archive_v1_storageDiff", new, hashed)
        assert only["hash"] == "0x" + blake2_256(bytes([2, 0, 0, 0])).hex()
        assert await events_of(client, "archive_v1_storageDiff", new, items, new) == [{"event": "storageDiffDone"}]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("archive_v1_hashByHeight", [-1]),
        ("archive_v1_header", ["0x12"]),
        ("archive_v1_storage", [UNKNOWN]),
        ("archive_v1_storage", [UNKNOWN, [{"key": "0x", "type": "all"}]]),
        ("archive_v1_storage", [UNKNOWN, [{"key": "0x", "type": "descendantsValues", "paginationStartKey": 1}]]),
        ("archive_v1_storageDiff", [UNKNOWN, [{"key": "0x"}]]),
        ("archive_v1_storageDiff", [UNKNOWN, [{"key": "0x", "returnType": "both"}]]),
        ("archive_v1_storageDiff", [UNKNOWN, [{"key": "0x", "returnType": "hash", "more": 1}]]),
        ("archive_v1_storageDiff", [UNKNOWN, ["0x"]]),
    ],
)
async def test_malformed_questions_are_refused(rpc: RpcNode, name: str, params: list[Any]) -> None:
    async with rpc.client() as client:
        assert await client.code(name, *params) == errors.INVALID_PARAMS
