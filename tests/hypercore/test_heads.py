from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore import crypto
from hypercore.errors import BlockNotAvailable, DecodeError, HypercoreError, InvalidOperation, InvalidProof
from hypercore.io.core import Core
from hypercore.manifest import Manifest
from hypercore.proof import (
    BlockProof,
    BlockSizesProof,
    HeadProof,
    ProofRequest,
    SizedHash,
    UpgradeRequest,
    create_block_proof,
    create_range_proof,
    decode_block_proof,
    decode_block_sizes_proof,
    decode_head_proof,
    encode_block_proof,
    encode_block_sizes_proof,
    encode_head_proof,
    verify_block,
    verify_block_sizes,
    verify_head_proof,
)

KEY_PAIR = crypto.KeyPair.from_seed(b"\x01" * 32)


@pytest.mark.parametrize("compat", [True, False])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 10, 100])
def test_a_published_head_is_verified_from_the_key_alone(
    length: int, compat: bool, filled: Callable[..., Core]
) -> None:
    core = filled(length, compat=compat)
    head = verify_head_proof(core.key, decode_head_proof(core.head_proof()))
    assert head == core.signed_head()
    assert (head.length, head.byte_length, head.tree_hash) == (length, core.byte_length, core.tree_hash())


def test_every_changed_byte_of_a_head_proof_is_refused(filled: Callable[..., Core]) -> None:
    core = filled(10)
    data = core.head_proof()
    unsigned_patch_number = len(data) - 2
    for position in set(range(len(data))) - {unsigned_patch_number}:
        broken = bytearray(data)
        broken[position] ^= 1
        with pytest.raises((InvalidProof, DecodeError)):
            verify_head_proof(core.key, decode_head_proof(bytes(broken)))
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            decode_head_proof(data[:size])
    with pytest.raises(DecodeError):
        decode_head_proof(data + b"\x00")


def test_a_head_counts_only_for_its_own_key(filled: Callable[..., Core]) -> None:
    proof = decode_head_proof(filled(3).head_proof())
    other = Manifest.default(crypto.KeyPair.from_seed(bytes(32)).public_key)
    for key in (bytes(32), other.key(), KEY_PAIR.public_key):
        with pytest.raises(HypercoreError):
            verify_head_proof(key, proof)
    with pytest.raises(DecodeError):
        verify_head_proof(b"short", proof)


@pytest.mark.parametrize(
    "change", [{"length": 0}, {"length": 2}, {"length": 4}, {"length": 2**60}, {"fork": 1}, {"fork": -1}]
)
def test_a_head_with_other_numbers_is_refused(change: dict[str, int], filled: Callable[..., Core]) -> None:
    core = filled(3)
    with pytest.raises(InvalidProof):
        verify_head_proof(core.key, replace(decode_head_proof(core.head_proof()), **change))


def test_oversized_parts_of_a_head_proof_are_refused(filled: Callable[..., Core]) -> None:
    proof = decode_head_proof(filled(3).head_proof())
    for change in ({"manifest": bytes(4097)}, {"signature": bytes(4097)}, {"nodes": proof.nodes * 33}):
        with pytest.raises(DecodeError):
            decode_head_proof(encode_head_proof(replace(proof, **change)))


def test_an_unsigned_core_has_no_head_to_publish(filled: Callable[..., Core]) -> None:
    with pytest.raises(HypercoreError, match="empty"):
        filled(0).head_proof()
    with pytest.raises(InvalidProof):
        verify_head_proof(bytes(32), HeadProof(None, 0, 0, (), b""))


@settings(max_examples=60)
@given(st.integers(1, 70), st.data())
def test_a_block_is_verified_against_the_stored_head_alone(length: int, data: st.DataObject) -> None:
    core = Core.create(None, key_pair=KEY_PAIR)
    core.append([b"%d" % index for index in range(length)])
    head = core.signed_head()
    index = data.draw(st.integers(0, length - 1))
    proof = decode_block_proof(encode_block_proof(create_block_proof(core.view(), index)))
    verify_block(head, index, core.get(index), proof)
    with pytest.raises(InvalidProof):
        verify_block(head, index, core.get(index) + b"\x00", proof)
    for other in {data.draw(st.integers(-1, length + 1)), length, -1} - {index}:
        with pytest.raises(InvalidProof):
            verify_block(head, other, core.get(index), proof)
    with pytest.raises(InvalidProof):
        verify_block(head, index, core.get(index), BlockProof((*proof.siblings, SizedHash(0, bytes(32)))))
    for position, sibling in enumerate(proof.siblings):
        for changed in (replace(sibling, size=sibling.size + 1), replace(sibling, hash=bytes(32))):
            siblings = (*proof.siblings[:position], changed, *proof.siblings[position + 1 :])
            with pytest.raises(InvalidProof):
                verify_block(head, index, core.get(index), BlockProof(siblings))
        with pytest.raises(InvalidProof):
            verify_block(head, index, core.get(index), BlockProof(proof.siblings[:position]))


@settings(max_examples=60)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=70), st.data())
def test_block_sizes_of_a_range_are_verified_against_the_stored_head_alone(
    sizes: list[int], data: st.DataObject
) -> None:
    core = Core.create(None, key_pair=KEY_PAIR)
    core.append([bytes([index]) * size for index, size in enumerate(sizes)])
    head = core.signed_head()
    first = data.draw(st.integers(0, len(sizes) - 1))
    last = data.draw(st.integers(first, len(sizes) - 1))
    proof = create_range_proof(core.view(), first, last)
    assert decode_block_sizes_proof(encode_block_sizes_proof(proof)) == proof
    assert verify_block_sizes(head, proof) == tuple(sizes[first : last + 1])
    largest = max(sizes[first : last + 1])
    neighbours = sizes[first - first % 2 : last + 1 + (last + 1) % 2]
    assert verify_block_sizes(head, proof, max(neighbours))
    if largest:
        with pytest.raises(InvalidProof, match="are allowed"):
            verify_block_sizes(head, proof, largest - 1)
    position = data.draw(st.integers(0, last - first))
    smaller = replace(proof.leaves[position], size=proof.leaves[position].size + 1)
    leaves = (*proof.leaves[:position], smaller, *proof.leaves[position + 1 :])
    for forged in (
        BlockSizesProof(first, leaves, proof.siblings),
        BlockSizesProof(first, proof.leaves[:-1], proof.siblings),
        BlockSizesProof(first, (), proof.siblings),
        BlockSizesProof(first + 1, proof.leaves, proof.siblings),
        BlockSizesProof(first, proof.leaves, proof.siblings[:-1] or (SizedHash(0, bytes(32)),)),
    ):
        with pytest.raises(InvalidProof):
            verify_block_sizes(head, forged)


def test_a_pair_may_lie_about_its_division_but_never_about_its_sum() -> None:
    core = Core.create(None, key_pair=KEY_PAIR)
    core.append([bytes(70_000), bytes(10), b"third"])
    head = core.signed_head()
    honest = create_range_proof(core.view(), 0, 1)
    with pytest.raises(InvalidProof, match="70000 bytes"):
        verify_block_sizes(head, honest)
    first, second = honest.leaves
    divided = replace(honest, leaves=(replace(first, size=35_005), replace(second, size=35_005)))
    assert sum(verify_block_sizes(head, divided)) == 70_010
    with pytest.raises(InvalidProof, match="tree hash"):
        verify_block_sizes(head, replace(honest, leaves=(replace(first, size=35_005), second)))
    # The content itself settles the matter.
    verify_block(head, 0, bytes(70_000), create_block_proof(core.view(), 0))


def test_the_range_proof_of_one_contract_is_compact(filled: Callable[..., Core]) -> None:
    core = filled(1000)
    assert len(encode_block_sizes_proof(create_range_proof(core.view(), 500, 509))) < 1000


def test_ranges_and_lists_are_bounded(filled: Callable[..., Core]) -> None:
    core = filled(3)
    for first, last in ((0, 3), (-1, 0), (2, 1)):
        with pytest.raises(InvalidOperation):
            create_range_proof(core.view(), first, last)
    many = (SizedHash(1, bytes(32)),) * 1025
    with pytest.raises(InvalidOperation):
        verify_block_sizes(core.signed_head(), BlockSizesProof(0, many, ()))
    with pytest.raises(DecodeError):
        decode_block_sizes_proof(encode_block_sizes_proof(BlockSizesProof(0, many, ())))
    with pytest.raises(DecodeError):
        decode_block_proof(encode_block_proof(BlockProof(many[:129])))


def test_a_copy_without_the_nodes_cannot_prove_a_block(filled: Callable[..., Core]) -> None:
    source = filled(8)
    clone = Core.open(None, source.key)
    clone.apply(source.proof(ProofRequest(0, upgrade=UpgradeRequest(0, 8), manifest=True)))
    with pytest.raises(BlockNotAvailable):
        create_block_proof(clone.view(), 3)


@given(st.binary(max_size=100))
def test_random_bytes_are_refused_with_a_decode_error(data: bytes) -> None:
    for decode in (decode_head_proof, decode_block_proof, decode_block_sizes_proof):
        try:
            decode(data)
        except DecodeError:
            continue


@pytest.mark.parametrize(("large", "shown"), [(0, 0), (1, 1), (2, 2), (3, 3)])
def test_a_large_block_cannot_hide_behind_a_neighbour_outside_of_the_range(large: int, shown: int) -> None:
    sizes = [5, 5, 5, 5, 5]
    sizes[large] = 200_000
    core = Core.create(None, key_pair=KEY_PAIR)
    core.append([bytes(size) for size in sizes])
    honest = create_range_proof(core.view(), shown, shown)
    neighbour = next(place for place, sibling in enumerate(honest.siblings) if sibling.size == 5)
    siblings = list(honest.siblings)
    siblings[neighbour] = SizedHash(200_000, siblings[neighbour].hash)
    forged = BlockSizesProof(shown, (SizedHash(5, honest.leaves[0].hash),), tuple(siblings))
    with pytest.raises(InvalidProof, match="neighbours"):
        verify_block_sizes(core.signed_head(), forged)


def test_a_last_block_without_a_neighbour_and_one_beside_a_block_of_full_size_are_proven() -> None:
    core = Core.create(None, key_pair=KEY_PAIR)
    core.append([bytes(65_536), bytes(65_536), bytes(65_536)])
    for index in range(3):
        assert verify_block_sizes(core.signed_head(), create_range_proof(core.view(), index, index)) == (65_536,)
