"""The replication state machines, peer against peer in memory: no sockets, no clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hypercore.crypto import KeyPair
from hypercore.errors import LocalProtocolError, RemoteProtocolError
from hypercore.io.core import Core
from hypercore.messages import Bitfield, Cancel, Data, Extension, Handshake, NoData, Range, Request, Sync, Unwant, Want
from hypercore.proof import BlockRequest, HashRequest, ProofRequest, UpgradeRequest
from hypercore.remote_blocks import RemoteBlocks
from hypercore.replicate import Replicator
from hypercore.replicate_peer import (
    MAX_ANNOUNCEMENTS,
    MAX_EXTENSION_QUEUE_BYTES,
    MAX_INVALID_REQUESTS,
    MAX_PENDING_REQUESTS,
    MAX_PENDING_WANTS,
    ReplicationPeer,
    capability,
)
from tests.hypercore.replicas import (
    BUDGET,
    HANDSHAKE_HASH,
    Link,
    lone_peer,
    make_writer,
    reader_with_head,
    replicator_of,
    said,
    settle,
    tell,
)


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize("length", [1, 2, 7, 10, 100])
def test_a_reader_gets_head_and_every_block(length: int, compat: bool) -> None:
    writer = make_writer(length, compat=compat)
    reader = Core.open(key=writer.key)
    replicator = replicator_of(reader)
    link = Link(replicator_of(writer), replicator)
    replicator.want(0, None)
    link.settle()
    assert reader.tree_hash() == writer.tree_hash()
    assert reader.contiguous_length == length
    assert [reader.get(index) for index in range(length)] == [writer.get(index) for index in range(length)]
    assert (reader.manifest is None) is compat
    assert all(sync.has_manifest is not compat for sync in link.said[0] if isinstance(sync, Sync))


def test_without_demand_only_the_head_follows() -> None:
    writer = make_writer(10)
    reader = Core.open(key=writer.key)
    Link(replicator_of(writer), replicator_of(reader)).settle()
    assert reader.length == 10
    assert not any(reader.has(index) for index in range(10))


def test_a_demand_fetches_its_blocks_and_nothing_else() -> None:
    writer = make_writer(100)
    reader = Core.open(key=writer.key)
    replicator = replicator_of(reader)
    link = Link(replicator_of(writer), replicator)
    replicator.want(42, 43)
    replicator.want(97, 99)
    link.settle()
    assert [index for index in range(100) if reader.has(index)] == [42, 97, 98]


def test_appends_truncation_and_clearing_reach_a_following_reader() -> None:
    writer = make_writer(5)
    reader = Core.open(key=writer.key)
    replicator = replicator_of(reader)
    link = Link(replicator_of(writer), replicator)
    replicator.want(0, None)
    link.settle()
    writer.append([b"live-5", b"live-6"])
    link.settle()
    assert reader.get(6) == b"live-6"
    writer.truncate(4)
    link.settle()
    assert (reader.length, reader.fork) == (4, 1)
    writer.append(b"fork-4")
    link.settle()
    assert (reader.length, reader.fork, reader.get(4)) == (5, 1, b"fork-4")
    writer.clear(1, 3)
    link.settle()
    assert Range(1, 2, drop=True) in link.said[0]
    assert not link.ends[1].blocks.has(2)
    assert link.ends[1].blocks.has(3)


def test_after_a_hole_peers_are_told_again_what_lies_behind_it() -> None:
    writer = make_writer(10)
    reader = Core.open(key=writer.key)
    link = Link(replicator_of(writer), replicator_of(reader))
    link.settle()
    writer.clear(4, 6)
    link.settle()
    assert [m for m in link.said[0] if isinstance(m, Range)][-2:] == [Range(4, 2, drop=True), Range(6, 4)]
    writer.clear(8, 10)
    link.settle()
    assert [m for m in link.said[0] if isinstance(m, Range)][-1] == Range(8, 2, drop=True)
    assert [index for index in range(10) if not link.ends[1].blocks.has(index)] == [4, 5, 8, 9]


def test_every_change_of_the_readers_length_is_acknowledged_by_the_uploader() -> None:
    writer = make_writer(3)
    reader = Core.open(key=writer.key)
    link = Link(replicator_of(writer), replicator_of(reader))
    link.settle()
    writer.append([b"more"] * 3)
    link.settle()
    lengths = [sync.remote_length for sync in link.said[0] if isinstance(sync, Sync)]
    assert lengths == [0, 3, 3, 6]


def test_a_sync_is_not_repeated() -> None:
    peer = lone_peer(make_writer(3))
    tell(peer, Sync(0, 1, 3))
    assert said(peer, Sync) == [Sync(0, 3, 1, has_manifest=True)]
    tell(peer, Sync(0, 1, 3), Sync(0, 1, 3, downloading=False))
    assert said(peer, Sync) == []


def test_an_unacknowledged_length_is_not_asked_for() -> None:
    reader = Core.open(key=make_writer(3).key)
    peer = lone_peer(reader)
    tell(peer, Sync(0, 3, 1))
    assert said(peer, Request) == []
    tell(peer, Sync(0, 3, 0, can_upgrade=False))
    assert said(peer, Request) == []
    tell(peer, Sync(0, 3, 0, has_manifest=True))
    growth = ProofRequest(upgrade=UpgradeRequest(0, 3), manifest=True)
    assert [request.proof for request in said(peer, Request) if isinstance(request, Request)] == [growth]


def test_a_peer_that_does_not_know_the_key_is_refused() -> None:
    core = make_writer(1)
    peer = ReplicationPeer(replicator_of(core), is_initiator=True, handshake_hash=HANDSHAKE_HASH, wake=lambda: None)
    for wrong in (
        capability(core.discovery_key, HANDSHAKE_HASH, of_initiator=False),
        capability(core.key, HANDSHAKE_HASH, of_initiator=True),
        capability(core.key, b"\x08" * 64, of_initiator=False),
    ):
        with pytest.raises(RemoteProtocolError, match="does not know the key"):
            peer.opened(Handshake(wrong).encode())
    assert peer.take(BUDGET) == []


def test_a_cancelled_request_is_not_answered() -> None:
    peer = lone_peer(make_writer(3))
    tell(peer, Request(4, ProofRequest(block=BlockRequest(0, 0))), Cancel(4))
    assert said(peer, Data) == []


def test_a_request_id_used_again_replaces_the_first_request() -> None:
    peer = lone_peer(make_writer(3))
    tell(peer, Request(4, ProofRequest(block=BlockRequest(0, 0))), Request(4, ProofRequest(block=BlockRequest(1, 0))))
    (answer,) = said(peer, Data)
    assert isinstance(answer, Data)
    assert answer.proof.block is not None
    assert answer.proof.block.index == 1


def test_the_conflict_probe_with_id_zero_is_answered() -> None:
    peer = lone_peer(make_writer(3))
    tell(peer, Request(0, ProofRequest(upgrade=UpgradeRequest(0, 2))))
    (answer,) = said(peer, Data)
    assert isinstance(answer, Data)
    assert answer.request == 0
    assert answer.proof.upgrade is not None


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (ProofRequest(fork=1, block=BlockRequest(0, 0)), NoData.UNKNOWN),
        (ProofRequest(upgrade=UpgradeRequest(0, 4)), NoData.INVALID_REQUEST),
        (ProofRequest(upgrade=UpgradeRequest(3, 0)), NoData.INVALID_REQUEST),
        (ProofRequest(block=BlockRequest(3, 0)), NoData.INVALID_REQUEST),
        (ProofRequest(block=BlockRequest(0, 60)), NoData.INVALID_REQUEST),
    ],
)
def test_a_request_that_cannot_be_answered_gets_a_reason(request_: ProofRequest, reason: int) -> None:
    peer = lone_peer(make_writer(3))
    tell(peer, Request(9, request_))
    assert said(peer, NoData) == [NoData(9, reason)]


@pytest.mark.parametrize("give_up", [lambda core: core.truncate(1), lambda core: core.clear(1, 40)])
def test_what_was_asked_before_blocks_were_given_up_gets_no_reason(give_up: Callable[[Core], object]) -> None:
    """JavaScript drops a peer that says so 32 times, and a whole window of requests may be under way."""
    core = make_writer(40)
    peer = lone_peer(core)
    tell(peer, *(Request(id, ProofRequest(block=BlockRequest(id, 0))) for id in range(1, 40)))
    give_up(core)
    assert said(peer, NoData) == [NoData(id, NoData.UNKNOWN) for id in range(1, 40)]


def test_a_node_that_is_not_stored_is_not_available() -> None:
    core = make_writer(8)
    reader = Core.open(None, core.key)
    reader.apply(core.proof(ProofRequest(block=BlockRequest(0, 0), upgrade=UpgradeRequest(0, 8), manifest=True)))
    peer = lone_peer(reader)
    tell(peer, Request(9, ProofRequest(hash=HashRequest(8, 1))))
    assert said(peer, NoData) == [NoData(9, NoData.NOT_AVAILABLE)]


def test_too_many_invalid_requests_end_the_link() -> None:
    peer = lone_peer(make_writer(3))
    for id in range(MAX_INVALID_REQUESTS + 1):
        tell(peer, Request(id + 1, ProofRequest(upgrade=UpgradeRequest(0, 9))))
    with pytest.raises(RemoteProtocolError, match="invalid requests"):
        peer.take(BUDGET)


def test_too_many_waiting_requests_end_the_link() -> None:
    peer = lone_peer(make_writer(3))
    request = ProofRequest(block=BlockRequest(0, 0))
    tell(peer, *(Request(id, request) for id in range(MAX_PENDING_REQUESTS)))
    with pytest.raises(RemoteProtocolError, match="waiting"):
        tell(peer, Request(MAX_PENDING_REQUESTS, request))


def test_too_many_waiting_wants_end_the_link() -> None:
    peer = lone_peer(make_writer(3))
    tell(peer, *(Want(0, 32) for _ in range(MAX_PENDING_WANTS)))
    with pytest.raises(RemoteProtocolError, match="waiting"):
        tell(peer, Want(0, 32))


def test_answers_stop_at_the_budget_and_go_on_later() -> None:
    core = Core.create(key_pair=KeyPair.from_seed(b"\x01" * 32))
    core.append([bytes(1000)] * 10)
    peer = lone_peer(core)
    tell(peer, *(Request(id + 1, ProofRequest(block=BlockRequest(id, 0))) for id in range(10)))
    counts = []
    while messages := peer.take(2500):
        counts.append(sum(isinstance(message, Data) for message in messages))
    assert counts == [3, 3, 3, 1]


def test_a_want_is_answered_with_what_is_here() -> None:
    _, reader = reader_with_head(70)
    writer = make_writer(70)
    replicator = replicator_of(reader)
    link = Link(replicator_of(writer), replicator)
    replicator.want(3, 4)
    replicator.want(64, 66)
    link.settle()
    peer = lone_peer(reader)
    peer.take(BUDGET)
    tell(peer, Want(0, 1 << 21))
    assert said(peer, Bitfield) == [Bitfield(0, (1 << 3, 0, 3))]
    tell(peer, Want(0, 1 << 21), Unwant(0, 1 << 21))
    assert said(peer, Bitfield) == []
    tell(peer, Want(96, 32))
    assert peer.take(BUDGET) == []
    tell(peer, Want(0, 64), Want(0, 64), Want(64, 64))
    assert [len(peer.take(8)) for _ in range(4)] == [1, 1, 1, 0]
    whole = lone_peer(writer)
    whole.take(BUDGET)
    tell(whole, Want(0, 1 << 21))
    assert whole.take(BUDGET) == [Range(0, 70)]


def test_a_sparse_peer_serves_what_it_has() -> None:
    writer, middle = reader_with_head(10)
    middle_replicator = replicator_of(middle)
    source = Link(replicator_of(writer), middle_replicator)
    middle_replicator.want(3, 4)
    middle_replicator.want(7, 8)
    source.settle()
    reader = Core.open(key=writer.key)
    replicator = replicator_of(reader)
    link = Link(middle_replicator, replicator)
    replicator.want(0, None)
    tell(link.ends[0], Want(0, 32))
    link.settle()
    assert reader.length == 10
    assert [index for index in range(10) if reader.has(index)] == [3, 7]
    middle_replicator.want(5, 6)
    settle(source, link)
    assert [index for index in range(10) if reader.has(index)] == [3, 5, 7]


def test_extension_messages_carry_their_name_once() -> None:
    writer = make_writer(1)
    received: list[tuple[str, bytes]] = []
    right = Replicator(Core.open(key=writer.key), lambda peer, name, message: received.append((name, message)))
    link = Link(replicator_of(writer), right)
    for name, message in (("a", b"1"), ("a", b"2"), ("b", b"3"), ("a", b"4")):
        link.ends[0].send_extension(name, message)
    link.settle()
    assert received == [("a", b"1"), ("a", b"2"), ("b", b"3"), ("a", b"4")]
    assert [m.name for m in link.said[0] if isinstance(m, Extension)] == ["a", "", "b", "a"]


def test_extension_messages_that_nobody_takes_are_bounded() -> None:
    peer = lone_peer(make_writer(1))
    peer.send_extension("a", bytes(MAX_EXTENSION_QUEUE_BYTES))
    with pytest.raises(LocalProtocolError, match="waiting"):
        peer.send_extension("a", b"1")


def test_announcements_that_nobody_takes_are_bounded_and_lose_nothing() -> None:
    core = make_writer(4 * MAX_ANNOUNCEMENTS)
    core.clear(0, 1)
    peer = lone_peer(core)
    peer.take(BUDGET)
    for index in range(1, 3 * MAX_ANNOUNCEMENTS, 2):
        peer.announce(index, 1)
    messages = peer.take(BUDGET)
    assert len(messages) <= MAX_ANNOUNCEMENTS + 2
    blocks = RemoteBlocks()
    for message in messages:
        if isinstance(message, Range):
            (blocks.drop if message.drop else blocks.add)(message.start, message.length)
        elif isinstance(message, Bitfield):
            blocks.replace(message.start, message.words)
    assert not blocks.has(0)
    assert all(blocks.has(index) for index in range(1, 3 * MAX_ANNOUNCEMENTS, 2))


def test_an_unknown_message_type_is_ignored() -> None:
    peer = lone_peer(make_writer(1))
    peer.receive(10, b"newer")
    assert said(peer, Data) == []
