from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore import crypto, merkle
from hypercore.errors import (
    BlockNotAvailable,
    HypercoreError,
    InvalidChecksum,
    InvalidOperation,
    InvalidRequest,
    InvalidSignature,
    RemoteProtocolError,
    StaleProof,
)
from hypercore.io.core import Core
from hypercore.manifest import Manifest, Prologue, Signer
from hypercore.merkle import Node
from hypercore.messages import Data, Request
from hypercore.proof import (
    BlockRequest,
    DataUpgrade,
    HashRequest,
    Proof,
    ProofRequest,
    SeekRequest,
    UpgradeRequest,
    create_proof,
    verify_head_from_nothing,
    verify_proof,
)

KEY_PAIR = crypto.KeyPair.from_seed(b"\x01" * 32)


def request_of(value: dict[str, Any]) -> ProofRequest:
    def part(name: str, kind: Any) -> Any:
        return kind(**value[name]) if value.get(name) else None

    return ProofRequest(
        0,
        part("block", BlockRequest),
        part("hash", HashRequest),
        part("seek", SeekRequest),
        part("upgrade", UpgradeRequest),
        bool(value.get("manifest")),
    )


def everything(core: Core) -> ProofRequest:
    return ProofRequest(core.fork, upgrade=UpgradeRequest(0, core.length), manifest=True)


def test_proofs_equal_the_golden_ones_and_lead_a_clone_to_the_golden_state(
    vectors: Callable[[str], Any], content: Callable[[str, int], bytes]
) -> None:
    for case in vectors("06_proofs")["cases"]:
        source = Core.create(None, key_pair=KEY_PAIR)
        clone = Core.open(None, source.key)
        for step in case["steps"]:
            wanted = case.get("length", step.get("sourceLength", source.length))
            source.append([content(case["kind"], index) for index in range(source.length, wanted)])
            request = request_of(step["request"])
            assert Request.decode(bytes.fromhex(step["requestHex"])).proof == request
            if "error" in step:
                with pytest.raises(InvalidRequest):
                    source.proof(request)
                continue
            proof = source.proof(request)
            if "dataHex" in step:
                assert Data(1, proof).encode().hex() == step["dataHex"], (case["name"], request)
            clone.apply(proof)
            after = step["cloneAfter"]
            assert clone.length == after["length"]
            if "treeHash" in after:
                assert clone.tree_hash().hex() == after["treeHash"]
            if request.block is not None:
                assert clone.get(request.block.index) == source.get(request.block.index)


def _expect(clone: Core, case: dict[str, Any]) -> None:
    error = {
        "throws INVALID_CHECKSUM": InvalidChecksum,
        "throws INVALID_SIGNATURE": InvalidSignature,
        "throws INVALID_OPERATION": InvalidOperation,
    }.get(case["result"] if isinstance(case["result"], str) else "", HypercoreError)
    before = (clone.length, clone.fork, clone.tree_hash())
    if case["result"] is True:
        clone.apply(Data.decode(bytes.fromhex(case["dataHex"])).proof)
    else:
        with pytest.raises(error):
            clone.apply(Data.decode(bytes.fromhex(case["dataHex"])).proof)
        assert (clone.length, clone.fork, clone.tree_hash()) == before
    assert clone.length == case["cloneLength"], case["name"]


def test_tampered_first_messages_are_refused_with_the_golden_code(vectors: Callable[[str], Any]) -> None:
    key = Manifest.default(KEY_PAIR.public_key).key()
    for case in vectors("07_negative_proofs")["cases"]:
        _expect(Core.open(None, key), case)


def test_tampered_later_messages_are_refused_with_the_golden_code(vectors: Callable[[str], Any]) -> None:
    golden = vectors("07_negative_proofs")
    for case in golden["afterUpgrade"]:
        clone = Core.open(None, Manifest.default(KEY_PAIR.public_key).key())
        clone.apply(Data.decode(bytes.fromhex(golden["priorHex"])).proof)
        _expect(clone, case)


def test_every_changed_byte_of_a_proof_is_refused_or_changes_nothing(filled: Callable[..., Core]) -> None:
    source = filled(11)
    request = ProofRequest(0, block=BlockRequest(5, 0), upgrade=UpgradeRequest(0, 7), manifest=True)
    message = Data(1, source.proof(request)).encode()
    for position in range(len(message)):
        for bit in (1, 0x80):
            broken = bytearray(message)
            broken[position] ^= bit
            clone = Core.open(None, source.key)
            try:
                clone.apply(Data.decode(bytes(broken)).proof)
            except HypercoreError:
                assert clone.length == 0
                assert not clone.has(5)
                continue
            # What is left: request id, flags that drop a part, and numbers that no signature covers.
            assert clone.length in (0, source.length)
            assert clone.length == 0 or clone.tree_hash() == source.tree_hash()
            assert not clone.has(5) or clone.get(5) == source.get(5)


@settings(max_examples=60)
@given(st.data())
def test_random_requests_fill_a_clone_with_the_same_log(data: st.DataObject) -> None:
    source = Core.create(None, key_pair=KEY_PAIR, compat=data.draw(st.booleans()))
    clone = Core.open(None, source.key)
    for _ in range(data.draw(st.integers(1, 3))):
        source.append(
            [bytes([source.length % 256]) * size for size in data.draw(st.lists(st.integers(0, 9), min_size=1))]
        )
        growth = data.draw(st.integers(1, source.length - clone.length))
        upgrade = UpgradeRequest(clone.length, growth)
        block = data.draw(st.none() | st.integers(clone.length, clone.length + growth - 1))
        request = ProofRequest(
            0, upgrade=upgrade, manifest=True, block=None if block is None else BlockRequest(block, 0)
        )
        assert clone.apply(source.proof(request)).length_changed
        assert clone.length == source.length
        for index in data.draw(st.lists(st.integers(0, source.length - 1), max_size=12)):
            levels = clone.missing_nodes(2 * index)
            if data.draw(st.booleans()):
                clone.apply(source.proof(ProofRequest(0, block=BlockRequest(index, levels))))
                assert clone.get(index) == source.get(index)
            else:
                clone.apply(source.proof(ProofRequest(0, hash=HashRequest(2 * index, levels))))
    for index in range(source.length):
        clone.apply(source.proof(ProofRequest(0, block=BlockRequest(index, clone.missing_nodes(2 * index)))))
    assert [clone.get(index) for index in range(clone.length)] == [source.get(index) for index in range(source.length)]
    assert clone.contiguous_length == source.length
    assert clone.tree_hash() == source.tree_hash()


@settings(max_examples=60)
@given(st.integers(1, 40), st.data())
def test_a_partial_clone_proves_what_it_has_to_a_third_party(length: int, data: st.DataObject) -> None:
    source = Core.create(None, key_pair=KEY_PAIR)
    source.append([b"%d" % index for index in range(length)])
    middle, last = Core.open(None, source.key), Core.open(None, source.key)
    for copy, origin in ((middle, source), (last, middle)):
        copy.apply(origin.proof(everything(source)))
    chosen = data.draw(st.lists(st.integers(0, length - 1), unique=True))
    for copy, origin in ((middle, source), (last, middle)):
        for index in chosen:
            copy.apply(origin.proof(ProofRequest(0, block=BlockRequest(index, copy.missing_nodes(2 * index)))))
    assert [last.get(index) for index in chosen] == [source.get(index) for index in chosen]
    for index in set(range(length)) - set(chosen):
        with pytest.raises(BlockNotAvailable):
            middle.proof(ProofRequest(0, block=BlockRequest(index, middle.missing_nodes(2 * index))))


@settings(max_examples=80)
@given(st.data())
def test_any_request_is_answered_provably_or_refused(data: st.DataObject) -> None:
    numbers = st.integers(0, 30) | st.sampled_from([2**53 - 1, 2**40])
    source = Core.create(None, key_pair=KEY_PAIR)
    source.append([b"x" * (index % 5) for index in range(data.draw(st.integers(0, 20)))])
    request = ProofRequest(
        0,
        data.draw(st.none() | st.builds(BlockRequest, numbers, numbers)),
        data.draw(st.none() | st.builds(HashRequest, numbers, numbers)),
        data.draw(st.none() | st.builds(SeekRequest, numbers, st.integers(0, 9))),
        data.draw(st.none() | st.builds(UpgradeRequest, numbers, numbers)),
        data.draw(st.booleans()),
    )
    try:
        proof = source.proof(request)
    except (InvalidRequest, BlockNotAvailable):
        return
    if request.upgrade is None or request.upgrade.start == 0:
        clone = Core.open(None, source.key)
        if request.upgrade is None:
            clone.apply(source.proof(everything(source)))
        if request.upgrade is None or request.manifest:
            try:
                clone.apply(proof)
            except InvalidOperation:
                # The path asked for was too short to end at a node that the clone knows.
                assert request.upgrade is None


def test_sizes_shifted_between_two_hashes_never_reach_the_store(filled: Callable[..., Core]) -> None:
    source = filled(8)
    clone = Core.open(None, source.key)
    clone.apply(source.proof(everything(source)))
    honest = source.proof(ProofRequest(0, hash=HashRequest(4, clone.missing_nodes(4))))
    assert honest.hash is not None
    first, second, *rest = honest.hash.nodes
    shifted = (replace(first, size=first.size + 1), replace(second, size=second.size - 1), *rest)
    clone.apply(replace(honest, hash=replace(honest.hash, nodes=shifted)))
    for index in range(8):
        clone.apply(source.proof(ProofRequest(0, block=BlockRequest(index, clone.missing_nodes(2 * index)))))
        assert clone.get(index) == source.get(index)


def test_growth_that_a_clone_knows_by_now_still_delivers_its_block(filled: Callable[..., Core]) -> None:
    source = filled(5)
    clone = Core.open(None, source.key)
    late = source.proof(ProofRequest(0, block=BlockRequest(2, 0), upgrade=UpgradeRequest(0, 5), manifest=True))
    clone.apply(source.proof(everything(source)))
    applied = clone.apply(late)
    assert (applied.length_changed, applied.block_index) == (False, 2)
    assert clone.get(2) == source.get(2)


def test_growth_from_another_length_is_stale_and_not_a_fault(filled: Callable[..., Core]) -> None:
    source = filled(5)
    clone = Core.open(None, source.key)
    clone.apply(source.proof(everything(source)))
    source.append(b"more")
    for start in (0, 4):
        with pytest.raises(StaleProof):
            clone.apply(source.proof(ProofRequest(0, upgrade=UpgradeRequest(start, 6 - start))))


def test_surplus_nodes_are_refused(filled: Callable[..., Core]) -> None:
    source = filled(5)
    proof = source.proof(everything(source))
    assert proof.upgrade is not None
    surplus = replace(proof.upgrade, nodes=(*proof.upgrade.nodes, Node(10, 1, bytes(32))))
    with pytest.raises(InvalidOperation, match="does not need"):
        Core.open(None, source.key).apply(replace(proof, upgrade=surplus))


def test_a_proof_of_a_block_and_a_hash_at_once_is_refused(filled: Callable[..., Core]) -> None:
    source = filled(2)
    block = source.proof(ProofRequest(0, block=BlockRequest(0, 1)))
    hashed = source.proof(ProofRequest(0, hash=HashRequest(0, 1)))
    with pytest.raises(InvalidOperation):
        verify_proof(source.view(), replace(block, hash=hashed.hash))


def test_a_request_for_another_fork_is_stale(filled: Callable[..., Core]) -> None:
    with pytest.raises(StaleProof):
        filled(2).proof(ProofRequest(1, block=BlockRequest(0, 0)))


def test_an_empty_core_proves_nothing(filled: Callable[..., Core]) -> None:
    with pytest.raises(BlockNotAvailable):
        filled(0).proof(ProofRequest(0, upgrade=UpgradeRequest(0, 1)))


def test_a_higher_fork_is_adopted_from_its_own_head_and_keeps_common_blocks(filled: Callable[..., Core]) -> None:
    source = filled(12)
    clone = Core.open(None, source.key)
    clone.apply(source.proof(everything(source)))
    for index in range(12):
        clone.apply(source.proof(ProofRequest(0, block=BlockRequest(index, clone.missing_nodes(2 * index)))))
    source.truncate(9)
    source.append([b"other-9", b"other-10"])
    clone.apply(source.proof(everything(source)))
    assert (clone.fork, clone.length, clone.tree_hash()) == (1, 11, source.tree_hash())
    assert [clone.has(index) for index in range(12)] == [True] * 8 + [False] * 4
    for index in range(8, 11):
        clone.apply(source.proof(ProofRequest(1, block=BlockRequest(index, clone.missing_nodes(2 * index)))))
        assert clone.get(index) == source.get(index)


def test_a_lower_fork_is_never_adopted(filled: Callable[..., Core]) -> None:
    source = filled(4)
    old = source.proof(everything(source))
    source.truncate(2)
    clone = Core.open(None, source.key)
    clone.apply(source.proof(everything(source)))
    with pytest.raises(StaleProof):
        clone.apply(old)
    assert clone.length == 2


def test_a_higher_fork_that_is_not_signed_leaves_the_clone_as_it_was(filled: Callable[..., Core]) -> None:
    source = filled(4)
    clone = Core.open(None, source.key)
    clone.apply(source.proof(everything(source)))
    with pytest.raises(InvalidSignature):
        clone.apply(replace(source.proof(everything(source)), fork=1))
    with pytest.raises(StaleProof):
        clone.apply(replace(source.proof(ProofRequest(0, block=BlockRequest(0, 2))), fork=1))
    assert (clone.length, clone.fork) == (4, 0)


def test_a_head_is_verified_from_nothing_only_by_growth_from_zero(filled: Callable[..., Core]) -> None:
    source = filled(6)
    proof = source.proof(everything(source))
    head, manifest = verify_head_from_nothing(source.key, None, proof)
    assert (head.length, head.tree_hash, manifest) == (6, source.tree_hash(), source.manifest)
    with pytest.raises(InvalidOperation):
        verify_head_from_nothing(source.key, None, source.proof(ProofRequest(0, upgrade=UpgradeRequest(1, 5))))
    with pytest.raises(InvalidOperation):
        verify_head_from_nothing(source.key, None, Proof())
    with pytest.raises(InvalidOperation):
        verify_head_from_nothing(source.key, source.manifest, Proof(upgrade=DataUpgrade(0, 0, (), (), b"")))


def test_a_prologue_travels_whole_and_is_checked() -> None:
    blocks = [b"%d" % index for index in range(6)]
    start = merkle.tree_hash(merkle.append_batch((), blocks[:4]).roots)
    manifest = Manifest.create([Signer(KEY_PAIR.public_key)], prologue=Prologue(start, 4))
    source = Core.create(None, key_pair=KEY_PAIR, manifest=manifest)
    source.append(blocks)
    proof = source.proof(ProofRequest(0, upgrade=UpgradeRequest(0, 2), manifest=True))
    assert proof.upgrade is not None
    assert proof.upgrade.length == 4
    clone = Core.open(None, source.key)
    clone.apply(proof)
    assert clone.tree_hash() == source.tree_hash()
    other = Core.create(None, key_pair=KEY_PAIR, manifest=manifest)
    other.append([b"x" * 3, *blocks[1:]])
    with pytest.raises(InvalidChecksum):
        Core.open(None, source.key).apply(create_proof(other.view(), everything(source)))


def test_proof_errors_are_the_peers_fault() -> None:
    assert issubclass(InvalidChecksum, RemoteProtocolError)
    assert [error.code for error in (InvalidChecksum, InvalidSignature, InvalidOperation)] == [
        "INVALID_CHECKSUM",
        "INVALID_SIGNATURE",
        "INVALID_OPERATION",
    ]
