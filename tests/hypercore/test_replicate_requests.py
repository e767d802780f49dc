"""Which peer is asked for which block, and what becomes of a request that nobody answers."""

from __future__ import annotations

from hypercore.demand import Demand
from hypercore.io.core import Core
from hypercore.messages import Cancel, NoData, Range, Request, Sync
from hypercore.replicate_peer import WINDOW_REQUESTS
from hypercore.requests import REQUEST_TIMEOUT_SECONDS
from tests.hypercore.replicas import (
    Link,
    blocks_asked,
    lone_peer,
    make_writer,
    reader_with_head,
    replicator_of,
    said,
    settle,
    tell,
    two_peers,
)


def test_blocks_are_spread_over_peers_without_asking_twice() -> None:
    writer = make_writer(200)
    reader = Core.open(key=writer.key)
    replicator = replicator_of(reader)
    links = [Link(replicator_of(make_writer(200)), replicator) for _ in range(3)]
    settle(*links)
    replicator.want(0, None)
    settle(*links)
    assert reader.contiguous_length == 200
    asked = [[m.proof.block.index for m in link.said[1] if isinstance(m, Request) and m.proof.block] for link in links]
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


def test_a_demand_covers_its_range() -> None:
    assert [index for index in range(6) if Demand(2, 4).covers(index)] == [2, 3]
    assert Demand(2, None).covers(10**9)
