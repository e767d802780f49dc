"""`payment_*`, `system_dryRun` and the unsafe methods about state and pool."""

from __future__ import annotations

from typing import Any

import pytest

from node.rpc import errors
from runtime.call import RuntimeCall
from runtime.crypto import blake2_256, twox128
from runtime.era import Immortal
from runtime.extrinsic import sign_extrinsic
from tests.node.chain.conftest import ALICE, BOB, DAVE
from tests.node.rpc.conftest import RpcNode

ACCOUNTS = "0x" + (twox128(b"System") + twox128(b"Account")).hex()


def hexed(data: bytes) -> str:
    return f"0x{data.hex()}"


async def test_fee_and_its_parts_agree_and_leave_out_the_tip(rpc: RpcNode) -> None:
    extrinsic = hexed(rpc.node.transfer(BOB, DAVE, tip=5))
    info = await rpc.call("payment_queryInfo", extrinsic)
    assert info["class"] == "normal"
    assert info["weight"] > 0
    details = (await rpc.call("payment_queryFeeDetails", extrinsic, None))["inclusionFee"]
    assert sum(int(part, 16) for part in details.values()) == int(info["partialFee"])
    assert list(details) == ["baseFee", "lenFee", "adjustedWeightFee"]


@pytest.mark.parametrize(("extrinsic", "code"), [("0x", 2), ("0x00", 1), ("0x0400", 1), ("0xff", 2), ("0x1234", 2)])
async def test_what_is_no_extrinsic_has_no_fee(rpc: RpcNode, extrinsic: str, code: int) -> None:
    for name, asked in (("payment_queryInfo", "dispatch info"), ("payment_queryFeeDetails", "fee details")):
        error = await rpc.error(name, extrinsic)
        assert (error["code"], error["message"]) == (code, f"Unable to query {asked}.")


def remark_as_root(rpc: RpcNode) -> bytes:
    call = RuntimeCall("Sudo", "sudo", {"call": RuntimeCall("System", "remark", {"remark": b""})})
    runtime, genesis = rpc.node.runtime, rpc.node.store.genesis_hash
    return sign_extrinsic(
        runtime.extrinsic_codec, runtime.version, call, BOB, nonce=0, genesis_hash=genesis, era=Immortal()
    )


async def test_a_dry_run_tells_the_outcome_and_changes_nothing(rpc: RpcNode) -> None:
    rpc.trusted = True
    await rpc.author()
    before = rpc.node.pairs(rpc.node.best.hash)
    good = rpc.node.transfer(ALICE, DAVE)
    sudo_index = rpc.node.runtime.pallet("Sudo").index
    assert await rpc.call("system_dryRun", hexed(good)) == "0x0000"
    refused = bytes.fromhex((await rpc.call("system_dryRun", hexed(remark_as_root(rpc))))[2:])
    assert refused == bytes([0, 1, 3, sudo_index, 0, 0, 0, 0])
    malformed = await rpc.error("system_dryRun", hexed(good[:-1]))
    assert (malformed["code"], malformed["message"]) == (2, "Unable to dry run extrinsic.")
    assert await rpc.call("system_dryRun", "0x0400") == "0x010000"
    assert await rpc.call("system_dryRun", hexed(rpc.node.transfer(ALICE, DAVE, nonce=3))) == "0x010002"
    assert rpc.node.pairs(rpc.node.best.hash) == before
    rpc.node.transactions.submit(good)
    await rpc.author()
    assert await rpc.call("system_dryRun", hexed(good)) == "0x010003"
    genesis = await rpc.call("chain_getBlockHash", 0)
    assert await rpc.call("system_dryRunAt", hexed(good), genesis) == "0x0000"


async def test_keys_and_pairs_are_everything_below_a_prefix(rpc: RpcNode, monkeypatch: pytest.MonkeyPatch) -> None:
    rpc.trusted = True
    keys = await rpc.call("state_getKeysPaged", ACCOUNTS, 1_000)
    assert await rpc.call("state_getKeys", ACCOUNTS) == keys
    pairs = await rpc.call("state_getPairs", ACCOUNTS)
    assert [key for key, _ in pairs] == keys
    for key, value in pairs:
        assert await rpc.call("state_getStorage", key) == value
    monkeypatch.setattr("node.rpc.methods.state.MAX_KEYS_AT_ONCE", 2)
    for name in ("state_getKeys", "state_getPairs"):
        assert (await rpc.error(name, ACCOUNTS))["code"] == errors.INVALID_PARAMS


async def test_removed_extrinsics_are_banned(rpc: RpcNode) -> None:
    rpc.trusted = True
    first, second = (rpc.node.transfer(sender, DAVE) for sender in (ALICE, BOB))
    for extrinsic in (first, second):
        await rpc.call("author_submitExtrinsic", hexed(extrinsic))
    named = [{"hash": hexed(blake2_256(first))}, {"extrinsic": hexed(second)}, {"hash": hexed(bytes(32))}]
    removed = await rpc.call("author_removeExtrinsic", named)
    assert removed == [hexed(blake2_256(first)), hexed(blake2_256(second))]
    assert await rpc.call("author_pendingExtrinsics") == []
    assert (await rpc.error("author_submitExtrinsic", hexed(first)))["code"] == errors.TEMPORARILY_BANNED


BOTH = {"hash": hexed(bytes(32)), "extrinsic": "0x"}


@pytest.mark.parametrize("named", ["0x", [1], [{}], [{"hash": "0x12"}], [BOTH]])
async def test_malformed_removals_are_refused(rpc: RpcNode, named: Any) -> None:
    rpc.trusted = True
    assert (await rpc.error("author_removeExtrinsic", named))["code"] == errors.INVALID_PARAMS


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("system_dryRun", ["0x"]),
        ("state_getKeys", ["0x"]),
        ("state_getPairs", ["0x"]),
        ("author_removeExtrinsic", [[]]),
    ],
)
async def test_unsafe_methods_are_for_trusted_clients(rpc: RpcNode, name: str, params: list[Any]) -> None:
    assert (await rpc.error(name, *params))["code"] == errors.UNSAFE_CALL
