"""Forks and conflicts between peers: the common ancestor is found, two logs of one key freeze the core; no IO."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore.conflict import Conflict, find_conflict
from hypercore.crypto import KeyPair
from hypercore.errors import (
    CoreFrozen,
    DecodeError,
    InvalidChecksum,
    InvalidOperation,
    InvalidProof,
    RemoteProtocolError,
    StaleProof,
)
from hypercore.follow import MAX_UNASKED_HEADS
from hypercore.io.core import Conflicted, Core
from hypercore.io.files import MemoryDirectory
from hypercore.messages import Data, NoData, Range, Request, Sync
from hypercore.proof import HashRequest, ProofRequest, UpgradeRequest
from hypercore.reorg import Reorg
from hypercore.requests import REQUEST_TIMEOUT_SECONDS
from tests.hypercore.replicas import Link, lone_peer, make_writer, replicator_of, said, settle, tell


def follow_all(writer: Core) -> tuple[Core, Link]:
    reader = Core.open(key=writer.key)
    replicator = replicator_of(reader)
    replicator.want(0, None)
    link = Link(replicator_of(writer), replicator)
    link.settle()
    assert reader.contiguous_length == writer.length
    return reader, link


@settings(max_examples=60)
@given(st.integers(1, 70), st.data())
def test_blocks_below_the_common_ancestor_are_never_fetched_again(length: int, data: st.DataObject) -> None:
    writer = make_writer(length)
    reader, link = follow_all(writer)
    ancestor = data.draw(st.integers(0, length))
    writer.truncate(ancestor)
    writer.append([b"new-%d" % index for index in range(data.draw(st.integers(1, 70)))])
    link.said[1].clear()
    link.settle()
    assert (reader.fork, reader.tree_hash()) == (1, writer.tree_hash())
    assert all(reader.get(index) == writer.get(index) for index in range(writer.length))
    asked = [m.proof.block.index for m in link.said[1] if isinstance(m, Request) and m.proof.block]
    assert min(asked, default=ancestor) >= ancestor


def test_a_common_ancestor_deep_in_a_large_log_takes_few_questions() -> None:
    writer = make_writer(1000)
    reader, link = follow_all(writer)
    link.said[1].clear()
    writer.truncate(700)
    writer.append([b"x"] * 400)
    link.settle()
    questions = [m for m in link.said[1] if isinstance(m, Request) and m.proof.hash]
    assert 0 < len(questions) <= 10
    assert reader.tree_hash() == writer.tree_hash()


def forked(length: int = 16, ancestor: int = 5) -> tuple[Core, Core]:
    """A reader of the old fork and the writer of the new one."""
    writer = make_writer(length)
    reader, _ = follow_all(writer)
    writer.truncate(ancestor)
    writer.append([b"y"] * (length - ancestor))
    return reader, writer


def head_of(writer: Core) -> ProofRequest:
    return ProofRequest(writer.fork, upgrade=UpgradeRequest(0, writer.length))


def test_a_search_for_the_ancestor_takes_only_the_path_that_it_asked_for() -> None:
    reader, writer = forked()
    reorg = Reorg(reader.view(), writer.proof(head_of(writer)))
    wanted = reorg.wanted()
    assert wanted is not None
    honest = writer.proof(ProofRequest(writer.fork, hash=wanted))
    assert honest.hash is not None
    path = honest.hash.nodes
    other = writer.proof(ProofRequest(writer.fork, hash=HashRequest(wanted.index ^ 2, wanted.nodes)))
    altered = replace(path[1], hash=bytes(32))
    for nodes, error in (
        (path[:-1], InvalidOperation),
        (path[::-1], InvalidOperation),
        ((path[0], altered, *path[2:]), InvalidChecksum),
        ((replace(path[0], size=path[0].size + 1), *path[1:]), InvalidChecksum),
    ):
        with pytest.raises(error):
            reorg.take(replace(honest, hash=replace(honest.hash, nodes=nodes)))
    for wrong in (other, replace(honest, hash=None)):
        with pytest.raises(InvalidOperation):
            reorg.take(wrong)
    reorg.take(honest)
    assert reorg.ancestors <= 5


def test_a_reorganisation_needs_a_newer_and_signed_fork() -> None:
    reader, writer = forked()
    with pytest.raises(StaleProof):
        Reorg(writer.view(), writer.proof(head_of(writer)))
    proof = writer.proof(head_of(writer))
    assert proof.upgrade is not None
    with pytest.raises(InvalidProof):
        Reorg(reader.view(), replace(proof, fork=9))
    with pytest.raises(InvalidProof):
        Reorg(reader.view(), replace(proof, upgrade=replace(proof.upgrade, signature=bytes(68))))


@pytest.mark.parametrize("end", ["refused", "gone", "late", "forged"])
def test_a_search_that_a_peer_does_not_answer_ends_at_what_is_certain(end: str) -> None:
    reader, writer = forked()
    peer = lone_peer(reader)
    tell(peer, Sync(1, 16, 16), Range(0, 16))
    (growth,) = said(peer, Request)
    assert isinstance(growth, Request)
    tell(peer, Data(growth.id, writer.proof(growth.proof)))
    (question,) = said(peer, Request)
    assert isinstance(question, Request)
    assert question.proof.hash is not None
    assert reader.fork == 0
    if end == "refused":
        tell(peer, NoData(question.id))
    elif end == "gone":
        peer.closed()
    elif end == "forged":
        with pytest.raises(RemoteProtocolError):
            tell(peer, Data(question.id, writer.proof(ProofRequest(1, hash=HashRequest(0, 4)))))
    else:
        other = lone_peer(reader)
        other.replicator.peers.clear()
        other.replicator = peer.replicator
        peer.replicator.peers.append(other)
        tell(other, Sync(1, 16, 16))
        peer.replicator.tick(REQUEST_TIMEOUT_SECONDS)
    assert (reader.fork, reader.length) == (1, 16)
    assert reader.tree_hash() == writer.tree_hash()
    assert not any(reader.has(index) and reader.get(index) != writer.get(index) for index in range(16))


def test_a_peer_that_claims_a_fork_and_cannot_show_it_is_not_asked_again() -> None:
    reader, _ = follow_all(make_writer(3))
    peer = lone_peer(reader)
    tell(peer, Sync(2**53 - 1, 2**40, 0))
    (question,) = said(peer, Request)
    assert isinstance(question, Request)
    tell(peer, NoData(question.id, NoData.NOT_AVAILABLE))
    assert said(peer, Request) == []
    assert (reader.fork, reader.length) == (0, 3)


def rivals() -> tuple[Core, Core]:
    """Two logs of one key that share two blocks, as a restored backup makes them."""
    one, other = make_writer(2), make_writer(2)
    one.append([b"here", b"and more"])
    other.append([b"there", b"and more", b"still"])
    return one, other


def test_two_signed_logs_of_one_key_freeze_a_reader_that_meets_both() -> None:
    one, other = rivals()
    directory = MemoryDirectory()
    reader = Core.open(key=one.key, directory=directory)
    events: list[object] = []
    reader.subscribe(events.append)
    replicator = replicator_of(reader)
    first = Link(replicator_of(one), replicator)
    first.settle()
    second = Link(replicator_of(other), replicator)
    settle(first, second)
    assert reader.frozen
    assert Conflicted(4, 0) in events
    assert reader.conflict is not None
    assert reader.conflict.their_tree_hash == other.tree_hash(4)
    assert all(end.closing for end in (first.ends[1], second.ends[1]))
    assert one.frozen, "the writer hears of it from the reader"
    reader.close()
    again = Core.open(key=one.key, directory=directory)
    assert again.frozen
    assert again.conflict == reader.conflict


def test_a_frozen_core_can_be_read_and_not_changed() -> None:
    one, other = rivals()
    conflict = find_conflict(one.view(), other.proof(ProofRequest(upgrade=UpgradeRequest(0, 3))))
    assert conflict is not None
    one.freeze(conflict)
    one.freeze(conflict)
    assert one.get(2) == b"here"
    for change in (
        lambda: one.append(b"more"),
        lambda: one.truncate(1),
        lambda: one.apply(other.proof(ProofRequest(upgrade=UpgradeRequest(4, 1)))),
        lambda: one.install_signature(one.signature),
    ):
        with pytest.raises((CoreFrozen, InvalidProof)):
            change()
    assert (one.length, one.fork) == (4, 0)


def test_equal_longer_and_other_heads_are_no_conflict() -> None:
    one, other = rivals()
    view = one.view()
    assert find_conflict(view, one.proof(ProofRequest(upgrade=UpgradeRequest(0, 4)))) is None
    assert find_conflict(view, other.proof(ProofRequest(upgrade=UpgradeRequest(0, 2)))) is None
    assert find_conflict(view, other.proof(ProofRequest(upgrade=UpgradeRequest(0, 5)))) is None
    other.truncate(3)
    assert find_conflict(view, other.proof(ProofRequest(1, upgrade=UpgradeRequest(0, 3)))) is None


def test_an_unsigned_or_misshapen_head_is_no_conflict_but_a_wrong_proof() -> None:
    one, other = rivals()
    forger = Core.create(key_pair=KeyPair.from_seed(b"\x02" * 32))
    forger.append([b"x"] * 4)
    head = other.proof(ProofRequest(upgrade=UpgradeRequest(0, 4)))
    assert head.upgrade is not None
    unsigned = replace(head, upgrade=replace(head.upgrade, signature=bytes(68)))
    moved = replace(head, upgrade=replace(head.upgrade, start=1))
    with_block = replace(head, block=one.proof(ProofRequest(block=None, hash=HashRequest(0, 0))).block)
    for wrong in (unsigned, moved, forger.proof(ProofRequest(upgrade=UpgradeRequest(0, 4)))):
        with pytest.raises(InvalidProof):
            find_conflict(one.view(), wrong)
    assert find_conflict(one.view(), with_block) is not None


def test_a_stored_conflict_decodes_to_itself_and_nothing_else_does() -> None:
    one, other = rivals()
    conflict = find_conflict(one.view(), other.proof(ProofRequest(upgrade=UpgradeRequest(0, 4))))
    assert conflict is not None
    encoded = conflict.encode()
    assert Conflict.decode(encoded) == conflict
    for end in range(len(encoded)):
        with pytest.raises(DecodeError):
            Conflict.decode(encoded[:end])


def test_heads_that_nobody_asked_for_are_looked_at_only_so_often() -> None:
    writer = make_writer(4)
    reader, _ = follow_all(writer)
    peer = lone_peer(reader)
    head = Data(0, writer.proof(ProofRequest(upgrade=UpgradeRequest(0, 4))))
    tell(peer, *[head] * MAX_UNASKED_HEADS)
    with pytest.raises(RemoteProtocolError, match="nobody asked for"):
        tell(peer, head)
