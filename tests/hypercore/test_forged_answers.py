"""Answers that are not what was asked for: the peer is paused, left, or not heard."""

from __future__ import annotations

import pytest

from hypercore.crypto import KeyPair
from hypercore.errors import InvalidProof, RemoteProtocolError
from hypercore.follow import MAX_FAILED_PROOFS
from hypercore.io.core import Core
from hypercore.messages import Data, Handshake, NoData, Range, Request, Sync
from hypercore.proof import BlockRequest, ProofRequest, UpgradeRequest
from hypercore.replicate_peer import ReplicationPeer, capability
from hypercore.requests import REQUEST_TIMEOUT_SECONDS
from tests.hypercore.replicas import (
    BUDGET,
    HANDSHAKE_HASH,
    blocks_asked,
    forged,
    lone_peer,
    make_writer,
    pending_answer,
    reader_with_head,
    said,
    tell,
)


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
