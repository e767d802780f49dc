"""The scheduler of one core: which block is asked of which peer, growth of the log, and news to everybody; no IO.

    replicator = Replicator(core)
    peer = ReplicationPeer(replicator, ...)      one per channel
    demand = replicator.want(0, None)            everything, also what is appended later
    replicator.release(demand)

Every peer is asked for blocks that it has and that nobody else was asked for, in rising order, up to its window. A
block that a peer did not deliver goes back and is asked of the next one. The head follows the longest signed one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypercore.errors import RemoteProtocolError, StaleProof
from hypercore.messages import Data, Message, NoData, Request, Sync
from hypercore.proof import BlockRequest, Proof, ProofRequest, UpgradeRequest
from hypercore.replicate_peer import WINDOW_REQUESTS, Outstanding, ReplicatedCore, ReplicationPeer

REQUEST_TIMEOUT_SECONDS = 15.0

ExtensionHandler = Callable[[ReplicationPeer, str, bytes], None]


@dataclass(eq=False, slots=True)
class Demand:
    """Blocks [start, end) are wanted; `end` None stands for the end of the log, wherever it will be."""

    start: int
    end: int | None

    def covers(self, index: int) -> bool:
        """True when block `index` is wanted."""
        return self.start <= index and (self.end is None or index < self.end)


class Replicator:
    """All peers of one core. `on_extension(peer, name, message)` gets messages of extensions."""

    def __init__(self, core: ReplicatedCore, on_extension: ExtensionHandler | None = None) -> None:
        self.core = core
        self.on_extension = on_extension
        self.peers: list[ReplicationPeer] = []
        self._demands: list[Demand] = []
        self._asked: dict[int, ReplicationPeer] = {}
        self._returned: dict[int, ReplicationPeer | None] = {}
        self._positions: dict[tuple[ReplicationPeer, Demand], int] = {}
        self._growing: ReplicationPeer | None = None
        self._next_id = 1
        self._now_seconds = 0.0
        self._length, self._fork = core.length, core.fork
        self._full_length = core.length if core.contiguous_length == core.length else 0

    def want(self, start: int, end: int | None = None, *, urgent: bool = False) -> Demand:
        """Asks peers for blocks [start, end) until `release`; urgent demands go first."""
        demand = Demand(start, end)
        self._demands.insert(0 if urgent else len(self._demands), demand)
        self.wake()
        return demand

    def release(self, demand: Demand) -> None:
        """Ends a demand; requests that nobody else wants are withdrawn."""
        self._demands.remove(demand)
        self._positions = {pair: position for pair, position in self._positions.items() if pair[1] is not demand}
        for index, peer in list(self._asked.items()):
            if demand.covers(index) and not self._wanted(index):
                for id in [id for id, request in peer.inflight.items() if request.block == index]:
                    peer.cancel(id)
                del self._asked[index]

    def wake(self) -> None:
        """Has every peer look for something to do."""
        for peer in self.peers:
            peer.wake()

    def tick(self, now_seconds: float) -> None:
        """Passes the time; requests unanswered for REQUEST_TIMEOUT_SECONDS move to other peers that can answer them."""
        self._now_seconds = now_seconds
        for peer in self.peers:
            for request in list(peer.inflight.values()):
                if now_seconds - request.sent_at_seconds < REQUEST_TIMEOUT_SECONDS:
                    continue
                if any(other is not peer and self._can_answer(other, request) for other in self.peers):
                    peer.cancel(request.id)
                    peer.window = max(1, peer.window // 2)
                    self._give_back(peer, request)
        self.wake()

    def core_changed(self) -> None:
        """Tells peers the core's new length; call after each change of it."""
        core = self.core
        length, fork = core.length, core.fork
        full = length if core.contiguous_length == length else 0
        if (length, fork, full) == (self._length, self._fork, self._full_length):
            return
        grown = range(self._length, length)
        news = range(full) if full > self._full_length else grown
        self._length, self._fork, self._full_length = length, fork, full
        for peer in self.peers:
            if news and core.has_range(news.start, news.stop):
                peer.announce(news.start, len(news))
            peer.sync()

    def block_arrived(self, index: int) -> None:
        """Tells peers that lack block `index` that it is here now."""
        for peer in self.peers:
            if not peer.blocks.has(index):
                peer.announce(index, 1)
        self.core_changed()

    def blocks_cleared(self, start: int, end: int) -> None:
        """Tells peers that blocks [start, end) are no longer here."""
        for peer in self.peers:
            peer.announce(start, end - start, drop=True)

    def truncated(self, length: int) -> None:
        """The log went back to `length` blocks and began a new fork: what was asked is void."""
        if length < self._length:
            self.blocks_cleared(length, self._length)
        self._length = min(self._length, length)
        self._forget_requests()
        self.core_changed()

    def peer_opened(self, peer: ReplicationPeer) -> None:
        """A peer's channel is open."""
        self.peers.append(peer)
        peer.wake()

    def peer_closed(self, peer: ReplicationPeer) -> None:
        """A peer is gone; its requests are free again."""
        self.peers.remove(peer)
        for request in peer.inflight.values():
            self._give_back(peer, request)
        peer.inflight.clear()
        self._positions = {pair: position for pair, position in self._positions.items() if pair[0] is not peer}
        self.wake()

    def peer_synced(self, peer: ReplicationPeer) -> None:
        """A peer told its state; others may take over growth from it."""
        if self._growing is None:
            self.wake()

    def peer_announced(self, peer: ReplicationPeer, start: int) -> None:
        """A peer's blocks from `start` on changed."""
        for (other, demand), position in self._positions.items():
            if other is peer and position > start:
                self._positions[(other, demand)] = max(start, demand.start)

    def next_requests(self, peer: ReplicationPeer) -> list[Message]:
        """Requests that fill the peer's window."""
        requests: list[Message] = []
        growth = self._growth_request(peer)
        if growth is not None:
            self._growing = peer
            requests.append(self._send(peer, growth, None))
        if peer.remote is None or peer.remote.fork != self.core.fork:
            return requests
        while len(peer.inflight) < peer.window:
            index = self._next_block(peer)
            if index is None:
                break
            self._asked[index] = peer
            block = BlockRequest(index, self.core.missing_nodes(2 * index))
            requests.append(self._send(peer, ProofRequest(fork=self.core.fork, block=block), index))
        return requests

    def receive_data(self, peer: ReplicationPeer, message: Data) -> None:
        """Takes an answer; raises RemoteProtocolError when it is none or its proof is wrong."""
        request = peer.inflight.pop(message.request, None)
        if request is None:
            return
        proof = message.proof
        if proof.block is None and proof.upgrade is None:
            self._refuse(peer, request)
            return
        try:
            self._check_answer(request, proof)
            self.core.apply(proof)
        except (StaleProof, RemoteProtocolError) as problem:
            self._give_back(peer, request)
            if isinstance(problem, RemoteProtocolError):
                raise
        else:
            self._finish(request)
            peer.window = min(WINDOW_REQUESTS, peer.window + 1)

    def receive_no_data(self, peer: ReplicationPeer, message: NoData) -> None:
        """A peer cannot answer; somebody else is asked."""
        request = peer.inflight.pop(message.request, None)
        if request is not None:
            self._refuse(peer, request)

    def receive_extension(self, peer: ReplicationPeer, name: str, message: bytes) -> None:
        """Hands an extension message to the handler, if there is one."""
        if self.on_extension is not None:
            self.on_extension(peer, name, message)

    def _check_answer(self, request: Outstanding, proof: Proof) -> None:
        if request.block is None:
            if proof.upgrade is None or proof.fork != request.fork:
                raise RemoteProtocolError("the answer to a request for growth shows no growth")
        elif proof.block is None or proof.block.index != request.block:
            raise RemoteProtocolError(f"the answer to a request for block {request.block} is another one")

    def _finish(self, request: Outstanding) -> None:
        if request.block is None:
            self._growing = None
        else:
            self._asked.pop(request.block, None)

    def _refuse(self, peer: ReplicationPeer, request: Outstanding) -> None:
        if request.block is not None:
            peer.blocks.drop(request.block, 1)
        elif peer.remote is not None:
            peer.refused_growth = (self.core.length, peer.remote.fork, peer.remote.length)
        self._give_back(peer, request)

    def _give_back(self, peer: ReplicationPeer, request: Outstanding) -> None:
        self._finish(request)
        if request.block is not None:
            self._returned[request.block] = peer
        self.wake()

    def _send(self, peer: ReplicationPeer, proof: ProofRequest, block: int | None) -> Request:
        id, self._next_id = self._next_id, self._next_id + 1
        peer.inflight[id] = Outstanding(id, proof.fork, block, self._now_seconds)
        return Request(id, proof)

    def _growth_request(self, peer: ReplicationPeer) -> ProofRequest | None:
        core, remote = self.core, peer.remote
        if remote is None or self._growing is not None or not remote.length:
            return None
        if peer.refused_growth == (core.length, remote.fork, remote.length):
            return None
        manifest = core.manifest is None and remote.has_manifest
        if remote.fork > core.fork:
            return ProofRequest(fork=remote.fork, upgrade=UpgradeRequest(0, remote.length), manifest=manifest)
        if not self._shows_growth(remote):
            return None
        growth = UpgradeRequest(core.length, remote.length - core.length)
        return ProofRequest(fork=core.fork, upgrade=growth, manifest=manifest)

    def _shows_growth(self, remote: Sync) -> bool:
        """True when the peer is ahead on our fork and has heard our present length, so it can prove the difference."""
        core = self.core
        return (
            remote.fork == core.fork
            and remote.can_upgrade
            and remote.length > core.length
            and remote.remote_length == core.length
        )

    def _can_answer(self, peer: ReplicationPeer, request: Outstanding) -> bool:
        if request.block is not None:
            return peer.blocks.has(request.block)
        return peer.remote is not None and (peer.remote.fork > self.core.fork or self._shows_growth(peer.remote))

    def _wanted(self, index: int) -> bool:
        return index < self.core.length and not self.core.has(index) and any(d.covers(index) for d in self._demands)

    def _next_block(self, peer: ReplicationPeer) -> int | None:
        for index, failed in list(self._returned.items()):
            if not self._wanted(index):
                del self._returned[index]
            elif peer.blocks.has(index) and not (failed is peer and self._others_have(peer, index)):
                del self._returned[index]
                return index
        for demand in self._demands:
            index_found = self._next_of(peer, demand)
            if index_found is not None:
                return index_found
        return None

    def _others_have(self, peer: ReplicationPeer, index: int) -> bool:
        return any(other is not peer and other.blocks.has(index) for other in self.peers)

    def _next_of(self, peer: ReplicationPeer, demand: Demand) -> int | None:
        core = self.core
        end = core.length if demand.end is None else min(demand.end, core.length)
        position = self._positions.get((peer, demand), demand.start)
        if position <= core.contiguous_length:
            position = max(position, core.contiguous_length)
        while True:
            found = peer.blocks.next(position, end)
            if found is None:
                return None
            position = found + 1
            self._positions[(peer, demand)] = position
            if not core.has(found) and found not in self._asked and found not in self._returned:
                return found

    def _forget_requests(self) -> None:
        for peer in self.peers:
            for id in list(peer.inflight):
                peer.cancel(id)
        self._asked.clear()
        self._returned.clear()
        self._positions.clear()
        self._growing = None
