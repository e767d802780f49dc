"""`datdot_getProof`, `datdot_traceExtrinsic` and `state_traceBlock`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from node.client.state_proof import verify_answer
from node.rpc import errors
from node.rpc.limits import MAX_PROOF_KEYS
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.crypto import ss58_encode, twox128
from runtime.extrinsic import sign_extrinsic
from tests.node.chain.conftest import ALICE, BOB, DAVE
from tests.node.rpc.conftest import WINDOW_BLOCKS, RpcNode

ROOT = Path(__file__).parents[3]
NUMBER = "0x" + (twox128(b"System") + twox128(b"Number")).hex()


def signed(rpc: RpcNode, call: RuntimeCall, nonce: int = 0) -> bytes:
    codec, version = rpc.node.runtime.extrinsic_codec, rpc.node.runtime.version
    return sign_extrinsic(codec, version, call, BOB, nonce=nonce, genesis_hash=rpc.node.store.genesis_hash)


def transfer(value: int) -> RuntimeCall:
    return RuntimeCall("Balances", "transfer_keep_alive", {"dest": Id(DAVE.account_id), "value": value})


async def traced(rpc: RpcNode, extrinsic: bytes) -> Any:
    """The trace of an extrinsic that a new block holds after another one."""
    rpc.trusted = True
    rpc.node.transactions.submit(rpc.node.transfer(ALICE, DAVE, tip=10**9))
    rpc.node.transactions.submit(extrinsic)
    block = f"0x{(await rpc.author()).hash.hex()}"
    body = (await rpc.call("chain_getBlock", block))["block"]["extrinsics"]
    return await rpc.call("datdot_traceExtrinsic", block, body.index(f"0x{extrinsic.hex()}"))


async def test_values_are_proven_at_any_kept_block(rpc: RpcNode) -> None:
    first = await rpc.author()
    await rpc.author(2)
    for at, number in ((f"0x{first.hash.hex()}", 1), (None, 3)):
        answer = await rpc.call("datdot_getProof", [NUMBER, "0x1234"], at)
        header = await rpc.call("chain_getHeader", answer["block"])
        assert (answer["stateRoot"], answer["number"]) == (header["stateRoot"], hex(number))
        proven = verify_answer(answer, bytes.fromhex(header["stateRoot"][2:]))
        assert proven == {bytes.fromhex(NUMBER[2:]): number.to_bytes(4, "little"), b"\x12\x34": None}


async def test_a_pruned_state_is_not_proven_and_the_window_is_named(rpc: RpcNode) -> None:
    first = await rpc.author()
    await rpc.author(WINDOW_BLOCKS + 1)
    for name, params in (
        ("datdot_getProof", [[NUMBER], f"0x{first.hash.hex()}"]),
        ("state_getStorage", [NUMBER, f"0x{first.hash.hex()}"]),
    ):
        error = await rpc.error(name, *params)
        assert (error["code"], error["message"].split(":")[1]) == (4003, " UnknownBlock")
        assert error["data"].endswith(f"this node keeps the states of blocks 2 to {WINDOW_BLOCKS + 2}")


@pytest.mark.parametrize("keys", [[], ["0x"], ["0x" + "00" * 512], [NUMBER] * (MAX_PROOF_KEYS + 1)])
async def test_keys_that_cannot_be_proven_are_refused(rpc: RpcNode, keys: list[str]) -> None:
    assert (await rpc.error("datdot_getProof", keys))["code"] == errors.INVALID_PARAMS
    assert (await rpc.error("datdot_getProof", [NUMBER], "0x" + "00" * 32))["code"] == errors.UNKNOWN_BLOCK


async def test_a_trace_shows_calls_inside_calls_and_what_they_wrote(rpc: RpcNode) -> None:
    batch = RuntimeCall("Utility", "batch_all", {"calls": (transfer(1_000_000), transfer(2_000_000))})
    trace = await traced(rpc, signed(rpc, batch))
    (outer,) = trace["calls"]
    assert (trace["error"], trace["isComplete"]) == (None, True)
    assert (outer["pallet"], outer["call"]) == ("Utility", "batch_all")
    assert outer["origin"] == {"Signed": ss58_encode(BOB.account_id)}
    assert [call["args"]["value"] for call in outer["calls"]] == [1_000_000, 2_000_000]
    assert [call["number"] for call in (outer, *outer["calls"])] == [0, 1, 2]
    writes = [step for step in trace["storage"] if step["operation"] == "write" and step["item"] == "Account"]
    by_call = [step["call"] for step in writes if step["keys"] == [ss58_encode(DAVE.account_id)]]
    assert by_call == [1, 2]
    assert [one["name"] for one in trace["events"]].count("Balances.Transfer") == 2
    assert not any(step["isUndone"] for step in trace["storage"])


async def test_written_values_are_those_that_the_state_then_holds(rpc: RpcNode) -> None:
    trace = await traced(rpc, signed(rpc, transfer(1_000_000)))
    last = {step["key"]: step["value"] for step in trace["storage"] if step["item"] == "Account" and step["value"]}
    assert len(last) >= 2
    for key in (key for key in last if BOB.account_id.hex() in key or DAVE.account_id.hex() in key):
        assert await rpc.call("state_getStorage", key, trace["blockHash"]) == last[key]


async def test_a_failure_names_its_python_line(rpc: RpcNode) -> None:
    batch = RuntimeCall("Utility", "batch_all", {"calls": (transfer(1_000_000), transfer(2**100))})
    trace = await traced(rpc, signed(rpc, batch))
    error, (outer,) = trace["error"], trace["calls"]
    assert error["name"].startswith("Token: ")
    file, _, line = error["at"].partition(":")
    assert file.startswith("pallets/balances/")
    assert int(line) > 1
    source = (ROOT / file).read_text().splitlines()
    assert "raise" in source[int(line) - 1] or "ensure" in source[int(line) - 1]
    assert not any("/tmp" in place or place.startswith("/") for place in error["stack"])
    assert [call["error"] is None for call in outer["calls"]] == [True, False]
    undone = {step["call"] for step in trace["storage"] if step["isUndone"]}
    assert undone <= {0, 1, 2}
    assert 1 in undone
    assert [one["name"] for one in trace["events"]][-1] == "System.ExtrinsicFailed"


async def test_a_module_error_is_found_behind_its_helper(rpc: RpcNode) -> None:
    call = RuntimeCall("Sudo", "sudo", {"call": RuntimeCall("System", "remark", {"remark": b""})})
    error = (await traced(rpc, signed(rpc, call)))["error"]
    assert error["name"].startswith("Sudo.RequireSudo")
    assert error["at"].startswith("pallets/sudo.py:")


async def test_a_long_trace_is_cut_and_says_so(rpc: RpcNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.rpc.trace.MAX_TRACE_STEPS", 5)
    monkeypatch.setattr("node.rpc.methods.datdot.MAX_TRACE_VALUE_BYTES", 2)
    trace = await traced(rpc, signed(rpc, transfer(1_000_000)))
    assert trace["isComplete"] is False
    assert len(trace["storage"]) + len(trace["calls"]) <= 5
    assert all(step["value"] is None or len(step["value"]) <= 6 for step in trace["storage"])
    assert any((step["valueBytes"] or 0) > 2 for step in trace["storage"])


async def test_tracing_changes_nothing(rpc: RpcNode) -> None:
    trace = await traced(rpc, signed(rpc, transfer(1_000_000)))
    before = rpc.node.pairs(rpc.node.best.hash)
    assert await rpc.call("datdot_traceExtrinsic", trace["blockHash"], trace["index"]) == trace
    assert rpc.node.pairs(rpc.node.best.hash) == before
    assert rpc.node.runtime.around_dispatch is None


@pytest.mark.parametrize("index", [3, 10**9])
async def test_what_is_not_in_a_block_is_not_traced(rpc: RpcNode, index: int) -> None:
    rpc.trusted = True
    block = f"0x{(await rpc.author()).hash.hex()}"
    assert (await rpc.error("datdot_traceExtrinsic", block, index))["code"] == errors.INVALID_PARAMS
    for unknown in ("0x" + "00" * 32, f"0x{rpc.node.store.genesis_hash.hex()}"):
        assert (await rpc.error("datdot_traceExtrinsic", unknown, 0))["code"] == errors.UNKNOWN_BLOCK


async def test_a_block_trace_has_substrates_shape(rpc: RpcNode) -> None:
    block = (await traced(rpc, signed(rpc, transfer(1_000_000))))["blockHash"]
    accounts = (twox128(b"System") + twox128(b"Account")).hex()
    trace = (await rpc.call("state_traceBlock", block, "state", accounts, "Put"))["blockTrace"]
    assert trace["blockHash"] == block
    assert [span["id"] for span in trace["spans"]] == [1, 2, 3]
    assert trace["events"]
    for event in trace["events"]:
        values = event["data"]["stringValues"]
        assert (event["target"], values["method"]) == ("state", "Put")
        assert values["key"].startswith(accounts)
    everything = (await rpc.call("state_traceBlock", block))["blockTrace"]["events"]
    assert {event["data"]["stringValues"]["method"] for event in everything} == {"Get", "Put", "Append"}
    unknown = await rpc.call("state_traceBlock", "0x" + "00" * 32)
    assert "UnknownBlock" in unknown["traceError"]["error"]
