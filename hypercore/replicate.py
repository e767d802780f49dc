"""The scheduler of one core: which block is asked of which peer, growth of the log, and news to everybody; no IO.

    replicator = Replicator(core)
    peer = ReplicationPeer(replicator, ...)      one per channel
    demand = replicator.want(0, None)            everything, also what is appended later
    replicator.release(demand)

Every peer is asked for blocks that it has and that nobody else was asked for, in rising order, up to its window. A
block that a peer did not deliver goes back and is asked of the next one; a peer that has nothing left to do takes over
the requests of a slow one, and the answer that comes first counts. The head follows the longest signed one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hypercore.block_requests import BlockRequests
from hypercore.demand import Demand, DemandSet, Seek
from hypercore.errors import BlockNotAvailable, InvalidRequest, RemoteProtocolError, StaleProof
from hypercore.follow import HeadFollower
from hypercore.messages import Data, Message, NoData, Request
from hypercore.proof import Proof, ProofRequest, UpgradeRequest
from hypercore.requests import REQUEST_TIMEOUT_SECONDS, Outstanding, Peer, Purpose, ReplicatedCore
from hypercore.seeking import Seeker

ExtensionHandler = Callable[[Peer, str, bytes], None]


class Replicator:
    """All peers of one core.

    `on_extension(peer, name, message)` gets messages of extensions, `on_peer_state()` hears when a peer told its head
    or left.
    """

    def __init__(
        self,
        core: ReplicatedCore,
        on_extension: ExtensionHandler | None = None,
        on_peer_state: Callable[[], None] | None = None,
    ) -> None:
        self.core = core
        self.on_extension = on_extension
        self._on_peer_state = on_peer_state
        self.peers: list[Peer] = []
        self._heads = HeadFollower(core)
        self._seeker = Seeker(core, lambda start, end: self.want(start, end, urgent=True), self.release)
        self._blocks = BlockRequests(core, self.peers)
        self._next_id = 1
        self._now_seconds = 0.0
        self._length, self._fork = core.length, core.fork
        self._full_length = core.length if core.contiguous_length == core.length else 0

    def want(self, start: int, end: int | None = None, *, urgent: bool = False) -> Demand:
        """Asks peers for blocks [start, end) until `release`; urgent demands go first."""
        return self._add(Demand(start, end), urgent)

    def want_blocks(self, indexes: Iterable[int], *, urgent: bool = False) -> Demand:
        """Asks peers for single blocks until `release`."""
        return self._add(DemandSet(indexes), urgent)

    def _add(self, demand: Demand, urgent: bool) -> Demand:
        self._blocks.add(demand, urgent=urgent)
        self.wake()
        return demand

    def release(self, demand: Demand) -> None:
        """Ends a demand; requests that nobody else wants are withdrawn."""
        self._blocks.release(demand)

    def seek(self, byte_offset: int, padding: int, on_found: Callable[[int, int], None]) -> Seek:
        """Looks for the block that holds a byte, also in a log that has yet to grow there, until `release_seek`."""
        seek = Seek(byte_offset, padding, on_found)
        self._seeker.add(seek)
        self.wake()
        return seek

    def look_again(self) -> None:
        """Has seeks use what the core learned otherwise."""
        self._seeker.advance()

    def release_seek(self, seek: Seek) -> None:
        """Ends a seek."""
        self._seeker.remove(seek)

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
                    if request.purpose is Purpose.GROWTH:
                        self._heads.refused(peer)
                    self._give_back(request)
        self._heads.tick(self.peers, now_seconds)
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

    def core_signed(self) -> None:
        """The core's head got the signature that peers accept."""
        for peer in self.peers:
            peer.sync(signed_anew=True)

    def core_frozen(self) -> None:
        """Shows every peer both sides of a conflict, then stops replicating."""
        conflict = self.core.conflict
        rival = () if conflict is None else (Data(0, conflict.rival),)
        for peer in self.peers:
            peer.say_farewell(self._own_head(peer) + rival)

    def block_arrived(self, index: int) -> None:
        """Tells peers that lack block `index` that it is here now."""
        for peer in self.peers:
            if not peer.blocks.has(index):
                peer.announce(index, 1)
        self.core_changed()

    def blocks_cleared(self, start: int, end: int) -> None:
        """Tells peers that blocks [start, end) are no longer here, and which behind them still are.

        JavaScript peers remember only how far a log is complete; without the second part they forget the rest of it.
        """
        rest = self.core.bitfield.first_unset(end)
        for peer in self.peers:
            peer.announce(start, end - start, drop=True)
            if rest > end:
                peer.announce(end, rest - end)

    def truncated(self, length: int) -> None:
        """The log went back to `length` blocks and began a new fork: what was asked is void."""
        if length < self._length:
            self.blocks_cleared(length, self._length)
        self._length = min(self._length, length)
        self._forget_requests()
        self.core_changed()

    def peer_opened(self, peer: Peer) -> None:
        """A peer's channel is open."""
        self.peers.append(peer)
        peer.wake()

    def peer_closed(self, peer: Peer) -> None:
        """A peer is gone; its requests are free again."""
        self.peers.remove(peer)
        for request in list(peer.inflight.values()):
            peer.inflight.finish(request.id)
            self._give_back(request)
        self._heads.peer_closed(peer)
        self._seeker.peer_closed(peer)
        self._blocks.peer_closed(peer)
        self.wake()

    def peer_synced(self, peer: Peer) -> None:
        """A peer told its state; others may take over growth from it."""
        if self._heads.idle:
            self.wake()
        self.peers_changed()

    def peers_changed(self) -> None:
        """A peer told its head, or will tell none any more."""
        if self._on_peer_state is not None:
            self._on_peer_state()

    def peer_announced(self, peer: Peer, start: int) -> None:
        """A peer's blocks from `start` on changed."""
        self._blocks.peer_announced(peer, start)

    def next_requests(self, peer: Peer) -> list[Message]:
        """Requests that fill the peer's window."""
        requests: list[Message] = []
        self._take_ripe(peer)
        if peer.paused or self.core.frozen:
            return requests
        about_head = self._heads.next_request(peer)
        if about_head is not None:
            request = self._send(peer, *about_head)
            self._heads.sent(request)
            requests.append(Request(request.id, request.proof))
        if peer.remote is None or peer.remote.fork != self.core.fork:
            return requests
        while len(peer.inflight) < peer.window and (wanted := self._seeker.next_request(peer)) is not None:
            proof, seek = wanted
            seek.asked = True
            requests.append(Request(self._send(peer, Purpose.SEEK, proof, seek=seek).id, proof))
        while len(peer.inflight) < peer.window and (block := self._blocks.next(peer, self._now_seconds)) is not None:
            request = self._send(peer, Purpose.BLOCK, block[0], builds_on_another=block[1])
            self._blocks.sent(request)
            requests.append(Request(request.id, request.proof))
        return requests

    def receive_data(self, peer: Peer, message: Data) -> None:
        """Takes an answer; raises RemoteProtocolError when it is none or its proof is wrong."""
        proof = message.proof
        if message.request == 0:
            if proof.upgrade is not None and proof.upgrade.start == 0 and not self.core.frozen:
                self._heads.receive_head(peer, proof)
            return
        request = peer.inflight.get(message.request)
        if request is None or request.answer is not None:
            return
        peer.has_answered = True
        self._take_answer(request, proof)
        self._take_ripe(peer)

    def receive_no_data(self, peer: Peer, message: NoData) -> None:
        """A peer cannot answer; somebody else is asked."""
        request = peer.inflight.finish(message.request)
        if request is not None:
            self._refuse(request)
            self._take_ripe(peer)

    def receive_extension(self, peer: Peer, name: str, message: bytes) -> None:
        """Hands an extension message to the handler, if there is one."""
        if self.on_extension is not None:
            self.on_extension(peer, name, message)

    def _take_ripe(self, peer: Peer) -> None:
        """Takes answers that came before the one which they build on, now that it is here or will not come."""
        while (ripe := peer.inflight.next_ripe()) is not None:
            self._take_answer(*ripe)

    def _take_answer(self, request: Outstanding, proof: Proof) -> None:
        peer = request.peer
        missing = self._blocks.missing_top(request, proof)
        if missing is not None and peer.inflight.keep(request, proof, missing):
            return
        peer.inflight.finish(request.id)
        if proof.block is None and proof.upgrade is None and proof.hash is None:
            self._refuse(request)
            return
        try:
            if missing is not None:
                raise StaleProof("the answer that this one builds on did not come")
            self._take(request, proof)
        except (StaleProof, RemoteProtocolError) as problem:
            self._give_back(request)
            if isinstance(problem, RemoteProtocolError):
                self._heads.proof_failed(peer, problem, self._now_seconds)
        else:
            self._finish(request, answered=True)
            peer.widen(proof)
            self._seeker.advance()

    def _take(self, request: Outstanding, proof: Proof) -> None:
        if request.purpose in (Purpose.GROWTH, Purpose.REORG):
            self._heads.receive(request, proof)
        elif request.purpose is Purpose.SEEK:
            self._seeker.receive(request, proof)
        else:
            self._blocks.receive(request, proof)

    def _finish(self, request: Outstanding, *, answered: bool, refused: bool = False) -> None:
        if request.purpose in (Purpose.GROWTH, Purpose.REORG):
            self._heads.ended(request, answered=answered)
        elif request.purpose is Purpose.SEEK:
            self._seeker.ended(request, refused=refused)
        elif request.block is not None and answered:
            self._blocks.done(request.block)
        else:
            self._blocks.give_back(request)

    def _refuse(self, request: Outstanding) -> None:
        if request.block is not None:
            request.peer.blocks.drop(request.block, 1)
        elif request.purpose is Purpose.GROWTH:
            self._heads.refused(request.peer)
        self._give_back(request, refused=True)

    def _give_back(self, request: Outstanding, *, refused: bool = False) -> None:
        self._finish(request, answered=False, refused=refused)
        self.wake()

    def _send(
        self,
        peer: Peer,
        purpose: Purpose,
        proof: ProofRequest,
        *,
        builds_on_another: bool = False,
        seek: Seek | None = None,
    ) -> Outstanding:
        id, self._next_id = self._next_id, self._next_id + 1
        request = Outstanding(id, peer, purpose, proof, self._now_seconds, builds_on_another, seek)
        peer.inflight.add(request)
        return request

    def _can_answer(self, peer: Peer, request: Outstanding) -> bool:
        if peer.paused:
            return False
        if request.block is not None:
            return peer.blocks.has(request.block)
        if request.purpose is Purpose.GROWTH:
            return self._heads.can_prove_growth(peer)
        return peer.remote is not None and peer.remote.fork == request.proof.fork

    def _own_head(self, peer: Peer) -> tuple[Data, ...]:
        remote, core = peer.remote, self.core
        if remote is None or remote.fork != core.fork or not min(remote.length, core.length):
            return ()
        growth = UpgradeRequest(0, min(remote.length, core.length))
        try:
            return (Data(0, core.proof(ProofRequest(core.fork, upgrade=growth))),)
        except (BlockNotAvailable, InvalidRequest):
            return ()

    def _forget_requests(self) -> None:
        for peer in self.peers:
            for id in list(peer.inflight):
                request = peer.cancel(id)
                if request is not None and request.seek is not None:
                    request.seek.asked = False
        self._blocks.forget()
        self._heads.forget()
