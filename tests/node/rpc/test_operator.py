"""What an operator changes while the node runs: keys, reserved peers, log levels; and the off-chain store."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from node.net.identity import peer_id_of
from node.rpc import errors
from tests.node.chain.conftest import ALICE, BOB, CHARLIE
from tests.node.rpc.conftest import FakeNetwork, RpcNode

PEER = peer_id_of(bytes(31) + b"\1")
BOB_HEX = f"0x{BOB.public_key.hex()}"


@pytest.fixture
def operator(rpc: RpcNode) -> RpcNode:
    rpc.trusted = True
    return rpc


async def test_an_inserted_key_is_there_and_seals_blocks(operator: RpcNode) -> None:
    assert await operator.call("author_hasKey", BOB_HEX, "aura") is False
    assert await operator.call("author_insertKey", "aura", "//Bob", BOB_HEX) is None
    assert await operator.call("author_hasKey", BOB_HEX, "aura") is True
    assert await operator.call("author_hasKey", BOB_HEX, "gran") is False
    assert await operator.call("author_hasKey", "0x12", "aura") is False
    assert BOB.account_id in operator.node.author._keys


@pytest.mark.parametrize(
    "params",
    [
        ["aura", "//Bob", "0x12"],
        ["aura", "//Charlie", BOB_HEX],
        ["gran", "//Bob", BOB_HEX],
        ["au", "//Bob", BOB_HEX],
        ["äura", "//Bob", BOB_HEX],
        ["aura", "bad phrase", BOB_HEX],
    ],
)
async def test_a_key_that_does_not_fit_is_refused_without_its_secret(operator: RpcNode, params: list[Any]) -> None:
    error = await operator.error("author_insertKey", *params)
    assert error["code"] == errors.INVALID_PARAMS
    assert params[1] not in str(error)


async def test_rotated_keys_are_new_stored_and_known(operator: RpcNode) -> None:
    first, second = [await operator.call("author_rotateKeys") for _ in range(2)]
    assert first != second
    for keys in (first, second):
        assert await operator.call("author_hasSessionKeys", keys) is True
    assert await operator.call("author_hasSessionKeys", f"0x{CHARLIE.public_key.hex()}") is False
    assert await operator.call("author_hasSessionKeys", f"0x{ALICE.public_key.hex()}") is False
    error = await operator.error("author_hasSessionKeys", first + "00")
    assert (error["code"], error["message"]) == (1040, "Session keys are not encoded correctly")


async def test_peers_are_reserved_and_released(operator: RpcNode) -> None:
    assert await operator.call("system_reservedPeers") == []
    operator.network = FakeNetwork()
    await operator.call("system_addReservedPeer", f"/ip4/127.0.0.1/tcp/1/p2p/{PEER}")
    assert await operator.call("system_reservedPeers") == [PEER]
    await operator.call("system_removeReservedPeer", PEER)
    assert await operator.call("system_reservedPeers") == []


@pytest.mark.parametrize("method", ["system_addReservedPeer", "system_removeReservedPeer"])
@pytest.mark.parametrize("peer", ["", "nobody", "/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1/p2p/x"])
async def test_what_names_no_peer_is_2002(operator: RpcNode, method: str, peer: str) -> None:
    assert (await operator.error(method, PEER))["code"] == errors.INTERNAL_ERROR
    operator.network = FakeNetwork()
    assert (await operator.error(method, peer))["code"] == 2002


async def test_log_levels_are_set_and_reset(operator: RpcNode) -> None:
    room = logging.getLogger("node.operators.room")  # levels belong to the process: a name of this test's own
    await operator.call("system_resetLogFilter")
    before = room.getEffectiveLevel()
    await operator.call("system_addLogFilter", "operators.room=trace")
    assert room.getEffectiveLevel() == logging.DEBUG
    assert (await operator.error("system_addLogFilter", "loud"))["code"] == errors.INVALID_PARAMS
    await operator.call("system_resetLogFilter")
    assert room.getEffectiveLevel() == before


async def test_the_off_chain_store_is_read_and_written(operator: RpcNode) -> None:
    assert await operator.call("offchain_localStorageGet", "PERSISTENT", "0x01") is None
    await operator.call("offchain_localStorageSet", "PERSISTENT", "0x01", "0x0203")
    assert await operator.call("offchain_localStorageGet", "PERSISTENT", "0x01") == "0x0203"
    error = await operator.error("offchain_localStorageGet", "LOCAL", "0x01")
    assert error["message"] == "This storage kind is not available yet."
    for name, *params in (("Get", "OTHER", "0x01"), ("Set", "PERSISTENT", "0x", "0x01")):
        error = await operator.error(f"offchain_localStorage{name}", *params)
        assert error["code"] == errors.INVALID_PARAMS


async def test_changes_of_values_are_told_over_a_range_of_blocks(operator: RpcNode) -> None:
    number, constant = ("0x26aa394eea5630e07c48ae0c9558cef702a5c1b19ab7a04f536c519aca4983ac", "0x1234")
    blocks = [f"0x{(await operator.author()).hash.hex()}" for _ in range(3)]
    told = await operator.call("state_queryStorage", [number, constant], blocks[0])
    assert [one["block"] for one in told] == blocks
    assert told[0]["changes"] == [[number, "0x01000000"], [constant, None]]
    assert told[2]["changes"] == [[number, "0x03000000"]]
    assert len(await operator.call("state_queryStorage", [constant], *blocks[:2])) == 1
    for params, code in (
        ([blocks[1], blocks[0]], 4001),
        (["0x" + "00" * 32, blocks[0]], 4003),
        ([blocks[0], "0x" + "00" * 32], 4003),
    ):
        assert (await operator.error("state_queryStorage", [number], *params))["code"] == code
    error = await operator.error("state_getKeysPaged", "0x", 5_000)
    assert (error["code"], error["message"]) == (4002, "count exceeds maximum value. value: 5000, max: 1000")
