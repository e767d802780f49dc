"""Snapshots, user data, info, several signers, the writer's guard: what a core offers besides its blocks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore.crypto import KeyPair
from hypercore.errors import (
    BlockNotAvailable,
    CoreClosed,
    DecodeError,
    HeadUnconfirmed,
    InvalidProof,
    InvalidSignature,
    LocalProtocolError,
    ReadOnly,
    SnapshotNotAvailable,
    StoreCorrupt,
)
from hypercore.io import snapshot as snapshot_module
from hypercore.io.core import Core, Signed
from hypercore.io.files import MemoryDirectory
from hypercore.io.store_files import USER_DATA_BYTES_MAXIMUM
from hypercore.manifest import Manifest, Signer
from hypercore.quorum import SignaturePart, assemble, signable_length
from tests.hypercore.replicas import Link, make_writer, replicator_of

SIGNERS = [KeyPair.from_seed(bytes([number]) * 32) for number in range(1, 4)]


@settings(max_examples=60)
@given(st.data())
def test_a_snapshot_shows_the_log_as_it_was_whatever_happens_later(data: st.DataObject) -> None:
    core = make_writer(data.draw(st.integers(0, 12)))
    core.clear(3, 5)
    blocks = {index: core.get(index) for index in range(core.length) if core.has(index)}
    length, tree_hash = core.length, core.tree_hash()
    with core.snapshot() as view:
        for _ in range(data.draw(st.integers(1, 4))):
            change = data.draw(st.sampled_from(["append", "truncate", "clear"]))
            if change == "append":
                core.append([b"new"] * 3)
            elif change == "truncate":
                core.truncate(data.draw(st.integers(0, core.length)))
            else:
                core.clear(0, data.draw(st.integers(0, core.length)))
        assert (view.length, view.tree_hash()) == (length, tree_hash)
        assert {index: view.get(index) for index in range(length) if view.has(index)} == blocks
        for index in range(length):
            if index not in blocks:
                with pytest.raises(BlockNotAvailable):
                    view.get(index)


def test_a_snapshot_keeps_its_blocks_through_the_fork_of_a_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_module, "MEMORY_BYTES_MAXIMUM", 4)
    writer = make_writer(8)
    reader = Core.open(key=writer.key)
    replicator = replicator_of(reader)
    link = Link(replicator_of(writer), replicator)
    replicator.want(0, 6)
    link.settle()
    view = reader.snapshot()
    assert view.seek(view.byte_length) == (8, 0)
    writer.truncate(5)
    writer.append([b"other"] * 4)
    link.settle()
    assert reader.fork == 1
    assert view.get(5) == b"block-5"
    with pytest.raises(SnapshotNotAvailable):
        view.get(7)
    with pytest.raises(SnapshotNotAvailable):
        view.seek(0)
    with pytest.raises(LocalProtocolError):
        view.get(8)
    view.close()
    view.close()
    with pytest.raises(CoreClosed):
        view.get(0)


def test_a_snapshot_that_nobody_holds_costs_nothing() -> None:
    core = make_writer(3)
    core.snapshot()
    assert len(core._snapshots) == 0


def test_user_data_stay_here_and_are_bounded() -> None:
    directory = MemoryDirectory()
    core = Core.create(key_pair=SIGNERS[0], directory=directory)
    core.set_user_data("b", b"2")
    core.set_user_data("a", b"")
    core.set_user_data("gone", b"x")
    core.set_user_data("gone", None)
    with pytest.raises(LocalProtocolError, match="at most"):
        core.set_user_data("large", bytes(USER_DATA_BYTES_MAXIMUM))
    core.close()
    with pytest.raises(CoreClosed):
        core.user_data("a")
    again = Core.open(directory=directory)
    assert [again.user_data(name) for name in ("a", "b", "gone", "large")] == [b"", b"2", None, None]
    again.close()
    directory.replace("user-data", b"damaged" * 10)
    with pytest.raises(StoreCorrupt, match="user-data"):
        Core.open(directory=directory)


def test_info_tells_lengths_and_file_sizes() -> None:
    core = make_writer(10)
    info = core.info(padding=2)
    assert (info.length, info.contiguous_length, info.fork) == (10, 10, 0)
    assert info.byte_length == core.byte_length - 20
    assert info.data_bytes == core.byte_length
    assert info.journal_bytes > info.data_bytes


def signer_cores(manifest: Manifest, blocks: int) -> list[Core]:
    cores = []
    for key_pair in SIGNERS:
        core = Core.create(key_pair=key_pair, manifest=manifest)
        core.append([b"block-%d" % index for index in range(blocks)])
        cores.append(core)
    return cores


def manifest_of(quorum: int, **options: bool) -> Manifest:
    return Manifest.create([Signer(pair.public_key) for pair in SIGNERS], quorum=quorum, **options)


def test_a_quorum_signs_and_readers_accept() -> None:
    one, two, three = signer_cores(manifest_of(2), 5)
    assert one.key == two.key == three.key
    assert not one.signed
    reader = Core.open(key=one.key)
    replicator = replicator_of(reader)
    replicator.want(0, None)
    link = Link(replicator_of(one), replicator)
    link.settle()
    assert reader.length == 0, "a head that waits for its quorum is not offered"
    events: list[object] = []
    one.subscribe(events.append)
    one.install_signature(one.assemble_signature([one.signature_part(), three.signature_part()]))
    assert events == [Signed(5)]
    link.settle()
    assert [reader.get(index) for index in range(5)] == [two.get(index) for index in range(5)]
    assert reader.signed


def test_a_signed_length_is_appended_where_no_key_is() -> None:
    one, two, _ = signer_cores(manifest_of(2), 5)
    two.append(b"longer")
    parts = [SignaturePart.decode(core.signature_part(5).encode()) for core in (one, two)]
    copy = Core.create(key_pair=SIGNERS[0], manifest=manifest_of(2))
    copy._key_pair = None
    signature = copy.assemble_signature(parts)
    with pytest.raises(ReadOnly):
        copy.append(b"block-0")
    with pytest.raises(InvalidSignature):
        copy.append([b"other"] * 5, signature=signature)
    assert copy.length == 0
    assert copy.append([b"block-%d" % index for index in range(5)], signature=signature) == 5
    assert copy.signed
    assert signable_length([5, 6, 0], 2) == 5
    assert (signable_length([5], 2), signable_length([], 0)) == (0, 0)


def test_one_of_several_signers_is_enough_for_a_quorum_of_one() -> None:
    one, *_ = signer_cores(manifest_of(1), 3)
    assert one.signed
    reader = Core.open(key=one.key)
    Link(replicator_of(one), replicator_of(reader)).settle()
    assert reader.length == 3


def test_too_few_wrong_and_mixed_parts_make_no_signature() -> None:
    one, two, three = signer_cores(manifest_of(2), 5)
    three.append(b"more")
    with pytest.raises(LocalProtocolError, match="quorum is 2"):
        one.assemble_signature([one.signature_part(), one.signature_part()])
    with pytest.raises(LocalProtocolError, match="different lengths"):
        one.assemble_signature([one.signature_part(), three.signature_part()])
    with pytest.raises(LocalProtocolError, match="cannot sign"):
        one.signature_part(6)
    with pytest.raises(LocalProtocolError, match="version 0"):
        assemble(Manifest(0, 2, tuple(Signer(pair.public_key) for pair in SIGNERS)), [])
    elsewhere = make_writer(5)
    with pytest.raises(InvalidSignature):
        one.install_signature(elsewhere.signature)
    shorter = one.assemble_signature([one.signature_part(4), two.signature_part(4)])
    with pytest.raises(InvalidSignature):
        one.install_signature(shorter)
    with pytest.raises(LocalProtocolError, match="no head"):
        Core.create(key_pair=SIGNERS[0], manifest=manifest_of(2)).install_signature(shorter)
    with pytest.raises(DecodeError):
        SignaturePart.decode(one.signature_part().encode()[:-1])
    assert not one.signed


def test_the_writers_guard_refuses_to_append_until_the_head_is_confirmed() -> None:
    directory = MemoryDirectory()
    core = Core.create(key_pair=SIGNERS[0], directory=directory)
    core.append(b"one")
    core._store.abandon()
    unclean = Core.open(directory=directory, writer_guard="unclean")
    for change in (lambda: unclean.append(b"two"), lambda: unclean.truncate(0)):
        with pytest.raises(HeadUnconfirmed, match="longer log"):
            change()
    unclean.confirm_head()
    unclean.append(b"two")
    unclean.close()
    clean = Core.open(directory=directory, writer_guard="unclean")
    clean.append(b"three")
    clean.close()
    always = Core.open(directory=directory, writer_guard="always")
    with pytest.raises(HeadUnconfirmed):
        always.append(b"four")
    assert always.get(2) == b"three"


def test_a_wrong_proof_does_not_confirm_anything() -> None:
    core = make_writer(2)
    other = Core.create(key_pair=SIGNERS[2])
    other.append([b"x"] * 3)
    from hypercore.proof import ProofRequest, UpgradeRequest

    with pytest.raises(InvalidProof):
        core.apply(other.proof(ProofRequest(upgrade=UpgradeRequest(2, 1))))
