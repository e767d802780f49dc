"""Requests under way: no tree node is asked for twice, slow peers are overtaken, answers out of order do no harm."""

from __future__ import annotations

import random

import pytest

from hypercore.block_requests import TAKE_OVER_SECONDS
from hypercore.io.core import Core
from hypercore.messages import Cancel, Data, NoData, Range, Request, Sync
from hypercore.replicate_peer import ReplicationPeer
from tests.hypercore.replicas import (
    BUDGET,
    Link,
    blocks_asked,
    forged,
    lone_peer,
    make_writer,
    reader_with_head,
    replicator_of,
    said,
    tell,
    two_peers,
)


def test_a_whole_download_brings_every_tree_node_once() -> None:
    writer = make_writer(512)
    reader = Core.open(key=writer.key)
    replicator = replicator_of(reader)
    link = Link(replicator_of(writer), replicator)
    replicator.want(0, None)
    link.settle()
    assert reader.contiguous_length == 512
    answers = [message for message in link.said[0] if isinstance(message, Data) and message.proof.block]
    indexes = [node.index for answer in answers if answer.proof.block for node in answer.proof.block.nodes]
    assert len(indexes) == len(set(indexes)) < 512
    overhead = sum(len(answer.encode()) for answer in answers) - writer.byte_length
    assert overhead / 512 < 45


def asked(reader: Core, count: int) -> tuple[ReplicationPeer, list[Request]]:
    peer = lone_peer(reader)
    tell(peer, Sync(0, reader.length, reader.length), Range(0, reader.length))
    peer.replicator.want(0, count)
    return peer, [request for request in said(peer, Request) if isinstance(request, Request)]


@pytest.mark.parametrize("seed", range(5))
def test_answers_in_any_order_complete_the_download(seed: int) -> None:
    writer, reader = reader_with_head(32)
    peer, requests = asked(reader, 32)
    chance = random.Random(seed)
    while requests:
        chance.shuffle(requests)
        for request in requests:
            tell(peer, Data(request.id, writer.proof(request.proof)))
        requests = [request for request in said(peer, Request) if isinstance(request, Request)]
    assert reader.contiguous_length == 32
    assert not peer.paused


def test_answers_that_come_before_what_they_build_on_are_kept_within_the_window() -> None:
    writer, reader = reader_with_head(32)
    peer, requests = asked(reader, 32)
    for request in reversed(requests[1:]):
        tell(peer, Data(request.id, writer.proof(request.proof)))
        tell(peer, Data(request.id, writer.proof(request.proof)))  # a second copy changes nothing
    assert len(peer.inflight) + sum(reader.has(index) for index in range(32)) == 32
    assert said(peer, Request) == []
    tell(peer, Data(requests[0].id, writer.proof(requests[0].proof)))
    assert reader.contiguous_length == 32
    assert not peer.inflight


def test_an_altered_block_that_comes_too_early_is_found_once_its_turn_comes() -> None:
    writer, reader = reader_with_head(8)
    peer, requests = asked(reader, 8)
    tell(peer, forged(Data(requests[1].id, writer.proof(requests[1].proof))))
    assert not peer.paused
    tell(peer, Data(requests[0].id, writer.proof(requests[0].proof)))
    assert peer.paused
    assert [index for index in range(8) if reader.has(index)] == [0]


def test_a_refusal_does_not_make_the_answers_that_build_on_it_wrong() -> None:
    writer, reader = reader_with_head(8)
    peer, requests = asked(reader, 8)
    tell(peer, NoData(requests[0].id))
    for request in requests[1:]:
        tell(peer, Data(request.id, writer.proof(request.proof)))
    for _ in range(3):
        for request in said(peer, Request):
            assert isinstance(request, Request)
            tell(peer, Data(request.id, writer.proof(request.proof)))
    assert [index for index in range(8) if not reader.has(index)] == [0]


def overtaken() -> tuple[Core, Core, ReplicationPeer, ReplicationPeer]:
    """A slow peer that was asked for blocks 0 to 3, and a quick one that has delivered block 4."""
    writer, reader = reader_with_head(5)
    replicator, slow, quick = two_peers(reader, 5)
    replicator.want(0, 4)
    assert blocks_asked(slow) == [0, 1, 2, 3]
    replicator.want(4, 5)
    (request,) = said(quick, Request)
    assert isinstance(request, Request)
    tell(quick, Data(request.id, writer.proof(request.proof)))
    return writer, reader, slow, quick


def test_an_idle_peer_takes_over_what_a_slow_one_does_not_deliver_and_the_first_answer_counts() -> None:
    writer, reader, slow, quick = overtaken()
    slow.replicator.tick(TAKE_OVER_SECONDS - 0.1)
    assert blocks_asked(quick) == []
    slow.replicator.tick(TAKE_OVER_SECONDS)
    requests = [request for request in said(quick, Request) if isinstance(request, Request)]
    assert [request.proof.block.index for request in requests if request.proof.block] == [0, 1, 2, 3]
    assert blocks_asked(quick) == []
    for request in requests:
        tell(quick, Data(request.id, writer.proof(request.proof)))
    assert reader.contiguous_length == 5
    assert len(said(slow, Cancel)) == 4
    assert not slow.inflight


def test_a_slow_answer_that_comes_first_after_all_cancels_the_other_request() -> None:
    writer, reader, slow, quick = overtaken()
    pending = list(slow.inflight.values())
    slow.replicator.tick(TAKE_OVER_SECONDS)
    assert len(said(quick, Request)) == 4
    for request in pending:
        tell(slow, Data(request.id, writer.proof(request.proof)))
    assert reader.contiguous_length == 5
    assert len(said(quick, Cancel)) == 4


@pytest.mark.parametrize("loser", ["slow", "quick"])
def test_when_one_of_two_asked_peers_refuses_the_other_is_waited_for(loser: str) -> None:
    writer, reader, slow, quick = overtaken()
    slow.replicator.tick(TAKE_OVER_SECONDS)
    assert len(said(quick, Request)) == 4
    refuser, other = (slow, quick) if loser == "slow" else (quick, slow)
    for id in list(refuser.inflight):
        tell(refuser, NoData(id))
    assert said(other, Request) == said(refuser, Request) == []
    for request in list(other.inflight.values()):
        tell(other, Data(request.id, writer.proof(request.proof)))
    assert reader.contiguous_length == 5


def test_a_lost_peer_leaves_no_request_behind() -> None:
    writer, reader, slow, quick = overtaken()
    slow.replicator.tick(TAKE_OVER_SECONDS)
    quick.take(BUDGET)
    quick.closed()
    for request in list(slow.inflight.values()):
        tell(slow, Data(request.id, writer.proof(request.proof)))
    assert reader.contiguous_length == 5
    assert not quick.inflight
