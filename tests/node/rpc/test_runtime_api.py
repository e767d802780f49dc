"""Runtime API functions behind `state_call`, in every spelling of their arguments that clients use."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from node.rpc import errors
from pallets.block_builder import CheckInherentsResult, InherentData
from pallets.transaction_payment import FeeDetails, RuntimeDispatchInfo
from runtime.codec import codec_for
from runtime.extrinsic import with_length
from runtime.types import U8, U32, U64, AccountId, Bytes
from runtime.version import RuntimeVersion, api_id
from runtime.weights import Weight
from tests.node.chain.conftest import ALICE, BOB, DAVE, SLOT_MS
from tests.node.rpc.conftest import RpcNode

ALICE_HEX = ALICE.account_id.hex()


async def called(rpc: RpcNode, name: str, data: str, *at: str | None) -> bytes:
    return bytes.fromhex((await rpc.call("state_call", name, data, *at))[2:])


@pytest.mark.parametrize("data", ["", "0x"])
async def test_no_arguments_are_spelled_in_two_ways(rpc: RpcNode, data: str) -> None:
    assert codec_for(RuntimeVersion).decode(await called(rpc, "Core_version", data)) == rpc.node.runtime.version


@pytest.mark.parametrize("data", [ALICE_HEX, f"0x{ALICE_HEX}"])
async def test_the_nonce_is_that_of_the_block_asked_for(rpc: RpcNode, data: str) -> None:
    before = f"0x{(await rpc.author()).hash.hex()}"
    rpc.node.transactions.submit(rpc.node.transfer(ALICE, DAVE))
    await rpc.author()
    name = "AccountNonceApi_account_nonce"
    assert await called(rpc, name, data) == await called(rpc, name, data, None) == bytes([1, 0, 0, 0])
    assert await called(rpc, name, data, before) == bytes(4)


async def test_metadata_is_wrapped_as_each_function_promises(rpc: RpcNode) -> None:
    metadata = rpc.node.runtime.metadata_v14
    opaque = codec_for(Bytes).encode(metadata)
    assert await called(rpc, "Metadata_metadata", "0x") == opaque
    assert await called(rpc, "Metadata_metadata_at_version", "0x0e000000") == b"\x01" + opaque
    assert await called(rpc, "Metadata_metadata_at_version", "0x0d000000") == b"\x00"
    assert 14 in codec_for(tuple[U32, ...]).decode(await called(rpc, "Metadata_metadata_versions", ""))


async def test_every_version_listed_is_served(rpc: RpcNode) -> None:
    for version in codec_for(tuple[U32, ...]).decode(await called(rpc, "Metadata_metadata_versions", "0x")):
        answer = await called(rpc, "Metadata_metadata_at_version", codec_for(U32).encode(version).hex())
        metadata = codec_for(Bytes).decode(answer[1:])
        assert metadata[:5] == b"meta" + bytes([version])


async def test_consensus_facts_are_told(rpc: RpcNode) -> None:
    assert codec_for(U64).decode(await called(rpc, "AuraApi_slot_duration", "0x")) == SLOT_MS
    assert codec_for(tuple[AccountId, ...]).decode(await called(rpc, "AuraApi_authorities", "0x")) == (
        ALICE.account_id,
    )


async def test_the_fee_is_what_the_transfer_then_pays(rpc: RpcNode) -> None:
    extrinsic = rpc.node.transfer(BOB, DAVE, tip=5)
    arguments = (extrinsic + codec_for(U32).encode(len(extrinsic))).hex()
    info = codec_for(RuntimeDispatchInfo).decode(await called(rpc, "TransactionPaymentApi_query_info", arguments))
    details = codec_for(FeeDetails).decode(await called(rpc, "TransactionPaymentApi_query_fee_details", arguments))
    assert details.inclusion_fee is not None
    assert info.partial_fee == details.inclusion_fee.total > len(extrinsic)
    before = free(rpc)
    rpc.node.transactions.submit(extrinsic)
    await rpc.author()
    assert before - free(rpc) == info.partial_fee + 5 + 1_000_000


def free(rpc: RpcNode) -> int:
    with rpc.node.runtime.at(rpc.node.store.state(rpc.node.best.hash)) as runtime:
        amount: int = runtime.system.account_data(BOB.account_id).free
    return amount


async def validated(rpc: RpcNode, extrinsic: bytes, *at: str) -> bytes:
    data = b"\x02" + extrinsic + bytes(32)
    return await called(rpc, "TaggedTransactionQueue_validate_transaction", data.hex(), *at)


async def test_validity_is_judged_at_the_block_asked_for(rpc: RpcNode) -> None:
    before = f"0x{(await rpc.author()).hash.hex()}"
    extrinsic = rpc.node.transfer(ALICE, DAVE)
    assert (await validated(rpc, extrinsic))[0] == 0
    rpc.node.transactions.submit(extrinsic)
    await rpc.author()
    assert await validated(rpc, extrinsic) == bytes([1, 0, 3])  # Err(Invalid(Stale))
    assert (await validated(rpc, extrinsic, before))[0] == 0


async def test_a_future_transaction_is_valid_and_requires_the_one_before(rpc: RpcNode) -> None:
    answer = await validated(rpc, rpc.node.transfer(ALICE, DAVE, nonce=4))
    tags = codec_for(tuple[Bytes, ...])
    assert answer[0] == 0
    requires, offset = tags.read(answer, 9)
    provides, offset = tags.read(answer, offset)
    assert [one[-4:] for one in requires] == [bytes([3, 0, 0, 0])]
    assert [one[-4:] for one in provides] == [bytes([4, 0, 0, 0])]
    assert len(answer) == offset + 8 + 1


Change = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:], bytes([1, 0, 4])),  # BadProof
        (lambda data: with_length(data[2:-1]), bytes([1, 0, 0])),  # not an extrinsic: Call
        (lambda data: with_length(b""), bytes([1, 0, 0])),
    ],
)
async def test_an_invalid_transaction_is_an_error_value(rpc: RpcNode, change: Change, expected: bytes) -> None:
    assert await validated(rpc, change(rpc.node.transfer(ALICE, DAVE))) == expected


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("Core_nothing", "0x"),
        ("", "0x"),
        ("AccountNonceApi_account_nonce", "0x"),
        ("AccountNonceApi_account_nonce", "0x" + ALICE_HEX[2:]),
        ("AccountNonceApi_account_nonce", "0x" + ALICE_HEX + "00"),
        ("Metadata_metadata_at_version", "0x0e"),
        ("TransactionPaymentApi_query_info", "0x"),
        ("TransactionPaymentApi_query_info", "0x0400ffffffff"),
        ("TransactionPaymentApi_query_fee_details", "0x00"),
        ("TransactionPaymentCallApi_query_call_info", "0xffff00000000"),
        ("BlockBuilder_apply_extrinsic", "0x04"),
        ("BlockBuilder_inherent_extrinsics", "0x0474696d7374617030" + "04" + "00"),
        ("BlockBuilder_check_inherents", "0x00"),
        ("BlockBuilder_finalize_block", "0x"),
        ("TaggedTransactionQueue_validate_transaction", "0x02" + "00" * 32),
        ("TaggedTransactionQueue_validate_transaction", "0x03" + "00" * 33),
        ("TaggedTransactionQueue_validate_transaction", "0x02" + "ff" * 33),
        ("DatDotApi_get_plan_by_id", "0x01"),
    ],
)
async def test_unknown_functions_and_bad_arguments_are_named(rpc: RpcNode, name: str, data: str) -> None:
    error = await rpc.error("state_call", name, data)
    assert error["code"] == errors.UNKNOWN_BLOCK
    assert error["message"] == "Client error: Execution failed"
    assert name in error["data"]


async def test_the_version_lists_exactly_the_apis_that_are_answered(rpc: RpcNode) -> None:
    apis = rpc.backend.apis_at(rpc.node.best.hash)
    listed = dict((await rpc.call("state_getRuntimeVersion"))["apis"])
    answered = {f"0x{api_id(api.name).hex()}": api.api_version for api in apis.apis}
    assert listed == answered
    assert {name.split("_")[0] for name in apis.functions} == {api.name for api in apis.apis}
    assert "BlockBuilder" in {api.name for api in apis.apis}


async def test_a_call_costs_what_the_extrinsic_that_holds_it_does(rpc: RpcNode) -> None:
    extrinsic = rpc.node.transfer(BOB, DAVE)
    length = codec_for(U32).encode(len(extrinsic))
    call = rpc.node.runtime.extrinsic_codec.decode(extrinsic).call_bytes
    for function in ("info", "fee_details"):
        of_call = await called(rpc, f"TransactionPaymentCallApi_query_call_{function}", (call + length).hex())
        assert of_call == await called(rpc, f"TransactionPaymentApi_query_{function}", (extrinsic + length).hex())


@pytest.mark.parametrize("api", ["TransactionPaymentApi", "TransactionPaymentCallApi"])
async def test_the_parts_of_a_fee_are_those_of_weight_and_length(rpc: RpcNode, api: str) -> None:
    weight = codec_for(Weight).encode(Weight(10**9, 5))
    fee = int.from_bytes(await called(rpc, f"{api}_query_weight_to_fee", weight.hex()), "little")
    assert fee == 10**9 // rpc.node.runtime.pallet("TransactionPayment").config.ref_time_per_planck > 0
    assert int.from_bytes(await called(rpc, f"{api}_query_length_to_fee", "0x64000000"), "little") == 100


async def test_a_block_builder_tells_what_an_extrinsic_would_do(rpc: RpcNode) -> None:
    await rpc.author()
    apply = "BlockBuilder_apply_extrinsic"
    assert await called(rpc, apply, rpc.node.transfer(ALICE, DAVE).hex()) == b"\0\0"
    assert await called(rpc, apply, rpc.node.transfer(ALICE, DAVE, nonce=9).hex()) == bytes([1, 0, 2])
    rpc.trusted = True
    assert await rpc.call("system_dryRun", f"0x{rpc.node.transfer(ALICE, DAVE).hex()}") == "0x0000"


INHERENT_DATA = codec_for(InherentData)


def inherent_data(now_ms: int) -> bytes:
    return INHERENT_DATA.encode(InherentData(((b"timstap0", codec_for(U64).encode(now_ms)),)))


async def test_inherents_are_made_of_the_inherent_data(rpc: RpcNode) -> None:
    made = await called(rpc, "BlockBuilder_inherent_extrinsics", inherent_data(7_000).hex())
    (extrinsic,) = codec_for(tuple[Bytes, ...]).decode(made)
    call = rpc.node.runtime.extrinsic_codec.decode(with_length(extrinsic)).call
    assert (call.name, dict(call.arguments)) == ("Timestamp.set", {"now": 7_000})
    assert await called(rpc, "BlockBuilder_inherent_extrinsics", "0x00") == b"\0"


@pytest.mark.parametrize(
    ("ahead_ms", "expected"), [(-60_000, (True, False)), (30_000, (True, False)), (30_001, (False, True))]
)
async def test_a_time_too_far_ahead_is_a_fatal_inherent(
    rpc: RpcNode, ahead_ms: int, expected: tuple[bool, bool]
) -> None:
    header = await rpc.author()
    body = rpc.node.store.body(header.hash) or ()
    stated = rpc.node.runtime.extrinsic_codec.decode(body[0]).call.arguments["now"]
    block = header.encode() + codec_for(U8).encode(len(body) << 2) + b"".join(body)
    data = inherent_data(stated - ahead_ms)
    answer = await called(rpc, "BlockBuilder_check_inherents", (block + data).hex())
    result = codec_for(CheckInherentsResult).decode(answer)
    assert (result.okay, result.fatal_error) == expected
    assert bool(result.errors.data) is not result.okay


async def test_a_block_without_its_inherent_is_fatal(rpc: RpcNode) -> None:
    header = await rpc.author()
    for extrinsics in (b"\x00", b"\x04" + rpc.node.transfer(ALICE, DAVE)):
        answer = await called(
            rpc, "BlockBuilder_check_inherents", (header.encode() + extrinsics + inherent_data(1)).hex()
        )
        assert codec_for(CheckInherentsResult).decode(answer) == CheckInherentsResult(False, True, InherentData())
