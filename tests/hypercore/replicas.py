"""Two ends of a replicated core in memory, or one end whose other end is played by the test."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from hypercore.crypto import KeyPair
from hypercore.io.core import Core
from hypercore.io.events import tell_replicator
from hypercore.messages import Data, Handshake, Message, Range, Request, Sync
from hypercore.replicate import Replicator
from hypercore.replicate_peer import ReplicationPeer, capability

HANDSHAKE_HASH = b"\x07" * 64
BUDGET = 1 << 20


def make_writer(blocks: int = 0, *, compat: bool = False) -> Core:
    core = Core.create(key_pair=KeyPair.from_seed(b"\x01" * 32), compat=compat)
    core.append([b"block-%d" % index for index in range(blocks)])
    return core


def replicator_of(core: Core) -> Replicator:
    replicator = Replicator(core)
    core.subscribe(partial(tell_replicator, replicator))
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
