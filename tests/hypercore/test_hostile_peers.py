"""A hostile peer gets the right error, costs bounded memory, and harms nobody else; no IO."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore.crypto import KeyPair
from hypercore.errors import DecodeError, HypercoreError, RemoteProtocolError
from hypercore.io.core import Core
from hypercore.merkle import Node
from hypercore.messages import (
    MAX_PROOF_NODES,
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
from hypercore.proof import (
    BlockRequest,
    DataBlock,
    DataHash,
    DataSeek,
    DataUpgrade,
    HashRequest,
    Proof,
    ProofRequest,
    SeekRequest,
    UpgradeRequest,
)
from hypercore.remote_blocks import MAX_TRACKED_BLOCKS
from hypercore.replicate_peer import MAX_PENDING_REQUESTS, WINDOW_REQUESTS, ReplicationPeer, capability
from hypercore.requests import REQUEST_TIMEOUT_SECONDS
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

HUGE = 2**53 - 1
NUMBERS = st.sampled_from([0, 1, 2, 3, 4, 5, 7, 8, 31, 32, 48, 2**20, 2**32, HUGE]) | st.integers(0, HUGE)
NODES = st.lists(st.builds(Node, NUMBERS, NUMBERS, st.just(bytes(32))), max_size=4).map(tuple)


def maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | strategy


REQUESTS = st.builds(
    ProofRequest,
    NUMBERS,
    maybe(st.builds(BlockRequest, NUMBERS, NUMBERS)),
    maybe(st.builds(HashRequest, NUMBERS, NUMBERS)),
    maybe(st.builds(SeekRequest, NUMBERS, st.integers(0, 64))),
    maybe(st.builds(UpgradeRequest, NUMBERS, NUMBERS)),
    st.booleans(),
)
PROOFS = st.builds(
    Proof,
    st.integers(0, 2),
    maybe(st.builds(DataBlock, NUMBERS, st.binary(max_size=8), NODES)),
    maybe(st.builds(DataHash, NUMBERS, NODES)),
    maybe(st.builds(DataSeek, NUMBERS, NODES)),
    maybe(st.builds(DataUpgrade, NUMBERS, NUMBERS, NODES, NODES, st.binary(min_size=1, max_size=68))),
    st.none(),
)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(Sync, st.integers(0, 2) | NUMBERS, NUMBERS, NUMBERS, st.booleans()),
    st.builds(Request, NUMBERS, REQUESTS),
    st.builds(Cancel, NUMBERS),
    st.builds(Data, st.integers(0, 40), PROOFS),
    st.builds(NoData, st.integers(0, 40), st.integers(0, 2)),
    st.builds(Want, NUMBERS, NUMBERS),
    st.builds(Unwant, NUMBERS, NUMBERS),
    st.builds(Bitfield, NUMBERS.map(lambda n: n - n % 32), st.lists(st.integers(0, 2**32 - 1), max_size=4).map(tuple)),
    st.builds(Range, NUMBERS, NUMBERS, st.booleans()),
    st.builds(Extension, st.text(max_size=4), st.binary(max_size=8)),
)


def memory_of(peer: ReplicationPeer) -> int:
    """Everything that a peer can make us keep, counted in entries."""
    return (
        len(peer.inflight) + len(peer._requests) + len(peer._wants) + len(peer._announcements) + len(peer._urgent)
        + len(peer.blocks._bits._pages)
    )  # fmt: skip


@settings(max_examples=150)
@given(st.lists(MESSAGES, max_size=25), st.booleans())
def test_no_sequence_of_messages_does_more_than_end_the_link(messages: list[Message], is_writer: bool) -> None:
    writer, reader = reader_with_head(8)
    core = writer if is_writer else reader
    peer = lone_peer(core)
    peer.replicator.want(0, None)
    peer.replicator.seek(30, 0, lambda block, offset: None)
    try:
        for message in messages:
            peer.receive(message.type, message.encode())
            peer.take(BUDGET)
    except RemoteProtocolError:
        peer.closed()
    except HypercoreError as error:
        raise AssertionError(f"not the peer's fault: {error!r}") from error
    assert (core.length, core.fork, core.frozen) == (8, 0, False)
    assert core.tree_hash() == writer.tree_hash()
    assert memory_of(peer) <= 4 * MAX_PENDING_REQUESTS + MAX_TRACKED_BLOCKS // 32_768
    assert all(core.get(index) == writer.get(index) for index in range(8) if core.has(index))


@settings(max_examples=300)
@given(st.integers(0, 12), st.binary(max_size=80))
def test_no_bytes_do_more_than_end_the_link(kind: int, body: bytes) -> None:
    peer = lone_peer(make_writer(3))
    try:
        peer.receive(kind, body)
        peer.take(BUDGET)
    except RemoteProtocolError:
        pass


def test_a_huge_length_does_not_make_a_reader_ask_without_end() -> None:
    _, reader = reader_with_head(8)
    peer = lone_peer(reader)
    peer.replicator.want(0, None)
    tell(peer, Sync(0, HUGE, 8), Range(0, HUGE))
    requests = said(peer, Request)
    assert len(requests) <= WINDOW_REQUESTS
    for _ in range(20):
        peer.take(BUDGET)
    assert memory_of(peer) <= 2 * WINDOW_REQUESTS


def test_blocks_beyond_the_log_are_neither_asked_for_nor_answered() -> None:
    writer, reader = reader_with_head(8)
    peer = lone_peer(reader)
    peer.replicator.want(6, 4000)
    tell(peer, Sync(0, 8, 8), Range(0, HUGE))
    assert [m.proof.block.index for m in said(peer, Request) if isinstance(m, Request) and m.proof.block] == [6, 7]
    server = lone_peer(writer)
    for id, wanted in enumerate((BlockRequest(8, 0), BlockRequest(HUGE, 0), BlockRequest(0, HUGE)), 1):
        tell(server, Request(id, ProofRequest(block=wanted)))
    assert [m.reason for m in said(server, NoData) if isinstance(m, NoData)] == [NoData.INVALID_REQUEST] * 3


@pytest.mark.parametrize(
    "body",
    [
        b"\x01\x01\x00" + b"\xff" + b"\xff" * 8,
        b"\x01\x01\x00\x00" + b"\xfe\xff\xff\xff\x7f",
        Data(1, Proof(block=DataBlock(0, b"x", (Node(0, 0, bytes(32)),) * (MAX_PROOF_NODES + 1)))).encode(),
    ],
    ids=["number above 2^53", "block longer than the message", "too many nodes"],
)
def test_lengths_that_no_message_can_have_are_refused_before_anything_is_made(body: bytes) -> None:
    with pytest.raises(DecodeError):
        lone_peer(make_writer(1)).receive(Data.type, body)


def test_endless_requests_are_answered_no_faster_than_the_link_takes_them() -> None:
    core = Core.create(key_pair=KeyPair.from_seed(b"\x01" * 32))
    core.append([bytes(10_000)] * 4)
    peer = lone_peer(core)
    for id in range(1, MAX_PENDING_REQUESTS + 1):
        tell(peer, Request(id, ProofRequest(block=BlockRequest(id % 4, 0))))
    answers = peer.take(50_000)
    assert sum(len(m.encode()) for m in answers) < 80_000
    with pytest.raises(RemoteProtocolError, match="waiting"):
        tell(peer, *(Request(5000 + id, ProofRequest(block=BlockRequest(0, 0))) for id in range(MAX_PENDING_REQUESTS)))


def test_a_channel_that_never_opened_is_told_nothing() -> None:
    writer = make_writer(3)
    reader = Core.open(key=writer.key)
    replicator = replicator_of(reader)
    replicator.want(0, None)
    half_open = ReplicationPeer(replicator, is_initiator=True, handshake_hash=HANDSHAKE_HASH, wake=lambda: None)
    link = Link(replicator_of(writer), replicator)
    link.settle()
    assert half_open.take(BUDGET) == []
    assert reader.contiguous_length == 3
    half_open.closed()


def test_a_peer_that_forges_everything_does_not_keep_an_honest_one_from_serving() -> None:
    writer = make_writer(64)
    reader = Core.open(key=writer.key)
    replicator = replicator_of(reader)
    replicator.want(0, None)
    liar = make_writer(64)
    truth = liar.proof

    def lie(request: ProofRequest) -> Proof:
        proof = truth(request)
        return replace(proof, block=replace(proof.block, value=b"forged!")) if proof.block else proof

    liar.proof = lie  # type: ignore[method-assign]
    bad, good = Link(replicator_of(liar), replicator), Link(replicator_of(writer), replicator)
    bad_is_open = True
    for _ in range(200):
        if bad_is_open:
            try:
                bad.step()
            except RemoteProtocolError:
                bad.ends[1].closed()
                bad_is_open = False
        good.step()
    assert reader.contiguous_length == 64
    assert not bad_is_open or bad.ends[1].failed_proofs > 0
    settle(good)
    assert [reader.get(index) for index in range(64)] == [writer.get(index) for index in range(64)]


def test_a_war_of_forks_ends_at_the_newest_signed_one() -> None:
    old, new = make_writer(20), make_writer(20)
    reader = Core.open(key=old.key)
    replicator = replicator_of(reader)
    replicator.want(0, None)
    links = [Link(replicator_of(old), replicator), Link(replicator_of(new), replicator)]
    for round_number in range(6):
        loser = old if round_number % 2 else new
        loser.truncate(10 + round_number, fork=round_number + 1)
        loser.append(b"round %d" % round_number)
        settle(*links)
        assert reader.fork == round_number + 1
    assert reader.tree_hash() == old.tree_hash()
    assert reader.contiguous_length == reader.length


def test_a_peer_that_claims_ever_newer_forks_without_proof_delays_nobody() -> None:
    writer = make_writer(20)
    reader = Core.open(key=writer.key)
    replicator = replicator_of(reader)
    replicator.want(0, None)
    liar = ReplicationPeer(replicator, is_initiator=True, handshake_hash=HANDSHAKE_HASH, wake=lambda: None)
    liar.opened(Handshake(capability(reader.key, HANDSHAKE_HASH, of_initiator=False)).encode())
    link = Link(replicator_of(writer), replicator)
    for fork in range(1, 300):
        tell(liar, Sync(fork, HUGE, 0), Range(0, HUGE))
        for request in said(liar, Request):
            assert isinstance(request, Request)
            tell(liar, NoData(request.id, NoData.NOT_AVAILABLE))
        link.step()
        assert memory_of(liar) <= 2 * WINDOW_REQUESTS
    settle(link)
    assert (reader.fork, reader.contiguous_length) == (0, 20)
    assert reader.tree_hash() == writer.tree_hash()


def test_a_peer_that_claims_a_fork_and_never_answers_is_passed_over_in_time() -> None:
    writer = make_writer(20)
    reader = Core.open(key=writer.key)
    replicator = replicator_of(reader)
    replicator.want(0, None)
    silent = ReplicationPeer(replicator, is_initiator=True, handshake_hash=HANDSHAKE_HASH, wake=lambda: None)
    silent.opened(Handshake(capability(reader.key, HANDSHAKE_HASH, of_initiator=False)).encode())
    tell(silent, Sync(7, 1000, 0), Range(0, 1000))
    assert len(said(silent, Request)) == 1
    link = Link(replicator_of(writer), replicator)
    for turn in range(1, 4):
        settle(link)
        replicator.tick(turn * REQUEST_TIMEOUT_SECONDS)
        silent.take(BUDGET)
    settle(link)
    assert reader.contiguous_length == 20


def test_requests_that_no_log_could_answer_end_the_link_after_a_while() -> None:
    server = lone_peer(make_writer(8))
    with pytest.raises(RemoteProtocolError, match="invalid requests"):
        for id in range(1, 200):
            tell(server, Request(id, ProofRequest(block=BlockRequest(HUGE, 0))))
            server.take(BUDGET)
