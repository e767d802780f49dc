"""Urgent demands for one block each: readers of single blocks, many at a time."""

from __future__ import annotations

import random

from hypercore.messages import Cancel, Data, NoData, Range, Request, Sync
from hypercore.replicate_peer import WINDOW_REQUESTS
from tests.hypercore.replicas import blocks_asked, lone_peer, reader_with_head, said, tell, two_peers


def test_single_blocks_are_asked_for_in_the_order_of_their_readers_and_before_any_range() -> None:
    _, reader = reader_with_head(200)
    peer = lone_peer(reader)
    peer.replicator.want(0, None)
    wanted = random.Random(1).sample(range(100, 200), WINDOW_REQUESTS - 1)
    for index in wanted:
        peer.replicator.want(index, index + 1, urgent=True)
    tell(peer, Sync(0, 200, 200), Range(0, 200))
    assert blocks_asked(peer) == [*wanted, 0]


def test_a_block_that_two_readers_want_is_asked_for_once_and_withdrawn_with_the_last() -> None:
    _, reader = reader_with_head(10)
    peer = lone_peer(reader)
    tell(peer, Sync(0, 10, 10), Range(0, 10))
    demands = [peer.replicator.want(7, 8, urgent=True) for _ in range(2)]
    assert blocks_asked(peer) == [7]
    peer.replicator.release(demands[0])
    assert said(peer, Cancel) == []
    peer.replicator.release(demands[1])
    assert len(said(peer, Cancel)) == 1
    assert not peer.inflight


def test_a_reader_that_leaves_does_not_withdraw_what_a_range_wants() -> None:
    _, reader = reader_with_head(10)
    peer = lone_peer(reader)
    tell(peer, Sync(0, 10, 10), Range(0, 10))
    single = peer.replicator.want(7, 8, urgent=True)
    everything = peer.replicator.want(0, None)
    assert blocks_asked(peer) == [7, 0, 1, 2, 3, 4, 5, 6, 8, 9]
    peer.replicator.release(single)
    assert said(peer, Cancel) == []
    peer.replicator.release(everything)
    assert len(said(peer, Cancel)) == 10


def test_a_reader_that_leaves_before_anybody_was_asked_leaves_nothing_behind() -> None:
    _, reader = reader_with_head(10)
    peer = lone_peer(reader)
    peer.replicator.release(peer.replicator.want(7, 8, urgent=True))
    tell(peer, Sync(0, 10, 10), Range(0, 10))
    assert blocks_asked(peer) == []


def test_a_block_that_a_peer_lacks_is_asked_of_the_one_that_has_it_and_holds_nobody_up() -> None:
    _, reader = reader_with_head(10)
    replicator, first, second = two_peers(reader, 10)
    tell(first, Range(7, 1, drop=True))
    for index in (7, 3):
        replicator.want(index, index + 1, urgent=True)
    assert blocks_asked(first) == [3]
    assert blocks_asked(second) == [7]


def test_a_block_beyond_the_log_is_asked_for_once_the_log_has_grown() -> None:
    writer, reader = reader_with_head(3)
    peer = lone_peer(reader)
    tell(peer, Sync(0, 3, 3), Range(0, 3))
    peer.replicator.want(3, 4, urgent=True)
    assert blocks_asked(peer) == []
    writer.append(b"later")
    tell(peer, Sync(0, 4, 3), Range(3, 1))
    (growth,) = said(peer, Request)
    assert isinstance(growth, Request)
    tell(peer, Data(growth.id, writer.proof(growth.proof)))
    assert blocks_asked(peer) == [3]


def test_a_refused_block_is_asked_of_another_peer() -> None:
    _, reader = reader_with_head(10)
    replicator, first, second = two_peers(reader, 10)
    replicator.want(7, 8, urgent=True)
    (request,) = said(first, Request)
    assert isinstance(request, Request)
    assert blocks_asked(second) == []
    tell(first, NoData(request.id))
    assert blocks_asked(first) == []
    assert blocks_asked(second) == [7]


def test_after_the_log_went_back_waiting_readers_ask_anew() -> None:
    writer, reader = reader_with_head(10)
    peer = lone_peer(reader)
    tell(peer, Sync(0, 10, 10), Range(0, 10))
    peer.replicator.want(2, 3, urgent=True)
    assert blocks_asked(peer) == [2]
    writer.truncate(5)
    tell(peer, Sync(1, 5, 0), Range(0, 5))
    for _ in range(5):
        for request in said(peer, Request):
            assert isinstance(request, Request)
            tell(peer, Data(request.id, writer.proof(request.proof)))
    assert (reader.fork, reader.length) == (1, 5)
    assert reader.has(2)
