"""`author_*`: what is taken into the pool, and the code and reason of every refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from node.keys.derivation import keypair_from_uri
from node.rpc import errors
from runtime.account import Id, Index
from runtime.call import RuntimeCall
from runtime.crypto import blake2_256
from runtime.era import Immortal, Mortal
from runtime.extrinsic import sign_extrinsic, with_length
from runtime.limits import EXTRINSIC_LENGTH_BYTES
from tests.node.chain.conftest import ALICE, BOB, CHARLIE, DAVE
from tests.node.rpc.conftest import RpcNode

TOO_LOW_PRIORITY = "The transaction has too low priority to replace another transaction already in the pool."
STRANGER = keypair_from_uri("//Stranger")


def signed(rpc: RpcNode, call: RuntimeCall, **options: Any) -> bytes:
    """An extrinsic of Alice's that is right but for what `options` change."""
    runtime = rpc.node.runtime
    defaults = {"nonce": 0, "genesis_hash": rpc.node.store.genesis_hash, "era": Immortal()}
    return sign_extrinsic(runtime.extrinsic_codec, runtime.version, call, ALICE, **{**defaults, **options})


def transfer(value: int = 1_000_000) -> RuntimeCall:
    return RuntimeCall("Balances", "transfer_keep_alive", {"dest": Id(DAVE.account_id), "value": value})


def submittable(extrinsic: bytes) -> str:
    return f"0x{extrinsic.hex()}"


async def test_a_good_transaction_is_taken_and_shown(rpc: RpcNode) -> None:
    extrinsic = rpc.node.transfer(ALICE, DAVE)
    assert await rpc.call("author_submitExtrinsic", submittable(extrinsic)) == f"0x{blake2_256(extrinsic).hex()}"
    assert await rpc.call("author_pendingExtrinsics") == [submittable(extrinsic)]
    await rpc.author()
    assert await rpc.call("author_pendingExtrinsics") == []


async def test_a_transaction_with_a_later_nonce_waits(rpc: RpcNode) -> None:
    later = rpc.node.transfer(ALICE, DAVE, nonce=1)
    await rpc.call("author_submitExtrinsic", submittable(later))
    await rpc.author()
    assert await rpc.call("author_pendingExtrinsics") == [submittable(later)]
    await rpc.call("author_submitExtrinsic", submittable(rpc.node.transfer(ALICE, DAVE, nonce=0)))
    await rpc.author()
    assert await rpc.call("author_pendingExtrinsics") == []


def stale(rpc: RpcNode) -> bytes:
    return signed(rpc, transfer(2_000_000))


def bad_signature(rpc: RpcNode) -> bytes:
    extrinsic = bytearray(signed(rpc, transfer(), nonce=1))
    extrinsic[-1] ^= 1
    return bytes(extrinsic)


def wrong_genesis(rpc: RpcNode) -> bytes:
    return signed(rpc, transfer(), nonce=1, genesis_hash=bytes(32))


def wrong_birth(rpc: RpcNode) -> bytes:
    return signed(rpc, transfer(), nonce=1, era=Mortal(64, 0), era_block_hash=bytes(32))


def ancient(rpc: RpcNode) -> bytes:
    """Born in block 60 of an era that began before this chain had sixty blocks: no such block is known."""
    return signed(rpc, transfer(), nonce=1, era=Mortal(64, 60), era_block_hash=bytes(32))


def unfundable(rpc: RpcNode) -> bytes:
    return signed(rpc, transfer(), nonce=1, tip=2**100)


def without_account(rpc: RpcNode) -> bytes:
    return rpc.node.transfer(STRANGER, DAVE, nonce=0)


def unsigned(rpc: RpcNode) -> bytes:
    return rpc.node.runtime.extrinsic_codec.encode_bare(transfer())


def mandatory(rpc: RpcNode) -> bytes:
    return signed(rpc, RuntimeCall("Timestamp", "set", {"now": 1}), nonce=1)


def inherent(rpc: RpcNode) -> bytes:
    return rpc.node.runtime.extrinsic_codec.encode_bare(RuntimeCall("Timestamp", "set", {"now": 1}))


def too_long(rpc: RpcNode) -> bytes:
    return signed(rpc, RuntimeCall("System", "remark", {"remark": bytes(EXTRINSIC_LENGTH_BYTES)}), nonce=1)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (stale, "Transaction is outdated"),
        (bad_signature, "Transaction has a bad signature"),
        (wrong_genesis, "Transaction has a bad signature"),
        (wrong_birth, "Transaction has a bad signature"),
        (ancient, "Transaction has an ancient birth block"),
        (unfundable, "Inability to pay some fees (e.g. account balance too low)"),
        (without_account, "Inability to pay some fees (e.g. account balance too low)"),
        (mandatory, "Transaction dispatch is mandatory; transactions must not be validated."),
        (inherent, "Transaction dispatch is mandatory; transactions must not be validated."),
        (too_long, "Transaction would exhaust the block limits"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_an_invalid_transaction_is_1010_with_substrates_reason(
    rpc: RpcNode, make: Callable[[RpcNode], bytes], reason: str
) -> None:
    await rpc.call("author_submitExtrinsic", submittable(signed(rpc, transfer())))
    await rpc.author()
    error = await rpc.error("author_submitExtrinsic", submittable(make(rpc)))
    assert (error["code"], error["message"]) == (errors.INVALID_TRANSACTION, "Invalid Transaction")
    assert error["data"] == reason
    assert await rpc.call("author_pendingExtrinsics") == []


async def test_an_address_that_cannot_be_looked_up_is_1011(rpc: RpcNode) -> None:
    codec = rpc.node.runtime.extrinsic_codec
    extrinsic = signed(rpc, transfer())
    address = Index(7)
    by_index = swap_sender(extrinsic, bytes([1, address.index << 2]))
    assert codec.decode(by_index).signed is not None
    error = await rpc.error("author_submitExtrinsic", submittable(by_index))
    assert (error["code"], error["message"]) == (errors.UNKNOWN_VALIDITY, "Unknown Transaction Validity")
    assert error["data"] == "CannotLookup"


async def test_a_call_that_nobody_vouches_for_unsigned_is_1011(rpc: RpcNode) -> None:
    error = await rpc.error("author_submitExtrinsic", submittable(unsigned(rpc)))
    assert (error["code"], error["message"]) == (errors.UNKNOWN_VALIDITY, "Unknown Transaction Validity")
    assert error["data"] == "NoUnsignedValidator"


def swap_sender(extrinsic: bytes, address: bytes) -> bytes:
    """The extrinsic (two bytes of length, the version, 33 bytes of address) with another address."""
    body = extrinsic[2:3] + address + extrinsic[2 + 1 + 33 :]
    return (len(body) << 2 | 1).to_bytes(2, "little") + body


Change = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    "change",
    [lambda data: b"", lambda data: data[:-1], lambda data: data + b"\0", lambda data: data[2:]],
    ids=["empty", "short", "long", "without length"],
)
async def test_bytes_that_are_no_extrinsic_are_1001_with_the_place(rpc: RpcNode, change: Change) -> None:
    error = await rpc.error("author_submitExtrinsic", submittable(change(signed(rpc, transfer()))))
    assert error["code"] == errors.BAD_FORMAT
    assert error["message"].startswith("Extrinsic has invalid format: ")
    assert "data" not in error


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: b"\x04\x05", "version byte"),
        (lambda data: data[:2] + b"\x85" + data[3:], "version byte"),
        (lambda data: data[:3] + b"\x09" + data[4:], "MultiAddress has no variant 9"),
        (lambda data: with_length(data[2:] + b"\0"), "left over after the call"),
        (lambda data: with_length(data[2:-1]), "at byte"),
    ],
    ids=["version 5", "version 5 signed", "unknown address", "a byte too many", "a byte too few"],
)
async def test_what_the_runtime_cannot_decode_is_1002_with_the_place(
    rpc: RpcNode, change: Change, reason: str
) -> None:
    error = await rpc.error("author_submitExtrinsic", submittable(change(signed(rpc, transfer()))))
    assert error["code"] == errors.VERIFICATION_FAILED
    assert error["message"] == f"Verification Error: {error['data']}"
    assert reason in error["data"]


async def test_what_is_in_the_pool_is_1013_with_its_hash(rpc: RpcNode) -> None:
    extrinsic = rpc.node.transfer(ALICE, DAVE)
    known = await rpc.call("author_submitExtrinsic", submittable(extrinsic))
    error = await rpc.error("author_submitExtrinsic", submittable(extrinsic))
    assert (error["code"], error["data"]) == (errors.ALREADY_IMPORTED, known)


async def test_a_replacement_that_pays_no_more_is_1014(rpc: RpcNode) -> None:
    first, better = (rpc.node.transfer(ALICE, DAVE, nonce=0, tip=tip) for tip in (5, 6))
    await rpc.call("author_submitExtrinsic", submittable(first))
    same = rpc.node.transfer(ALICE, BOB, nonce=0, tip=5)
    error = await rpc.error("author_submitExtrinsic", submittable(same))
    assert error["code"] == errors.PRIORITY_TOO_LOW
    assert error["message"].startswith("Priority is too low: (")
    assert error["data"] == TOO_LOW_PRIORITY
    await rpc.call("author_submitExtrinsic", submittable(better))
    assert await rpc.call("author_pendingExtrinsics") == [submittable(better)]


async def test_what_was_found_invalid_in_a_block_is_1012_for_a_while(rpc: RpcNode) -> None:
    spent = rpc.node.transfer(BOB, DAVE)
    banned = await rpc.call("author_submitExtrinsic", submittable(spent))
    rpc.node.transactions.remove_invalid([bytes.fromhex(banned[2:])])
    error = await rpc.error("author_submitExtrinsic", submittable(spent))
    assert error["code"] == errors.TEMPORARILY_BANNED
    assert error == {"code": 1012, "message": "Transaction is temporarily banned"}


async def test_more_than_a_senders_share_of_the_pool_is_1016(rpc: RpcNode) -> None:
    for nonce in range(8):
        await rpc.call("author_submitExtrinsic", submittable(rpc.node.transfer(CHARLIE, DAVE, nonce=nonce)))
    error = await rpc.error("author_submitExtrinsic", submittable(rpc.node.transfer(CHARLIE, DAVE, nonce=8)))
    assert (error["code"], error["message"]) == (errors.IMMEDIATELY_DROPPED, "Immediately Dropped")
    assert error["data"] == "The transaction couldn't enter the pool because of the limit"


async def test_a_transaction_of_an_earlier_block_is_outdated_or_banned(rpc: RpcNode) -> None:
    extrinsic = submittable(rpc.node.transfer(ALICE, DAVE))
    await rpc.call("author_submitExtrinsic", extrinsic)
    await rpc.author()
    assert (await rpc.error("author_submitExtrinsic", extrinsic))["code"] in (
        errors.INVALID_TRANSACTION,
        errors.TEMPORARILY_BANNED,
    )
