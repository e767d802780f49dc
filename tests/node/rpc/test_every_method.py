"""Every method that `rpc_methods` names, called with valid, wrong-typed and missing parameters.

A new method needs a row in METHODS: without one `test_every_method_has_a_row` fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from node.net.identity import peer_id_of
from node.rpc import errors
from runtime.crypto import ss58_encode, twox128
from tests.node.chain.conftest import ALICE, BOB, DAVE, START_MS
from tests.node.rpc.conftest import FakeNetwork, RpcClient, RpcNode

KEY = "0x" + (twox128(b"System") + twox128(b"Number")).hex()
PEER = peer_id_of(bytes(31) + b"\1")
OBJECT = {"neither": "text", "nor": "list"}


class Situation:
    """What the parameters of valid calls are made of: a node with a block, and a client that follows it."""

    def __init__(self, rpc: RpcNode, best: str, follow: str, running: str) -> None:
        self.rpc = rpc
        self.best, self.follow, self.running = best, follow, running
        self.genesis = f"0x{rpc.node.store.genesis_hash.hex()}"

    @property
    def extrinsic(self) -> str:
        return f"0x{self.rpc.node.transfer(BOB, DAVE).hex()}"

    @property
    def address(self) -> str:
        return ss58_encode(ALICE.account_id)


Params = Callable[[Situation], list[Any]]


def nothing(_: Situation) -> list[Any]:
    return []


def block(at: Situation) -> list[Any]:
    return [at.best]


def key(at: Situation) -> list[Any]:
    return [KEY, at.best]


def keys(at: Situation) -> list[Any]:
    return [[KEY], at.best]


def extrinsic(at: Situation) -> list[Any]:
    return [at.extrinsic]


def pinned(at: Situation) -> list[Any]:
    return [at.follow, at.best]


def no_subscription(_: Situation) -> list[Any]:
    return ["no-such-subscription"]


def public_key(_: Situation) -> list[Any]:
    return [f"0x{BOB.account_id.hex()}"]


METHODS: dict[str, Params] = {
    "account_nextIndex": lambda at: [at.address],
    "archive_v1_body": block,
    "archive_v1_call": lambda at: [at.best, "Core_version", "0x"],
    "archive_v1_finalizedHeight": nothing,
    "archive_v1_genesisHash": nothing,
    "archive_v1_hashByHeight": lambda at: [1],
    "archive_v1_header": block,
    "archive_v1_stopStorage": no_subscription,
    "archive_v1_stopStorageDiff": no_subscription,
    "archive_v1_storage": lambda at: [at.best, [{"key": KEY, "type": "value"}]],
    "archive_v1_storageDiff": lambda at: [at.best, [{"key": KEY, "returnType": "value"}]],
    "author_hasKey": lambda at: [*public_key(at), "aura"],
    "author_hasSessionKeys": public_key,
    "author_insertKey": lambda at: ["aura", "//Bob", *public_key(at)],
    "author_pendingExtrinsics": nothing,
    "author_removeExtrinsic": lambda at: [[{"extrinsic": at.extrinsic}]],
    "author_rotateKeys": nothing,
    "author_submitAndWatchExtrinsic": extrinsic,
    "author_submitExtrinsic": extrinsic,
    "author_unwatchExtrinsic": no_subscription,
    "chainHead_v1_body": pinned,
    "chainHead_v1_call": lambda at: [*pinned(at), "Core_version", "0x"],
    "chainHead_v1_continue": lambda at: [at.follow, "no-such-operation"],
    "chainHead_v1_follow": lambda at: [True],
    "chainHead_v1_header": pinned,
    "chainHead_v1_stopOperation": lambda at: [at.follow, "no-such-operation"],
    "chainHead_v1_storage": lambda at: [*pinned(at), [{"key": KEY, "type": "hash"}]],
    "chainHead_v1_unfollow": no_subscription,
    "chainHead_v1_unpin": pinned,
    "chainSpec_v1_chainName": nothing,
    "chainSpec_v1_genesisHash": nothing,
    "chainSpec_v1_properties": nothing,
    "chain_getBlock": block,
    "chain_getBlockHash": lambda at: [[0, "0x1"]],
    "chain_getFinalisedHead": nothing,
    "chain_getFinalizedHead": nothing,
    "chain_getHead": lambda at: [0],
    "chain_getHeader": block,
    "chain_getRuntimeVersion": block,
    "chain_subscribeAllHeads": nothing,
    "chain_subscribeFinalisedHeads": nothing,
    "chain_subscribeFinalizedHeads": nothing,
    "chain_subscribeNewHead": nothing,
    "chain_subscribeNewHeads": nothing,
    "chain_subscribeRuntimeVersion": nothing,
    "chain_unsubscribeAllHeads": no_subscription,
    "chain_unsubscribeFinalisedHeads": no_subscription,
    "chain_unsubscribeFinalizedHeads": no_subscription,
    "chain_unsubscribeNewHead": no_subscription,
    "chain_unsubscribeNewHeads": no_subscription,
    "chain_unsubscribeRuntimeVersion": no_subscription,
    "datdot_getProof": keys,
    "datdot_traceExtrinsic": lambda at: [at.best, 0],
    "dev_newBlock": lambda at: [{"count": 2}],
    "dev_setHead": lambda at: [0],
    "dev_setStorage": lambda at: [[["0x1234", "0x56"]]],
    "dev_timeTravel": lambda at: [START_MS + 3_600_000],
    "offchain_localStorageGet": lambda at: ["PERSISTENT", "0x01"],
    "offchain_localStorageSet": lambda at: ["PERSISTENT", "0x01", "0x02"],
    "payment_queryFeeDetails": lambda at: [at.extrinsic, at.best],
    "payment_queryInfo": lambda at: [at.extrinsic, at.best],
    "rpc_discover": nothing,
    "rpc_methods": nothing,
    "state_call": lambda at: ["Core_version", "", at.best],
    "state_callAt": lambda at: ["Core_version", "0x", at.best],
    "state_getKeys": lambda at: [KEY, at.best],
    "state_getKeysPaged": lambda at: [KEY[:66], 10, None, at.best],
    "state_getKeysPagedAt": lambda at: [KEY[:66], 10, KEY, at.best],
    "state_getMetadata": block,
    "state_getPairs": lambda at: [KEY, at.best],
    "state_getRuntimeVersion": block,
    "state_getStorage": key,
    "state_getStorageAt": key,
    "state_getStorageHash": key,
    "state_getStorageHashAt": key,
    "state_getStorageSize": key,
    "state_getStorageSizeAt": key,
    "state_queryStorage": lambda at: [[KEY], at.genesis, at.best],
    "state_queryStorageAt": keys,
    "state_subscribeRuntimeVersion": nothing,
    "state_subscribeStorage": lambda at: [[KEY]],
    "state_traceBlock": lambda at: [at.best, "state", KEY, "Put"],
    "state_unsubscribeRuntimeVersion": no_subscription,
    "state_unsubscribeStorage": no_subscription,
    "subscribe_newHead": nothing,
    "system_accountNextIndex": lambda at: [at.address],
    "system_addLogFilter": lambda at: ["every.method=debug"],
    "system_addReservedPeer": lambda at: [f"/ip4/127.0.0.1/tcp/1/p2p/{PEER}"],
    "system_chain": nothing,
    "system_chainType": nothing,
    "system_dryRun": lambda at: [at.extrinsic, at.best],
    "system_dryRunAt": lambda at: [at.extrinsic, at.best],
    "system_health": nothing,
    "system_localListenAddresses": nothing,
    "system_localPeerId": nothing,
    "system_name": nothing,
    "system_nodeRoles": nothing,
    "system_peers": nothing,
    "system_properties": nothing,
    "system_removeReservedPeer": lambda at: [PEER],
    "system_reservedPeers": nothing,
    "system_resetLogFilter": nothing,
    "system_syncState": nothing,
    "system_version": nothing,
    "transactionWatch_v1_submitAndWatch": extrinsic,
    "transactionWatch_v1_unwatch": no_subscription,
    "transaction_v1_broadcast": extrinsic,
    "transaction_v1_stop": lambda at: [at.running],
    "unsubscribe_newHead": no_subscription,
}


async def situation(rpc: RpcNode, client: RpcClient) -> Situation:
    rpc.network = FakeNetwork()
    best = f"0x{(await rpc.author()).hash.hex()}"
    follow = await client.result("chainHead_v1_follow", True)
    running = await client.result("transaction_v1_broadcast", "0x00")
    for _ in range(2):
        await client.message()
    return Situation(rpc, best, follow, running)


async def described(rpc: RpcNode) -> dict[str, Any]:
    return {method["name"]: method for method in (await rpc.call("rpc_discover"))["methods"]}


async def test_every_method_has_a_row_and_a_description(rpc: RpcNode) -> None:
    named = (await rpc.call("rpc_methods"))["methods"]
    assert sorted(METHODS) == named == sorted(await described(rpc))


@pytest.mark.parametrize("name", sorted(METHODS))
async def test_a_valid_call_is_answered(rpc: RpcNode, name: str) -> None:
    rpc.trusted = True
    async with rpc.client() as client:
        params = METHODS[name](await situation(rpc, client))
        answer = await client.ask(name, *params)
        assert "result" in answer, answer


@pytest.mark.parametrize("name", sorted(METHODS))
async def test_each_parameter_of_another_type_is_refused(rpc: RpcNode, name: str) -> None:
    rpc.trusted = True
    async with rpc.client() as client:
        params = METHODS[name](await situation(rpc, client))
        for index, _ in enumerate((await described(rpc))[name]["params"]):
            for wrong in (OBJECT, [[[]]], True, 1.5):
                given = [*params, *[None] * index][:index]
                answer = await client.ask(name, *given, wrong, *params[index + 1 :])
                if takes(name, index, wrong):
                    continue
                # Ending a subscription that there is not is no error.
                refused = answer.get("error", {}).get("code") == errors.INVALID_PARAMS
                assert refused or answer.get("result") is False, (name, index, wrong, answer)


def takes(name: str, index: int, value: Any) -> bool:
    """Whether one of the wrong values is right here."""
    return (name, index, value) in (
        ("chainHead_v1_follow", 0, True),
        ("dev_setStorage", 0, [[[]]]),
    )


@pytest.mark.parametrize("name", sorted(METHODS))
async def test_a_missing_parameter_is_named(rpc: RpcNode, name: str) -> None:
    rpc.trusted = True
    async with rpc.client() as client:
        params = METHODS[name](await situation(rpc, client))
        required = [one["name"] for one in (await described(rpc))[name]["params"] if one["required"]]
        for count in range(len(required)):
            answer = await client.ask(name, *params[:count])
            assert answer["error"]["code"] == errors.INVALID_PARAMS, (name, answer)
            assert answer["error"]["data"]
        assert (await client.ask(name, *params, None, OBJECT))["error"]["code"] == errors.INVALID_PARAMS


async def test_unsafe_methods_are_marked_and_refused_to_strangers(rpc: RpcNode) -> None:
    unsafe = {name for name, one in (await described(rpc)).items() if {"name": "unsafe"} in one.get("tags", ())}
    assert {name for name in METHODS if name.startswith("dev_")} < unsafe
    assert {"author_insertKey", "state_getPairs", "datdot_traceExtrinsic", "system_dryRun"} < unsafe
    async with rpc.client() as client:
        at = await situation(rpc, client)
        for name in sorted(unsafe):
            error = (await client.ask(name, *METHODS[name](at)))["error"]
            assert (error["code"], error["message"]) == (-32601, "RPC call is unsafe to be called externally")
