"""Frames are read strictly, and a receiver takes them in one order only."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields, replace
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore.proof import create_block_proof, encode_block_proof
from node.keys.derivation import keypair_from_uri
from node.net.cbor import encode
from node.roles.identity import ProviderIdentity
from node.roles.lane_protocol import (
    FRAME_TYPES,
    SCHEME,
    SEALED_MAX_BYTES,
    Bye,
    Chunk,
    Fault,
    FaultCode,
    Frame,
    Hello,
    LaneFault,
    LaneIntake,
    Offer,
    Sealed,
    Stored,
    decode_frame,
    encode_frame,
    lane_protocol,
)
from node.roles.market_view import LaneTerms
from node.roles.sealer import SealKey, seal_chunk
from pallets.datdot.sealing import Lane, LaneTree

from .world import small_core

GENESIS = bytes(range(32))
KEY = SealKey.generate(1_024)
CORE = small_core(5)
ENCODER = ProviderIdentity.of(keypair_from_uri("//Encoder"))
OTHER = ProviderIdentity.of(keypair_from_uri("//Other"))
TERMS = LaneTerms(
    genesis=GENESIS,
    contract=11,
    amendment=12,
    position=1,
    feed=10,
    feed_key=CORE.key,
    head=CORE.signed_head(),
    chunks=(1, 4),
    seal_key_bits=1_024,
    encoder=1,
    hoster=2,
    attestors=(3,),
    deadline=100,
)
LANE = Lane(GENESIS, 12, 1, KEY.public)
OFFER = Offer(12, 1, 2, SCHEME, KEY.public.to_bytes(), CORE.head_proof())
CHUNKS = [
    Chunk(
        number,
        seal_chunk(LANE, KEY, index, CORE.get(index)),
        encode_block_proof(create_block_proof(CORE.view(), index)),
    )
    for number, index in enumerate(TERMS.chunks)
]
COMMITMENT = LaneTree.of_chunks(12, 1, [chunk.sealed for chunk in CHUNKS]).commitment(KEY.public)
SEALED = Sealed.of(COMMITMENT, ENCODER.sign_commitment(GENESIS, 11, 12, 1, COMMITMENT))
FRAMES: list[Frame] = [
    Hello(1, GENESIS, 7, 42),
    OFFER,
    CHUNKS[0],
    SEALED,
    Stored(bytes(64)),
    Fault(FaultCode.DISK_FULL.value),
    Bye(),
]


def intake_after(chunks: int) -> LaneIntake:
    """A receiver that has taken the offer and so many chunks."""
    intake = LaneIntake(TERMS)
    intake.take_offer(OFFER)
    for number in range(chunks):
        intake.accept_chunk(CHUNKS[number], CORE.get(TERMS.chunks[number]))
    return intake


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_frames_survive_encoding(frame: Frame) -> None:
    assert decode_frame(encode_frame(frame)) == frame


def test_every_kind_of_frame_is_tested() -> None:
    assert tuple(type(frame) for frame in FRAMES) == FRAME_TYPES


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_frames_with_a_byte_more_or_less_or_another_kind_are_refused(frame: Frame) -> None:
    data = encode_frame(frame)
    kind = data[0]
    others = [bytes([other]) + data[1:] for other in range(256) if other != kind]
    for bad in (data + b"\0", data[:-1], b"", *others):
        with pytest.raises(LaneFault) as refused:
            decode_frame(bad)
        assert refused.value.code is FaultCode.BAD_FRAME


@pytest.mark.parametrize(
    ("frame", "changes"),
    [
        (FRAMES[0], {"genesis": bytes(31)}),
        (FRAMES[0], {"user": -1}),
        (FRAMES[0], {"user": 1 << 64}),
        (FRAMES[0], {"height": 1.0}),
        (OFFER, {"scheme": "rot13"}),
        (OFFER, {"modulus": bytes(257)}),
        (OFFER, {"head_proof": bytes(16_385)}),
        (OFFER, {"position": 256}),
        (CHUNKS[0], {"sealed": bytes(SEALED_MAX_BYTES + 1)}),
        (CHUNKS[0], {"sealed": "text"}),
        (CHUNKS[0], {"proof": bytes(8_193)}),
        (CHUNKS[0], {"number": True}),
        (SEALED, {"encoder_signature": bytes(63)}),
        (SEALED, {"extra": 1}),
        (FRAMES[4], {"hoster_signature": None}),
        (FRAMES[5], {"code": "because"}),
        (FRAMES[6], {"reason": "done"}),
    ],
)
def test_frames_out_of_bounds_are_refused(frame: Frame, changes: dict[str, Any]) -> None:
    values = {field.name: getattr(frame, field.name) for field in fields(frame)} | changes
    data = bytes([FRAME_TYPES.index(type(frame))]) + cbor2.dumps(values, canonical=True)
    with pytest.raises(LaneFault) as refused:
        decode_frame(data)
    assert refused.value.code is FaultCode.BAD_FRAME


def test_map_in_another_order_is_refused() -> None:
    values = {field.name: getattr(SEALED, field.name) for field in fields(SEALED)}
    shuffled = cbor2.dumps(dict(reversed(values.items())))
    assert shuffled != encode(SEALED)
    with pytest.raises(LaneFault):
        decode_frame(b"\x03" + shuffled)


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_no_bytes_make_the_decoder_fail_otherwise(data: bytes) -> None:
    frame: Frame | None = None
    with suppress(LaneFault):
        frame = decode_frame(data)
    assert frame is None or encode_frame(frame) == data


def test_protocol_id_names_the_chain() -> None:
    assert lane_protocol(GENESIS) == "/0001020304050607/datdot/lane/1"


def test_honest_lane_is_taken_in() -> None:
    intake = intake_after(2)
    assert intake.is_whole
    assert intake.take_sealed(SEALED, ENCODER.signing_key) == COMMITMENT


@pytest.mark.parametrize(
    "changes",
    [
        {"amendment": 13},
        {"position": 0},
        {"chunk_count": 1},
        {"chunk_count": 3},
        {"modulus": KEY.public.to_bytes()[:-1]},
        {"modulus": bytes(128)},
        {"modulus": (KEY.public.modulus - 1).to_bytes(128, "big")},
        {"modulus": (KEY.public.modulus | 1 << 1_023).to_bytes(128, "big") + bytes(1)},
        {"modulus": (3 * ((1 << 1_022) + 1)).to_bytes(128, "big")},
        {"head_proof": b""},
        {"head_proof": small_core(4).head_proof()},
        {"head_proof": small_core(5, "another").head_proof()},
    ],
)
def test_offer_of_another_lane_key_or_head_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(LaneFault) as refused:
        LaneIntake(TERMS).take_offer(replace(OFFER, **changes))
    assert refused.value.code is FaultCode.BAD_OFFER


def test_chunk_before_the_offer_is_refused() -> None:
    with pytest.raises(LaneFault, match="bad_chunk"):
        LaneIntake(TERMS).expect_chunk(CHUNKS[0])


@pytest.mark.parametrize(("before", "number"), [(0, 1), (1, 0), (1, 2), (2, 2), (2, 1)])
def test_chunks_out_of_order_are_refused(before: int, number: int) -> None:
    with pytest.raises(LaneFault, match="bad_chunk"):
        intake_after(before).expect_chunk(replace(CHUNKS[0], number=number))


@pytest.mark.parametrize("sealed", [b"", bytes(66_689)])
def test_chunk_that_can_hold_no_block_is_refused(sealed: bytes) -> None:
    with pytest.raises(LaneFault, match="bad_chunk"):
        intake_after(0).expect_chunk(replace(CHUNKS[0], sealed=sealed))


@pytest.mark.parametrize(
    ("opened", "proof"),
    [
        (CORE.get(1) + b"\0", CHUNKS[0].proof),
        (CORE.get(4), CHUNKS[1].proof),
        (CORE.get(1), CHUNKS[1].proof),
        (CORE.get(1), b""),
        (CORE.get(1), CHUNKS[0].proof[:-1]),
    ],
)
def test_content_that_is_not_the_feeds_block_is_refused(opened: bytes, proof: bytes) -> None:
    intake = intake_after(0)
    with pytest.raises(LaneFault, match="bad_chunk"):
        intake.accept_chunk(replace(CHUNKS[0], proof=proof), opened)
    assert intake.expect_chunk(CHUNKS[0]) == 1


@pytest.mark.parametrize("chunks", [0, 1])
def test_lane_that_ends_early_is_refused(chunks: int) -> None:
    with pytest.raises(LaneFault, match="bad_commitment"):
        intake_after(chunks).take_sealed(SEALED, ENCODER.signing_key)


@pytest.mark.parametrize(
    "changes",
    [
        {"root": bytes(32)},
        {"key_hash": bytes(32)},
        {"leaf_count": COMMITMENT.leaf_count + 1},
        {"total_bytes": COMMITMENT.total_bytes - 1},
        {"leaf_count": 0, "total_bytes": 0},
    ],
)
def test_commitment_of_other_bytes_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(LaneFault, match="bad_commitment"):
        intake_after(2).take_sealed(replace(SEALED, **changes), ENCODER.signing_key)


def test_commitment_that_somebody_else_signed_is_refused() -> None:
    forged = Sealed.of(COMMITMENT, OTHER.sign_commitment(GENESIS, 11, 12, 1, COMMITMENT))
    with pytest.raises(LaneFault, match="bad_signature"):
        intake_after(2).take_sealed(forged, ENCODER.signing_key)


@pytest.mark.parametrize(
    "place", [(bytes(32), 11, 12, 1), (GENESIS, 10, 12, 1), (GENESIS, 11, 13, 1), (GENESIS, 11, 12, 0)]
)
def test_signature_for_another_chain_contract_amendment_or_position_is_refused(
    place: tuple[bytes, int, int, int],
) -> None:
    forged = Sealed.of(COMMITMENT, ENCODER.sign_commitment(*place, COMMITMENT))
    with pytest.raises(LaneFault, match="bad_signature"):
        intake_after(2).take_sealed(forged, ENCODER.signing_key)


def test_keys_of_an_identity_differ_and_are_not_printed() -> None:
    assert len({ENCODER.account.account_id, ENCODER.noise_key, ENCODER.signing_key}) == 3
    shown = repr(ENCODER)
    assert ENCODER.noise_seed.hex() not in shown
    assert repr(ENCODER.noise_seed) not in shown
