"""Answers whose blocks take a while: asked for a few at a time, given when they are there, nothing else held up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hypercore.errors import BlockNotAvailable, RemoteProtocolError
from hypercore.io.core import Core
from hypercore.messages import Cancel, Data, Handshake, Message, NoData, Request
from hypercore.proof import BlockRequest, HashRequest, ProofRequest, UpgradeRequest
from hypercore.replicate import Replicator
from hypercore.replicate_peer import MAX_PENDING_REQUESTS, PREPARED_REQUESTS, ReplicationPeer, capability
from tests.hypercore.replicas import BUDGET, HANDSHAKE_HASH, make_writer

BLOCKS = 16


class Slow:
    """A source that has every block of a core, each only once a test says so."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.asked: dict[int, Callable[[], None]] = {}
        self.lost: set[int] = set()
        self._prepared: set[int] = set()

    def has(self, index: int) -> bool:
        return index < BLOCKS

    def prepare(self, index: int, ready: Callable[[], None]) -> bool:
        if index in self._prepared:
            return True
        self.asked[index] = ready
        return False

    def read(self, index: int) -> bytes | None:
        assert index in self._prepared
        return None if index in self.lost else self._core.get(index)

    def finish(self, index: int) -> None:
        self._prepared.add(index)
        self.asked.pop(index)()


class Served:
    """A reader's channel to a copy of which no block content is stored."""

    def __init__(self) -> None:
        writer = make_writer(BLOCKS)
        self.source = Slow(writer)
        self.copy = Core.open(None, writer.key, block_source=self.source)
        self.copy.apply(writer.proof(ProofRequest(0, upgrade=UpgradeRequest(0, BLOCKS), manifest=True)))
        for index in range(BLOCKS):
            levels = self.copy.missing_nodes(2 * index)
            proof = writer.proof(ProofRequest(0, block=BlockRequest(index, levels)))
            self.copy.apply(proof, keep_block=False)
        self.wakes = 0
        replicator = Replicator(self.copy)
        self.end = ReplicationPeer(replicator, is_initiator=False, handshake_hash=HANDSHAKE_HASH, wake=self._wake)
        self.end.opened(Handshake(capability(writer.key, HANDSHAKE_HASH, of_initiator=True)).encode())
        self.said()

    def _wake(self) -> None:
        self.wakes += 1

    def hear(self, message: Message) -> None:
        self.end.receive(message.type, message.encode())

    def ask(self, index: int, id: int | None = None) -> None:
        self.hear(Request(index + 1 if id is None else id, ProofRequest(0, block=BlockRequest(index, 0))))

    def said(self) -> list[Message]:
        return self.end.take(BUDGET)


def blocks(messages: list[Message]) -> list[int]:
    return [message.proof.block.index for message in messages if isinstance(message, Data) and message.proof.block]


def test_a_block_is_given_once_it_is_there_and_others_meanwhile() -> None:
    served = Served()
    served.ask(0)
    served.ask(1)
    assert served.said() == []
    served.hear(Request(99, ProofRequest(0, hash=HashRequest(2, 0))))
    (other,) = served.said()
    assert isinstance(other, Data)
    assert other.request == 99
    wakes = served.wakes
    served.source.finish(1)
    assert served.wakes == wakes + 1
    assert blocks(served.said()) == [1]
    served.source.finish(0)
    assert blocks(served.said()) == [0]
    assert served.said() == []


def test_only_the_first_few_requests_of_a_peer_are_prepared() -> None:
    served = Served()
    for index in range(BLOCKS):
        served.ask(index)
    assert served.said() == []
    assert list(served.source.asked) == list(range(PREPARED_REQUESTS))
    served.source.finish(2)
    assert blocks(served.said()) == [2]
    assert list(served.source.asked) == [0, 1, 3, PREPARED_REQUESTS]


def test_a_request_that_was_taken_back_is_not_answered() -> None:
    served = Served()
    served.ask(0)
    assert served.said() == []
    served.hear(Cancel(1))
    served.source.finish(0)
    assert served.said() == []


def test_a_source_that_lost_a_block_is_told_as_not_available() -> None:
    served = Served()
    served.source.lost.add(0)
    served.ask(0)
    assert served.said() == []
    served.source.finish(0)
    assert served.said() == [NoData(1, NoData.NOT_AVAILABLE)]


def test_what_the_copy_does_not_have_is_refused_without_preparation() -> None:
    served = Served()
    served.copy.clear(5, 6)
    served.said()
    served.ask(5)
    served.ask(BLOCKS)
    assert served.said() == [NoData(6, NoData.UNKNOWN), NoData(BLOCKS + 1, NoData.INVALID_REQUEST)]
    assert served.source.asked == {}


def test_requests_that_wait_for_blocks_are_bounded_as_others_are() -> None:
    served = Served()
    for id in range(1, MAX_PENDING_REQUESTS + 1):
        served.ask(0, id)
    assert served.said() == []
    assert list(served.source.asked) == [0]
    with pytest.raises(RemoteProtocolError, match="requests are waiting"):
        served.ask(0, MAX_PENDING_REQUESTS + 1)


def test_a_core_of_its_own_store_is_always_prepared() -> None:
    writer = make_writer(1)
    assert writer.prepare(0, lambda: None)
    assert writer.prepare(7, lambda: None)
    with pytest.raises(BlockNotAvailable):
        writer.get(7)
