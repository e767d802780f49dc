"""Who may enter a block: signed extensions, limits and eras, for the block and for the pool alike."""


from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from node.keys.keypair import Keypair
from pallets.system import ExtrinsicSuccess
from runtime import limits
from runtime.account import Address32
from runtime.call import RuntimeCall
from runtime.crypto import Ecdsa, Sr25519
from runtime.era import Mortal
from runtime.errors import (
    InvalidTransaction,
    MalformedTransaction,
    Validity,
)
from runtime.extrinsic import (
    EXTRA_CODEC,
    Extra,
    MetadataHashMode,
    additional_bytes,
    multi_signature,
    signing_payload,
)
from runtime.transition import validate_transaction
from runtime.weights import NORMAL
from tests.runtime.conftest import (
    TinyChain,
    events_of,
    make_signer,
    system_of,
)


def kind_of(chain: TinyChain, data: bytes) -> Validity:
    """Return why an extrinsic is refused, by the block and equally by the pool (unless it is only early)."""
    execution = chain.begin()
    before = execution.overlay.changes()
    with pytest.raises(InvalidTransaction) as caught:
        execution.apply(data)
    assert execution.overlay.changes() == before
    assert len(execution.extrinsics) == 1
    if caught.value.kind is Validity.FUTURE:
        validate_transaction(chain.runtime, chain.head, chain.state, data)
    else:
        with pytest.raises(InvalidTransaction) as pooled:
            validate_transaction(chain.runtime, chain.head, chain.state, data)
        assert pooled.value.kind is caught.value.kind
    return caught.value.kind


def test_a_used_nonce_is_stale(chain: TinyChain, alice: Keypair) -> None:
    execution = chain.begin()
    execution.apply(chain.signed(alice, "count", amount=1))
    chain.commit(execution.finalize())
    assert kind_of(chain, chain.signed(alice, "count", amount=1)) is Validity.STALE


def test_a_nonce_ahead_is_future_and_requires_the_one_before(chain: TinyChain, alice: Keypair) -> None:
    data = chain.signed(alice, "count", amount=1, nonce=2)
    assert kind_of(chain, data) is Validity.FUTURE
    validity = validate_transaction(chain.runtime, chain.head, chain.state, data)
    second = validate_transaction(chain.runtime, chain.head, chain.state, chain.signed(alice, "count", 1, amount=1))
    first = validate_transaction(chain.runtime, chain.head, chain.state, chain.signed(alice, "count", 0, amount=1))
    assert validity.requires == second.provides
    assert second.requires == first.provides
    assert first.requires == ()
    assert (validity.sender, validity.nonce) == (alice.account_id, 2)


def test_a_signature_over_another_genesis_is_bad(chain: TinyChain, alice: Keypair) -> None:
    assert kind_of(chain, chain.signed(alice, "count", amount=1, genesis_hash=bytes(32))) is Validity.BAD_PROOF


def test_a_signature_for_another_runtime_version_is_bad(chain: TinyChain, alice: Keypair) -> None:
    version = chain.runtime.version
    chain.runtime.version = replace(version, spec_version=version.spec_version + 1)
    data = chain.signed(alice, "count", amount=1)
    chain.runtime.version = replace(version, transaction_version=version.transaction_version + 1)
    other = chain.signed(alice, "count", amount=1)
    chain.runtime.version = version
    assert kind_of(chain, data) is Validity.BAD_PROOF
    assert kind_of(chain, other) is Validity.BAD_PROOF


def test_every_altered_byte_of_the_signed_part_is_noticed(chain: TinyChain, alice: Keypair) -> None:
    data = chain.signed(alice, "count", amount=1)
    execution = chain.begin()
    for position in range(4, len(data)):
        altered = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        with pytest.raises(InvalidTransaction):
            execution.apply(altered)
    assert len(execution.extrinsics) == 1
    execution.apply(data)


@pytest.mark.parametrize("signature", [Ecdsa(bytes(65)), Sr25519(bytes(64))])
def test_signatures_of_other_schemes_are_bad(chain: TinyChain, alice: Keypair, signature: Any) -> None:
    extrinsic = chain.runtime.extrinsic_codec.decode(chain.signed(alice, "count", amount=1))
    assert extrinsic.signed is not None
    data = chain.runtime.extrinsic_codec.encode_signed(
        extrinsic.signed.address, signature, extrinsic.signed.extra, extrinsic.call
    )
    assert kind_of(chain, data) is Validity.BAD_PROOF


def test_other_addresses_cannot_be_looked_up(chain: TinyChain, alice: Keypair) -> None:
    extrinsic = chain.runtime.extrinsic_codec.decode(chain.signed(alice, "count", amount=1))
    assert extrinsic.signed is not None
    data = chain.runtime.extrinsic_codec.encode_signed(
        Address32(alice.account_id), extrinsic.signed.signature, extrinsic.signed.extra, extrinsic.call
    )
    assert kind_of(chain, data) is Validity.CANNOT_LOOKUP


def test_the_zero_account_may_not_sign(chain: TinyChain, alice: Keypair) -> None:
    assert kind_of(chain, chain.signed(replace(alice, public_key=bytes(32)), "count", amount=1)) is Validity.BAD_SIGNER


def test_an_account_that_does_not_exist_cannot_pay(chain: TinyChain) -> None:
    assert kind_of(chain, chain.signed(make_signer("stranger"), "count", amount=1)) is Validity.PAYMENT


def test_the_metadata_hash_extension_is_refused_when_enabled(chain: TinyChain, alice: Keypair) -> None:
    codec = chain.runtime.extrinsic_codec
    call = RuntimeCall("Counter", "count", {"amount": 1})
    extra = Extra(Mortal(64, 0), 0, 0, MetadataHashMode.ENABLED)
    genesis = chain.genesis.header.hash
    additional = additional_bytes(chain.runtime.version, genesis, genesis)
    message = signing_payload(codec.call_codec.encode(call), EXTRA_CODEC.encode(extra), additional)
    signed = codec.decode(chain.signed(alice, "count", amount=1)).signed
    assert signed is not None
    data = codec.encode_signed(signed.address, multi_signature(alice, message), extra, call)
    assert kind_of(chain, data) is Validity.CANNOT_LOOKUP


def test_a_mandatory_call_may_not_be_signed(chain: TinyChain, alice: Keypair) -> None:
    assert kind_of(chain, chain.signed(alice, "forbidden")) is Validity.MANDATORY_VALIDATION
    assert kind_of(chain, chain.signed(alice, "set_moment", now=2)) is Validity.MANDATORY_VALIDATION


def test_a_bare_extrinsic_that_is_no_inherent_is_refused(chain: TinyChain) -> None:
    bare = chain.runtime.extrinsic_codec.encode_bare(RuntimeCall("Counter", "count", {"amount": 1}))
    assert kind_of(chain, bare) is Validity.NO_UNSIGNED_VALIDATOR


def test_an_inherent_comes_from_the_author_only(chain: TinyChain) -> None:
    bare = chain.runtime.extrinsic_codec.encode_bare(RuntimeCall("Counter", "set_moment", {"now": 2}))
    with pytest.raises(InvalidTransaction) as pooled:
        validate_transaction(chain.runtime, chain.head, chain.state, bare)
    assert pooled.value.kind is Validity.MANDATORY_VALIDATION


def test_an_overweight_call_exhausts_resources(chain: TinyChain, alice: Keypair) -> None:
    assert kind_of(chain, chain.signed(alice, "heavy")) is Validity.EXHAUSTS_RESOURCES


@pytest.mark.parametrize("data", [b"", b"\0", b"\4\x84", bytes(100), b"\x18\x04\x07\x02", b"\x0c\x04\x63\x00"])
def test_what_is_no_extrinsic_is_malformed(chain: TinyChain, data: bytes) -> None:
    execution = chain.begin()
    with pytest.raises(MalformedTransaction):
        execution.apply(data)
    with pytest.raises(MalformedTransaction):
        validate_transaction(chain.runtime, chain.head, chain.state, data)


def test_unknown_calls_are_malformed_and_say_where(chain: TinyChain, alice: Keypair) -> None:
    data = chain.signed(alice, "count", amount=1)
    for altered, reason in (
        (data[:-10] + b"\x63" + data[-9:], "no pallet 99"),
        (data[:-9] + b"\x63" + data[-8:], "pallet 7 has no call 99"),
    ):
        with pytest.raises(MalformedTransaction, match=f"at byte .*{reason}"):
            chain.begin().apply(altered)


# Limits of a block


def test_normal_calls_leave_the_reserve_to_operational_ones(chain: TinyChain, alice: Keypair, bob: Keypair) -> None:
    execution = chain.begin()
    with chain.runtime.bind(execution.overlay):
        share = system_of(chain).config.block_weights.per_class.normal.max_total
        assert share is not None
        system_of(chain).register_weight(share, NORMAL)
    with pytest.raises(InvalidTransaction) as caught:
        execution.apply(chain.signed(alice, "count", amount=1))
    assert caught.value.kind is Validity.EXHAUSTS_RESOURCES
    execution.apply(chain.signed(bob, "wrap", inner=RuntimeCall("Counter", "count", {"amount": 1})))


def test_weight_that_was_not_used_is_given_back(chain: TinyChain, alice: Keypair) -> None:
    execution = chain.begin()
    for nonce in range(4):
        assert execution.apply(chain.signed(alice, "large", nonce=nonce)).error is None
    executed = execution.finalize()
    success = events_of(executed, 2)[-1]
    assert isinstance(success, ExtrinsicSuccess)
    assert success.dispatch_info.weight.ref_time == 10**9


def test_a_block_is_full_at_its_normal_length(chain: TinyChain, alice: Keypair) -> None:
    execution = chain.begin()
    remark = RuntimeCall("System", "remark", {"remark": bytes(500_000)})
    sizes = []
    for nonce in range(9):
        wrapped = chain.signed(alice, "wrap", nonce=nonce, inner=remark)
        sizes.append(len(wrapped))
        execution.apply(wrapped)
    with pytest.raises(InvalidTransaction, match="all extrinsics") as caught:
        execution.apply(chain.signed(alice, "count", nonce=9, amount=1))
    assert caught.value.kind is Validity.EXHAUSTS_RESOURCES
    assert sum(sizes) > limits.BLOCK_LENGTH_BYTES * 3 // 4
    execution.finalize()


def test_an_extrinsic_that_peers_would_not_pass_on_is_refused_before_it_is_decoded(chain: TinyChain) -> None:
    assert kind_of(chain, bytes(limits.EXTRINSIC_LENGTH_BYTES + 1)) is Validity.EXHAUSTS_RESOURCES


# Eras


def test_a_mortal_extrinsic_lives_as_long_as_its_era(chain: TinyChain, alice: Keypair) -> None:
    born = chain.head
    mortal = chain.signed(alice, "count", amount=1, era=Mortal(4, 0), era_block_hash=born.hash)
    for number in range(1, 4):
        validity = validate_transaction(chain.runtime, chain.head, chain.state, mortal)
        assert validity.longevity == 4 - number
        chain.commit(chain.begin().finalize())
    assert kind_of(chain, mortal) is Validity.ANCIENT_BIRTH_BLOCK
    chain.commit(chain.begin().finalize())
    assert kind_of(chain, mortal) is Validity.BAD_PROOF


def test_an_era_born_in_the_block_itself_has_no_hash_yet(chain: TinyChain, alice: Keypair) -> None:
    early = chain.signed(alice, "count", amount=1, era=Mortal(4, 1), era_block_hash=bytes(32))
    assert kind_of(chain, early) is Validity.ANCIENT_BIRTH_BLOCK


def test_an_era_can_begin_at_the_head(chain: TinyChain, alice: Keypair) -> None:
    chain.commit(chain.begin().finalize())
    data = chain.signed(alice, "count", amount=1, era=Mortal(8, 1), era_block_hash=chain.head.hash)
    assert validate_transaction(chain.runtime, chain.head, chain.state, data).longevity == 7
    assert chain.begin().apply(data).error is None
