"""Reads of blocks, state and of the node itself: results, missing and wrong parameters, unknown and pruned blocks."""

from __future__ import annotations

from typing import Any

import pytest

from node.rpc import errors
from node.rpc.limits import MAX_KEYS_PER_PAGE, MAX_STORAGE_KEYS
from runtime.codec import codec_for
from runtime.crypto import blake2_256, ss58_encode, twox128
from runtime.header import DigestItem
from runtime.version import CODE_KEY
from tests.node.chain.conftest import ALICE, BOB, DAVE
from tests.node.rpc.conftest import WINDOW_BLOCKS, FakeNetwork, FakePeer, RpcNode

UNKNOWN = "0x" + "11" * 32
SYSTEM_NUMBER = "0x" + (twox128(b"System") + twox128(b"Number")).hex()
ACCOUNTS = "0x" + (twox128(b"System") + twox128(b"Account")).hex()


async def test_blocks_are_found_by_hash_and_by_height(rpc: RpcNode) -> None:
    rpc.node.transactions.submit(rpc.node.transfer(ALICE, DAVE))
    head = await rpc.author()
    best = f"0x{head.hash.hex()}"
    header = await rpc.call("chain_getHeader", best)
    assert header == await rpc.call("chain_getHeader") == await rpc.call("chain_getHeader", None)
    assert header["number"] == "0x1"
    assert header["parentHash"] == await rpc.call("chain_getBlockHash", 0)
    items = [codec_for(DigestItem).decode(bytes.fromhex(item[2:])) for item in header["digest"]["logs"]]
    assert tuple(items) == head.digest
    block = await rpc.call("chain_getBlock", best)
    assert block["block"]["header"] == header
    assert block["justifications"] is None
    assert [bytes.fromhex(one[2:]) for one in block["block"]["extrinsics"]] == list(
        rpc.node.block(head.hash).extrinsics
    )
    assert await rpc.call("chain_getBlock") == block


async def test_heights_are_numbers_hexadecimal_or_lists(rpc: RpcNode) -> None:
    hashes = [f"0x{(await rpc.author()).hash.hex()}" for _ in range(2)]
    assert await rpc.call("chain_getBlockHash", 1) == await rpc.call("chain_getBlockHash", "0x1") == hashes[0]
    assert await rpc.call("chain_getBlockHash", [1, "0x2", 9]) == [*hashes, None]
    assert await rpc.call("chain_getBlockHash") == await rpc.call("chain_getHead") == hashes[1]
    assert await rpc.call("chain_getBlockHash", 9) is None
    assert await rpc.call("chain_getFinalizedHead") == await rpc.call("chain_getFinalisedHead") == hashes[1]


@pytest.mark.parametrize("method", ["chain_getHeader", "chain_getBlock"])
async def test_an_unknown_block_is_null(rpc: RpcNode, method: str) -> None:
    assert await rpc.call(method, UNKNOWN) is None


STATE_READS: list[tuple[Any, ...]] = [
    ("state_getStorage", SYSTEM_NUMBER),
    ("state_getStorageAt", SYSTEM_NUMBER),
    ("state_getStorageHash", SYSTEM_NUMBER),
    ("state_getStorageSize", SYSTEM_NUMBER),
    ("state_getKeysPaged", ACCOUNTS, 10, None),
    ("state_queryStorageAt", [SYSTEM_NUMBER]),
    ("state_call", "AccountNonceApi_account_nonce", "0x" + ALICE.account_id.hex()),
]


@pytest.mark.parametrize("read", STATE_READS, ids=lambda read: read[0])
async def test_state_of_an_unknown_block_is_an_error(rpc: RpcNode, read: tuple[Any, ...]) -> None:
    error = await rpc.error(*read, UNKNOWN)
    assert error["code"] == errors.UNKNOWN_BLOCK
    assert "UnknownBlock" in error["message"]
    assert UNKNOWN in error["data"]


@pytest.mark.parametrize("method", ["state_getRuntimeVersion", "state_getMetadata"])
async def test_the_runtime_of_an_unknown_block_is_an_error(rpc: RpcNode, method: str) -> None:
    assert (await rpc.error(method, UNKNOWN))["code"] == errors.UNKNOWN_BLOCK


@pytest.mark.parametrize("read", STATE_READS, ids=lambda read: read[0])
async def test_pruned_state_is_an_error_that_names_what_is_kept(rpc: RpcNode, read: tuple[Any, ...]) -> None:
    old = f"0x{(await rpc.author()).hash.hex()}"
    assert await rpc.call(*read, old) is not None
    await rpc.author(2 * WINDOW_BLOCKS)
    error = await rpc.error(*read, old)
    assert error["code"] == errors.STATE_UNAVAILABLE
    assert error["message"] == f"Client error: UnknownBlock: State already discarded for {old}"
    assert "keeps the states of blocks" in error["data"]
    assert await rpc.call("chain_getHeader", old) is not None


async def test_storage_is_read_at_the_block_asked_for(rpc: RpcNode) -> None:
    first = f"0x{(await rpc.author()).hash.hex()}"
    await rpc.author()
    assert await rpc.call("state_getStorage", SYSTEM_NUMBER) == "0x02000000"
    assert await rpc.call("state_getStorage", SYSTEM_NUMBER[2:], first) == "0x01000000"
    assert await rpc.call("state_getStorageSize", SYSTEM_NUMBER) == 4
    assert await rpc.call("state_getStorageHash", SYSTEM_NUMBER) == f"0x{blake2_256(bytes([2, 0, 0, 0])).hex()}"
    assert await rpc.call("state_getStorageHash", f"0x{CODE_KEY.hex()}") is not None


@pytest.mark.parametrize("method", ["state_getStorage", "state_getStorageHash", "state_getStorageSize"])
async def test_an_absent_value_is_null(rpc: RpcNode, method: str) -> None:
    assert await rpc.call(method, "0x0102") is None


async def test_keys_come_in_pages_in_byte_order(rpc: RpcNode) -> None:
    everything = await rpc.call("state_getKeysPaged", ACCOUNTS, MAX_KEYS_PER_PAGE, None)
    assert everything == sorted(everything)
    assert len(everything) >= 4
    # Clients name the prefix itself as the first page's start.
    page = await rpc.call("state_getKeysPaged", ACCOUNTS, 2, ACCOUNTS)
    assert page == everything[:2]
    assert await rpc.call("state_getKeysPaged", ACCOUNTS, 2, page[-1]) == everything[2:4]
    assert await rpc.call("state_getKeysPaged", ACCOUNTS, 5, everything[-1]) == []
    assert await rpc.call("state_getKeysPaged", ACCOUNTS, 0) == []
    assert set(everything) < set(await rpc.call("state_getKeysPaged", None, MAX_KEYS_PER_PAGE))


async def test_several_keys_are_answered_in_one_set_of_changes(rpc: RpcNode) -> None:
    head = f"0x{(await rpc.author()).hash.hex()}"
    (changes,) = await rpc.call("state_queryStorageAt", [SYSTEM_NUMBER, "0x00"])
    assert changes == {"block": head, "changes": [[SYSTEM_NUMBER, "0x01000000"], ["0x00", None]]}


async def test_the_metadata_has_no_length_before_it(rpc: RpcNode) -> None:
    assert (await rpc.call("state_getMetadata")).startswith("0x6d6574610e")


async def test_the_runtime_version_lists_its_apis(rpc: RpcNode) -> None:
    version = await rpc.call("state_getRuntimeVersion")
    assert version == await rpc.call("chain_getRuntimeVersion", f"0x{rpc.node.best.hash.hex()}")
    assert version["specName"] == "datdot"
    assert ["0x37e397fc7c91f5e4", 2] in version["apis"]
    numbers = ("specVersion", "implVersion", "transactionVersion", "authoringVersion", "stateVersion", "systemVersion")
    assert all(isinstance(version[name], int) for name in numbers)


async def test_the_node_tells_who_it_is(rpc: RpcNode) -> None:
    assert await rpc.call("system_name") == "DatDot node"
    assert await rpc.call("system_version") == "1.2.3"
    assert await rpc.call("system_chain") == await rpc.call("chainSpec_v1_chainName") == "Test"
    assert await rpc.call("chainSpec_v1_genesisHash") == await rpc.call("chain_getBlockHash", 0)
    assert await rpc.call("system_chainType") == "Development"
    properties = {"ss58Format": 42, "tokenDecimals": 9, "tokenSymbol": "DAT"}
    assert await rpc.call("system_properties") == await rpc.call("chainSpec_v1_properties") == properties
    assert await rpc.call("system_localPeerId") == "12D3KooWSelf"
    assert await rpc.call("system_localListenAddresses") == ["/ip4/127.0.0.1/tcp/1"]
    assert await rpc.call("system_nodeRoles") == ["Authority"]


async def test_health_and_peers_follow_the_network(rpc: RpcNode) -> None:
    await rpc.author()
    assert await rpc.call("system_health") == {"peers": 0, "isSyncing": False, "shouldHavePeers": False}
    assert await rpc.call("system_peers") == []
    assert await rpc.call("system_syncState") == {"startingBlock": 0, "currentBlock": 1, "highestBlock": 1}
    rpc.network = FakeNetwork()
    assert await rpc.call("system_health") == {"peers": 1, "isSyncing": True, "shouldHavePeers": False}
    (peer,) = await rpc.call("system_peers")
    expected = {
        "peerId": FakePeer.peer_id,
        "roles": "FULL",
        "bestHash": f"0x{FakePeer.best_hash.hex()}",
        "bestNumber": 7,
    }
    assert peer == expected
    assert (await rpc.call("system_syncState"))["highestBlock"] == 7


async def test_every_method_listed_is_known(rpc: RpcNode) -> None:
    names = (await rpc.call("rpc_methods"))["methods"]
    assert {"chain_getHead", "chain_unsubscribeNewHead", "account_nextIndex", "state_getStorageAt"} <= set(names)
    assert "state_getReadProof" not in names
    rpc.trusted = True
    async with rpc.client() as client:
        for name in names:
            assert await client.code(name, "not", "the", "right", "parameters", "for", "any") == errors.INVALID_PARAMS


async def test_the_next_nonce_counts_the_pool(rpc: RpcNode) -> None:
    address = ss58_encode(ALICE.account_id)
    assert await rpc.call("system_accountNextIndex", address) == 0
    for nonce in range(2):
        rpc.node.transactions.submit(rpc.node.transfer(ALICE, DAVE, nonce=nonce))
    assert await rpc.call("system_accountNextIndex", address) == 2
    assert await rpc.call("account_nextIndex", ss58_encode(BOB.account_id)) == 0
    await rpc.author()
    assert await rpc.call("system_accountNextIndex", address) == 2


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("chain_getHeader", ["0x12"]),
        ("chain_getHeader", [1]),
        ("chain_getHeader", [UNKNOWN, 1]),
        ("chain_getBlock", ["latest"]),
        ("chain_getBlockHash", [-1]),
        ("chain_getBlockHash", ["0xg"]),
        ("chain_getBlockHash", [1.5]),
        ("chain_getBlockHash", [True]),
        ("chain_getBlockHash", [[1, None]]),
        ("chain_getBlockHash", [[0] * (MAX_STORAGE_KEYS + 1)]),
        ("state_getStorage", []),
        ("state_getStorage", [None]),
        ("state_getStorage", [7]),
        ("state_getStorage", ["0xabc"]),
        ("state_getStorage", ["0x00", "0x00"]),
        ("state_getStorageHash", []),
        ("state_getStorageHash", [{}]),
        ("state_getStorageSize", [[]]),
        ("state_getKeysPaged", ["0x"]),
        ("state_getKeysPaged", ["0x", -1]),
        ("state_getKeysPaged", ["0x", "many"]),
        ("state_getKeysPaged", [1, 1]),
        ("state_getKeysPaged", ["0x", 1, 5]),
        ("state_queryStorageAt", []),
        ("state_queryStorageAt", ["0x00"]),
        ("state_queryStorageAt", [["0x0"]]),
        ("state_queryStorageAt", [["0x00"] * (MAX_STORAGE_KEYS + 1)]),
        ("state_getMetadata", ["0x00"]),
        ("state_getRuntimeVersion", [[]]),
        ("state_call", []),
        ("state_call", ["Core_version"]),
        ("state_call", [1, "0x"]),
        ("state_call", ["Core_version", "0xzz"]),
        ("system_accountNextIndex", []),
        ("system_accountNextIndex", [1]),
        ("system_accountNextIndex", ["5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQZ"]),
        ("system_health", [1]),
        ("author_submitExtrinsic", []),
        ("author_submitExtrinsic", [5]),
        ("author_pendingExtrinsics", ["0x00"]),
    ],
)
async def test_wrong_and_missing_parameters_are_named(rpc: RpcNode, name: str, params: list[Any]) -> None:
    error = await rpc.error(name, *params)
    assert error["code"] == errors.INVALID_PARAMS
    assert error["data"]


async def test_an_unknown_method_is_named(rpc: RpcNode) -> None:
    error = await rpc.error("state_getReadProof", ["0x00"])
    assert error["code"] == errors.METHOD_NOT_FOUND
    assert "state_getReadProof" in error["data"]
