"""The replication state machines, peer against peer in memory: no sockets, no clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from hypercore.crypto import KeyPair
from hypercore.demand import Demand
from hypercore.errors import InvalidProof, LocalProtocolError, RemoteProtocolError
from hypercore.follow import MAX_FAILED_PROOFS
from hypercore.io.core import Core
from hypercore.io.replication import _forward
from hypercore.messages import (
    Bitfield,
    Cancel,
    Data,
    Extension,
    Handshake,
    Message,
    NoData,
    Range,
    Request,
    Sync,
    Unwant,
    Want,
)
from hypercore.proof import BlockRequest, HashRequest, ProofRequest, UpgradeRequest
from hypercore.remote_blocks import MAX_TRACKED_BLOCKS, RemoteBlocks
from hypercore.replicate import Replicator
from hypercore.replicate_peer import (
    MAX_ANNOUNCEMENTS,
    MAX_EXTENSION_QUEUE_BYTES,
    MAX_INVALID_REQUESTS,
    MAX_PENDING_REQUESTS,
    MAX_PENDING_WANTS,
    WINDOW_REQUESTS,
    ReplicationPeer,
    capability,
)
from hypercore.requests import REQUEST_TIMEOUT_SECONDS

HANDSHAKE_HASH = b"\x07" * 64
BUDGET = 1 << 20


def make_writer(blocks: int = 0, *, compat: bool = False) -> Core:
    core = Core.create(key_pair=KeyPair.from_seed(b"\x01" * 32), compat=compat)
    core.append([b"block-%d" % index for index in range(blocks)])
    return core


def replicator_of(core: Core) -> Replicator:
    replicator = Replicator(core)
    core.subscribe(partial(_forward, replicator))
    return replicator


class Link:
    """Two ends of one channel; `settle` exchanges messages until both are silent and keeps what was said."""

    def __init__(self, left: Replicator, right: Replicator) -> None:
        self.ends = tuple(
            ReplicationPeer(end, is_initiator=side == 0, handshake_hash=HANDSHAKE_HASH, wake=lambda: None)
            for side, end in enumerate((left, right))
        )
        self.said: tuple[list[Message], list[Message]] = ([], [])
        first, second = self.ends
        first.opened(second.handshake())
        second.opened(first.handshake())

    def step(self) -> bool:
        moved = False
        for side in (0, 1):
            for message in self.ends[side].take(BUDGET):
                moved = True
                self.said[side].append(message)
                self.ends[1 - side].receive(message.type, message.encode())
        return moved

    def settle(self) -> None:
        for _ in range(1000):
            if not self.step():
                return
        raise AssertionError("the two sides never fall silent")


def settle(*links: Link) -> None:
    for _ in range(1000):
        moved = [link.step() for link in links]
        if not any(moved):
            return
    raise AssertionError("the links never fall silent")


def lone_peer(core: Core) -> ReplicationPeer:
    """Our end of an open channel whose other end is played by the test."""
    peer = ReplicationPeer(replicator_of(core), is_initiator=True, handshake_hash=HANDSHAKE_HASH, wake=lambda: None)
    peer.opened(Handshake(capability(core.key, HANDSHAKE_HASH, of_initiator=False)).encode())
    return peer


def tell(peer: ReplicationPeer, *messages: Message) -> None:
    for message in messages:
        peer.receive(message.type, message.encode())


def said(peer: ReplicationPeer, kind: type[Message]) -> list[Message]:
    return [message for message in peer.take(BUDGET) if type(message) is kind]


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


def test_blocks_are_spread_over_peers_without_asking_twice() -> None:
    writer = make_writer(200)
    reader = Core.open(key=writer.key)
    replicator = replicator_of(reader)
    links = [Link(replicator_of(make_writer(200)), replicator) for _ in range(3)]
    settle(*links)
    replicator.want(0, None)
    settle(*links)
    assert reader.contiguous_length == 200
    asked = [
        [m.proof.block.index for m in link.said[1] if isinstance(m, Request) and m.proof.block] for link in links
    ]
    assert sorted(index for part in asked for index in part) == list(range(200))
    assert all(len(part) >= WINDOW_REQUESTS for part in asked)


def test_the_window_bounds_requests_in_flight() -> None:
    writer = make_writer(100)
    reader = Core.open(key=writer.key)
    Link(replicator_of(writer), replicator_of(reader)).settle()
    peer = lone_peer(reader)
    tell(peer, Sync(0, 100, 100), Range(0, 100))
    peer.replicator.want(0, None)
    assert len(said(peer, Request)) == WINDOW_REQUESTS
    assert said(peer, Request) == []


def reader_with_head(length: int) -> tuple[Core, Core]:
    writer = make_writer(length)
    reader = Core.open(key=writer.key)
    Link(replicator_of(writer), replicator_of(reader)).settle()
    return writer, reader


def two_peers(reader: Core, length: int) -> tuple[Replicator, ReplicationPeer, ReplicationPeer]:
    replicator = replicator_of(reader)
    peers = []
    for _ in range(2):
        peer = ReplicationPeer(replicator, is_initiator=True, handshake_hash=HANDSHAKE_HASH, wake=lambda: None)
        peer.opened(Handshake(capability(reader.key, HANDSHAKE_HASH, of_initiator=False)).encode())
        tell(peer, Sync(0, length, length), Range(0, length))
        peer.take(BUDGET)
        peers.append(peer)
    return replicator, peers[0], peers[1]


def blocks_asked(peer: ReplicationPeer) -> list[int]:
    return [m.proof.block.index for m in peer.take(BUDGET) if isinstance(m, Request) and m.proof.block is not None]


def test_a_refused_block_is_asked_of_another_peer_and_not_again_of_the_first() -> None:
    _, reader = reader_with_head(3)
    replicator, first, second = two_peers(reader, 3)
    replicator.want(1, 2)
    (request,) = said(first, Request)
    assert isinstance(request, Request)
    assert blocks_asked(second) == []
    tell(first, NoData(request.id, NoData.NOT_AVAILABLE))
    assert blocks_asked(first) == []
    assert blocks_asked(second) == [1]


def test_a_refused_block_is_asked_again_once_the_peer_announces_it_anew() -> None:
    _, reader = reader_with_head(3)
    peer = lone_peer(reader)
    tell(peer, Sync(0, 3, 3), Range(0, 3))
    peer.replicator.want(1, 2)
    (request,) = said(peer, Request)
    assert isinstance(request, Request)
    tell(peer, NoData(request.id))
    assert blocks_asked(peer) == []
    tell(peer, Range(1))
    assert blocks_asked(peer) == [1]


def test_requests_of_a_lost_peer_go_to_another() -> None:
    _, reader = reader_with_head(10)
    replicator, first, second = two_peers(reader, 10)
    replicator.want(0, None)
    assert blocks_asked(first) == list(range(10))
    assert blocks_asked(second) == []
    first.closed()
    assert sorted(blocks_asked(second)) == list(range(10))


def test_requests_that_take_too_long_move_to_another_peer() -> None:
    _, reader = reader_with_head(4)
    replicator, first, second = two_peers(reader, 4)
    replicator.want(0, None)
    assert blocks_asked(first) == [0, 1, 2, 3]
    replicator.tick(REQUEST_TIMEOUT_SECONDS - 1)
    assert blocks_asked(second) == []
    replicator.tick(REQUEST_TIMEOUT_SECONDS)
    assert sorted(blocks_asked(second)) == [0, 1, 2, 3]
    assert len(said(first, Cancel)) == 4
    assert first.window < WINDOW_REQUESTS


def test_a_slow_peer_that_is_alone_is_waited_for() -> None:
    _, reader = reader_with_head(4)
    peer = lone_peer(reader)
    tell(peer, Sync(0, 4, 4), Range(0, 4))
    peer.replicator.want(0, None)
    assert blocks_asked(peer) == [0, 1, 2, 3]
    peer.replicator.tick(10 * REQUEST_TIMEOUT_SECONDS)
    assert said(peer, Cancel) == []


def test_releasing_a_demand_cancels_what_nobody_else_wants() -> None:
    _, reader = reader_with_head(4)
    peer = lone_peer(reader)
    tell(peer, Sync(0, 4, 4), Range(0, 4))
    both, single = peer.replicator.want(0, 2), peer.replicator.want(1, 2)
    assert blocks_asked(peer) == [0, 1]
    peer.replicator.release(both)
    assert len(said(peer, Cancel)) == 1
    peer.replicator.release(single)
    assert len(said(peer, Cancel)) == 1
    assert not peer.inflight


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


def pending_answer(reader: Core, writer: Core) -> tuple[ReplicationPeer, Data]:
    peer = lone_peer(reader)
    tell(peer, Sync(0, writer.length, writer.length), Range(0, writer.length))
    peer.replicator.want(1, 2)
    (request,) = said(peer, Request)
    assert isinstance(request, Request)
    return peer, Data(request.id, writer.proof(request.proof))


def forged(answer: Data) -> Data:
    assert answer.proof.block is not None
    return Data(answer.request, replace(answer.proof, block=replace(answer.proof.block, value=b"forged!")))


def test_an_altered_block_pauses_the_peer_and_is_asked_of_another_one() -> None:
    writer, reader = reader_with_head(5)
    peer, answer = pending_answer(reader, writer)
    tell(peer, forged(answer))
    assert not reader.has(1)
    assert peer.paused
    other = ReplicationPeer(peer.replicator, is_initiator=True, handshake_hash=HANDSHAKE_HASH, wake=lambda: None)
    other.opened(Handshake(capability(reader.key, HANDSHAKE_HASH, of_initiator=False)).encode())
    tell(other, Sync(0, 5, 5), Range(0, 5))
    assert blocks_asked(peer) == []
    assert blocks_asked(other) == [1]


def test_a_peer_that_goes_on_forging_after_honest_heads_is_let_go() -> None:
    writer, reader = reader_with_head(5)
    peer, answer = pending_answer(reader, writer)
    for _ in range(MAX_FAILED_PROOFS):
        tell(peer, forged(answer))
        (probe,) = [request for request in said(peer, Request) if isinstance(request, Request)]
        assert (probe.id, probe.proof) == (0, ProofRequest(upgrade=UpgradeRequest(0, 5)))
        tell(peer, Data(0, writer.proof(probe.proof)))
        (request,) = said(peer, Request)
        assert isinstance(request, Request)
        answer = Data(request.id, writer.proof(request.proof))
    with pytest.raises(InvalidProof):
        tell(peer, forged(answer))


def test_a_paused_peer_that_does_not_show_its_head_is_let_go() -> None:
    writer, reader = reader_with_head(5)
    peer, answer = pending_answer(reader, writer)
    tell(peer, forged(answer))
    peer.replicator.tick(REQUEST_TIMEOUT_SECONDS - 1)
    peer.take(BUDGET)
    peer.replicator.tick(REQUEST_TIMEOUT_SECONDS)
    with pytest.raises(InvalidProof):
        peer.take(BUDGET)


def test_another_block_than_the_one_asked_for_ends_the_link() -> None:
    writer, reader = reader_with_head(5)
    peer, answer = pending_answer(reader, writer)
    other = writer.proof(ProofRequest(block=BlockRequest(2, 2)))
    with pytest.raises(RemoteProtocolError, match="is another one"):
        tell(peer, Data(answer.request, other))
    assert not reader.has(2)


def test_a_head_signed_by_somebody_else_ends_the_link() -> None:
    writer = make_writer(3)
    forger = Core.create(key_pair=KeyPair.from_seed(b"\x02" * 32))
    forger.append([b"x", b"y", b"z"])
    peer = lone_peer(Core.open(key=writer.key))
    tell(peer, Sync(0, 3, 0, has_manifest=True))
    (request,) = said(peer, Request)
    assert isinstance(request, Request)
    with pytest.raises(InvalidProof):
        tell(peer, Data(request.id, forger.proof(request.proof)))


def test_answers_that_were_not_asked_for_are_ignored() -> None:
    writer, reader = reader_with_head(5)
    peer = lone_peer(reader)
    proof = writer.proof(ProofRequest(block=BlockRequest(2, 2)))
    tell(peer, Data(0, proof), Data(77, proof), NoData(5))
    assert not reader.has(2)


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


def test_remote_blocks_follow_ranges_drops_and_bitfields() -> None:
    blocks = RemoteBlocks()
    blocks.add(0, 10)
    blocks.add(20, 5)
    blocks.drop(4, 2)
    blocks.replace(32, (0b101,))
    assert [index for index in range(40) if blocks.has(index)] == [0, 1, 2, 3, 6, 7, 8, 9, *range(20, 25), 32, 34]
    assert blocks.next(4, 40) == 6
    assert blocks.next(25, 40) == 32
    assert blocks.next(35, 40) is None
    assert blocks.next(5, 5) is None


@pytest.mark.parametrize("start", [0, 1, MAX_TRACKED_BLOCKS - 1, MAX_TRACKED_BLOCKS, 2**52])
def test_a_claim_of_endless_blocks_costs_bounded_memory(start: int) -> None:
    blocks = RemoteBlocks()
    blocks.add(start, 2**52)
    blocks.drop(start + 1, 2**52)
    blocks.replace(start - start % 32, (0xFFFFFFFF,) * 4)
    assert len(blocks._bits._pages) <= MAX_TRACKED_BLOCKS // (8 * 4096)


def test_an_unknown_message_type_is_ignored() -> None:
    peer = lone_peer(make_writer(1))
    peer.receive(10, b"newer")
    assert said(peer, Data) == []


def test_a_demand_covers_its_range() -> None:
    assert [index for index in range(6) if Demand(2, 4).covers(index)] == [2, 3]
    assert Demand(2, None).covers(10**9)
