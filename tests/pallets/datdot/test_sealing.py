"""Opening and checking sealed chunks: one form opens, everything else is refused with its reason."""

import hashlib
import random
from dataclasses import replace

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.roles.seal_key import SealKey, seal_chunk
from pallets.datdot import sealing
from pallets.datdot.sealing import (
    CHUNK_MAX_BYTES,
    Lane,
    SealingError,
    SealingFault,
    check_fraud,
    mask,
    max_sealed_bytes,
    open_chunk,
    sealed_length,
    sealed_size_bytes,
)

KEY = SealKey.generate(1_024, random.Random(1).getrandbits)
OTHER_KEY = SealKey.generate(1_024, random.Random(2).getrandbits)
LARGE_KEY = SealKey.generate(2_048, random.Random(3).getrandbits)
LANE = Lane(bytes(range(32)), 7, 1, KEY.public)
LARGE_LANE = replace(LANE, key=LARGE_KEY.public)
BLOCK = 128
RANDOM_CHUNK = random.Random(4).randbytes(CHUNK_MAX_BYTES)
SEALED_RANDOM_CHUNK = seal_chunk(LANE, KEY, 3, RANDOM_CHUNK)
SMALL_CHUNK = random.Random(5).randbytes(300)
SEALED_SMALL_CHUNK = seal_chunk(LANE, KEY, 3, SMALL_CHUNK)

CHUNKS = {
    "empty": b"",
    "one byte": b"\0",
    "invalid UTF-8": b"\xff\xfe\x41",
    "one block exactly": random.Random(6).randbytes(126 - 9),
    "one byte more than a block": random.Random(6).randbytes(126 - 8),
    "just below 16 KiB": random.Random(7).randbytes(16_383),
    "16 KiB": random.Random(7).randbytes(16_384),
    "just above 16 KiB": random.Random(7).randbytes(16_385),
    "text": b"A chunk of text compresses well. " * 1_900,
    "largest of zeros": bytes(CHUNK_MAX_BYTES),
}


def sealed_payload(payload: bytes, chunk_index: int = 3) -> bytes:
    """What a lying encoder makes: any payload of whole blocks, properly masked and signed."""
    sealed, previous = b"", bytes(BLOCK)
    for number in range(len(payload) // (BLOCK - 2)):
        data = payload[number * (BLOCK - 2) : (number + 1) * (BLOCK - 2)]
        hidden = mask(LANE, chunk_index, number, previous)
        previous = KEY.sign(int.from_bytes(data, "big") ^ int.from_bytes(hidden, "big")).to_bytes(BLOCK, "big")
        sealed += previous
    return sealed


def payload_of(form: int, chunk_bytes: int, stored_bytes: int, stored: bytes, blocks: int) -> bytes:
    header = bytes([form]) + chunk_bytes.to_bytes(4, "big") + stored_bytes.to_bytes(4, "big")
    return (header + stored).ljust(blocks * (BLOCK - 2), b"\0")


def fault_of(sealed: bytes, lane: Lane = LANE, chunk_index: int = 3) -> SealingFault:
    with pytest.raises(SealingError) as caught:
        open_chunk(lane, chunk_index, sealed)
    return caught.value.fault


@pytest.mark.parametrize("name", CHUNKS)
def test_every_chunk_comes_back_as_it_was(name: str) -> None:
    assert open_chunk(LANE, 3, seal_chunk(LANE, KEY, 3, CHUNKS[name])) == CHUNKS[name]


def test_the_largest_random_chunk_comes_back_and_has_the_largest_size() -> None:
    assert open_chunk(LANE, 3, SEALED_RANDOM_CHUNK) == RANDOM_CHUNK
    assert len(SEALED_RANDOM_CHUNK) == max_sealed_bytes(1_024) == 66_688


@pytest.mark.parametrize("chunk", [b"", SMALL_CHUNK, CHUNKS["text"]], ids=["empty", "random", "text"])
def test_keys_of_2048_bits_work_alike(chunk: bytes) -> None:
    sealed = seal_chunk(LARGE_LANE, LARGE_KEY, 0, chunk)
    assert len(sealed) % 256 == 0
    assert open_chunk(LARGE_LANE, 0, sealed) == chunk


@settings(max_examples=40)
@given(chunk=st.binary(max_size=600), index=st.integers(0, 2**64 - 1))
def test_opening_undoes_sealing(chunk: bytes, index: int) -> None:
    sealed = seal_chunk(LANE, KEY, index, chunk)
    assert open_chunk(LANE, index, sealed) == chunk
    assert sealed_length(LANE, index, sealed[:BLOCK]) == len(sealed)
    assert not check_fraud(LANE, index, sealed, chunk)


def test_sizes_are_whole_blocks_that_hold_header_and_chunk() -> None:
    assert [sealed_size_bytes(stored, 1_024) for stored in (0, 117, 118, 243, 244)] == [128, 128, 256, 256, 384]
    assert max_sealed_bytes(2_048) == 66_304


def test_the_mask_is_the_documented_hash() -> None:
    previous = bytes(range(128))
    key_hash = hashlib.blake2b(
        b"dd/seal-key/v1" + b"\x04\x00" + KEY.public.modulus.to_bytes(128, "big") + b"\x00\x01\x00\x01", digest_size=32
    ).digest()
    text = (
        b"dd/mask/v1" + bytes(range(32)) + bytes(7) + b"\x07\x01" + key_hash
        + bytes(7) + b"\x09" + b"\x00\x00\x00\x05" + previous
    )  # fmt: skip
    assert KEY.public.key_hash() == key_hash
    assert mask(LANE, 9, 5, previous) == hashlib.shake_256(text).digest(126)


def test_a_block_is_the_masked_data_raised_to_the_private_exponent() -> None:
    exponent = pow(65_537, -1, (KEY.prime_p - 1) * (KEY.prime_q - 1))
    data = payload_of(0, 2, 2, b"ab", 1)
    hidden = bytes(left ^ right for left, right in zip(data, mask(LANE, 0, 0, bytes(128)), strict=True))
    expected = pow(int.from_bytes(hidden, "big"), exponent, KEY.public.modulus)
    assert seal_chunk(LANE, KEY, 0, b"ab") == expected.to_bytes(128, "big")


@pytest.mark.parametrize(
    ("block_number", "previous"), [(-1, bytes(128)), (1 << 32, bytes(128)), (0, bytes(127)), (0, b"")]
)
def test_a_mask_needs_a_block_number_and_a_whole_previous_block(block_number: int, previous: bytes) -> None:
    with pytest.raises(SealingError):
        mask(LANE, 0, block_number, previous)


def test_a_mask_differs_in_every_field() -> None:
    previous = bytes(128)
    lanes = [
        LANE,
        replace(LANE, genesis=bytes(32)),
        replace(LANE, amendment=8),
        replace(LANE, position=2),
        replace(LANE, key=OTHER_KEY.public),
    ]
    masks = {mask(lane, 0, 0, previous) for lane in lanes}
    masks |= {mask(LANE, 1, 0, previous), mask(LANE, 0, 1, previous), mask(LANE, 0, 0, b"\1" * 128)}
    assert len(masks) == 8


@pytest.mark.parametrize(
    "lane",
    [
        replace(LANE, genesis=bytes(32)),
        replace(LANE, amendment=8),
        replace(LANE, position=0),
        replace(LANE, key=OTHER_KEY.public),
    ],
    ids=["genesis", "amendment", "position", "key"],
)
def test_a_sealed_chunk_does_not_open_in_another_lane(lane: Lane) -> None:
    with pytest.raises(SealingError):
        open_chunk(lane, 3, SEALED_SMALL_CHUNK)


def test_a_sealed_chunk_does_not_open_at_another_index() -> None:
    assert fault_of(SEALED_SMALL_CHUNK, chunk_index=4) is SealingFault.HEADER


def test_equal_chunks_at_two_indices_share_no_block() -> None:
    first, second = seal_chunk(LANE, KEY, 0, SMALL_CHUNK), seal_chunk(LANE, KEY, 1, SMALL_CHUNK)
    blocks = [sealed[start : start + BLOCK] for sealed in (first, second) for start in range(0, len(sealed), BLOCK)]
    assert len(set(blocks)) == len(blocks)


@pytest.mark.parametrize("position", range(0, len(SEALED_SMALL_CHUNK), 7))
def test_a_changed_byte_is_noticed(position: int) -> None:
    changed = bytearray(SEALED_SMALL_CHUNK)
    changed[position] ^= 0x40
    assert check_fraud(LANE, 3, bytes(changed), SMALL_CHUNK)


def test_swapped_blocks_are_noticed() -> None:
    first, second, rest = SEALED_SMALL_CHUNK[:BLOCK], SEALED_SMALL_CHUNK[BLOCK : 2 * BLOCK], SEALED_SMALL_CHUNK[256:]
    assert check_fraud(LANE, 3, second + first + rest, SMALL_CHUNK)


@pytest.mark.parametrize("length", [0, 1, 127, 129, 3 * 128 - 1, 3 * 128 + 1])
def test_sealed_bytes_are_whole_blocks(length: int) -> None:
    assert fault_of((SEALED_SMALL_CHUNK * 2)[:length]) is SealingFault.LENGTH


def test_a_missing_or_an_additional_block_is_refused() -> None:
    assert len(SEALED_SMALL_CHUNK) == 3 * BLOCK
    assert fault_of(SEALED_SMALL_CHUNK[:-BLOCK]) is SealingFault.LENGTH
    assert fault_of(sealed_payload(payload_of(0, 300, 300, SMALL_CHUNK, 4))) is SealingFault.LENGTH


def test_more_bytes_than_the_largest_chunk_needs_are_refused_unopened() -> None:
    assert fault_of(SEALED_RANDOM_CHUNK + SEALED_RANDOM_CHUNK[:BLOCK]) is SealingFault.LENGTH


def test_a_value_of_the_modulus_or_more_is_refused() -> None:
    modulus = KEY.public.modulus
    for value in (modulus, 2**1_024 - 1):
        assert fault_of(value.to_bytes(BLOCK, "big")) is SealingFault.RANGE
    # The same residue in its other form: opens alike in RSA, and must not be a second form of one block.
    residue = next(value for value in range(2, 100) if value + modulus < 2**1_024)
    assert fault_of((residue + modulus).to_bytes(BLOCK, "big")) is SealingFault.RANGE


@pytest.mark.parametrize("shift", [1, 8, 15])
def test_top_bytes_that_are_not_zero_are_refused(shift: int) -> None:
    value = 1 << (8 * (BLOCK - 2) + shift)
    assert fault_of(KEY.sign(value % KEY.public.modulus).to_bytes(BLOCK, "big")) is SealingFault.TOP_BYTES


@pytest.mark.parametrize(
    ("form", "chunk_bytes", "stored_bytes"),
    [
        (2, 10, 10),
        (255, 10, 10),
        (0, 10, 9),
        (0, 9, 10),
        (1, 10, 10),
        (1, 10, 11),
        (0, CHUNK_MAX_BYTES + 1, CHUNK_MAX_BYTES + 1),
        (1, CHUNK_MAX_BYTES + 1, 10),
        (0, 2**32 - 1, 2**32 - 1),
    ],
)
def test_a_header_that_contradicts_itself_is_refused(form: int, chunk_bytes: int, stored_bytes: int) -> None:
    sealed = sealed_payload(payload_of(form, chunk_bytes, stored_bytes, b"0123456789", 1))
    assert fault_of(sealed) is SealingFault.HEADER
    with pytest.raises(SealingError):
        sealed_length(LANE, 3, sealed)


@pytest.mark.parametrize("position", [9 + 10, 60, 125])
def test_padding_that_is_not_zero_is_refused(position: int) -> None:
    payload = bytearray(payload_of(0, 10, 10, b"0123456789", 1))
    payload[position] = 1
    assert fault_of(sealed_payload(bytes(payload))) is SealingFault.PADDING


def compressed_payload(stream: bytes, chunk_bytes: int) -> bytes:
    return sealed_payload(payload_of(1, chunk_bytes, len(stream), stream, -(-(9 + len(stream)) // 126)))


BOMB = brotli.compress(bytes(50_000_000), quality=5)
STREAM = brotli.compress(bytes(5_000), quality=5)
COMPRESSOR = brotli.Compressor(quality=5)
ENDLESS_STREAM = COMPRESSOR.process(bytes(5_000)) + COMPRESSOR.flush()


@pytest.mark.parametrize(
    ("stream", "chunk_bytes"),
    [
        (BOMB, CHUNK_MAX_BYTES),
        (BOMB, len(BOMB) + 1),
        (STREAM, 4_999),
        (STREAM, 5_001),
        (STREAM[:-1], 5_000),
        (STREAM + b"\0", 5_000),
        (STREAM + STREAM, 10_000),
        (ENDLESS_STREAM, 5_000),
        (b"", 1),
        (b"\xff" * 20, 5_000),
    ],
    ids=["bomb", "small bomb", "shorter", "longer", "cut", "trailing", "two", "endless", "nothing", "noise"],
)
def test_a_stream_that_is_not_exactly_the_chunk_is_refused(stream: bytes, chunk_bytes: int) -> None:
    assert fault_of(compressed_payload(stream, chunk_bytes)) is SealingFault.COMPRESSION


def test_an_exact_stream_opens() -> None:
    assert open_chunk(LANE, 3, compressed_payload(STREAM, 5_000)) == bytes(5_000)


def test_compression_is_used_only_where_it_saves_bytes() -> None:
    assert len(seal_chunk(LANE, KEY, 0, bytes(CHUNK_MAX_BYTES))) == BLOCK
    assert len(seal_chunk(LANE, KEY, 0, SMALL_CHUNK)) == sealed_size_bytes(len(SMALL_CHUNK), 1_024)


@settings(max_examples=60)
@given(sealed=st.binary(max_size=400))
def test_noise_never_opens_and_raises_nothing_else(sealed: bytes) -> None:
    with pytest.raises(SealingError):
        open_chunk(LANE, 0, sealed)


@pytest.mark.parametrize("chunk_index", [-1, 1 << 64])
def test_a_chunk_index_is_an_unsigned_64_bit_number(chunk_index: int) -> None:
    assert fault_of(SEALED_SMALL_CHUNK, chunk_index=chunk_index) is SealingFault.LANE


@pytest.mark.parametrize("block", [b"", bytes(127), bytes(256)])
def test_the_length_is_read_from_exactly_one_block(block: bytes) -> None:
    with pytest.raises(SealingError, match="bad length"):
        sealed_length(LANE, 3, block)


def test_chunks_of_a_stream_are_found_by_walking_their_first_blocks() -> None:
    chunks = [b"", SMALL_CHUNK, CHUNKS["text"], b"x" * 130]
    stream = b"".join(seal_chunk(LANE, KEY, index, chunk) for index, chunk in enumerate(chunks))
    offset, opened = 0, []
    for index in range(len(chunks)):
        length = sealed_length(LANE, index, stream[offset : offset + BLOCK])
        opened.append(open_chunk(LANE, index, stream[offset : offset + length]))
        offset += length
    assert opened == chunks
    assert offset == len(stream)


def test_an_honest_chunk_is_no_fraud_and_another_is() -> None:
    assert not check_fraud(LANE, 3, SEALED_SMALL_CHUNK, SMALL_CHUNK)
    assert check_fraud(LANE, 3, SEALED_SMALL_CHUNK, SMALL_CHUNK + b"\0")
    assert check_fraud(LANE, 3, SEALED_SMALL_CHUNK, b"")
    assert check_fraud(LANE, 3, b"", SMALL_CHUNK)
    assert check_fraud(LANE, 4, SEALED_SMALL_CHUNK, SMALL_CHUNK)


def test_the_public_side_offers_no_way_to_seal() -> None:
    assert not [name for name in sealing.__all__ if name.startswith("seal_")]


def test_who_knows_only_the_public_key_gets_nothing_that_opens_to_the_chunk() -> None:
    # The hoster's attempts: the plain payload, the masked payload, and the public exponent in place of the private one.
    payload = payload_of(0, 2, 2, b"ab", 1)
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(mask(LANE, 0, 0, bytes(BLOCK)), "big")
    attempts = [int.from_bytes(payload, "big"), masked, pow(masked, 65_537, KEY.public.modulus)]
    assert all(check_fraud(LANE, 0, attempt.to_bytes(BLOCK, "big"), b"ab") for attempt in attempts)
    stranger = replace(LANE, key=OTHER_KEY.public)
    assert check_fraud(LANE, 0, seal_chunk(stranger, OTHER_KEY, 0, b"ab"), b"ab")
