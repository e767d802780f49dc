"""Who is asked for which block: every wanted block of one peer at a time, slow ones of a second."""

from __future__ import annotations

from itertools import islice

from hypercore import flat_tree
from hypercore.demand import Demand
from hypercore.errors import RemoteProtocolError
from hypercore.proof import BlockRequest, Proof, ProofRequest
from hypercore.requests import Outstanding, Peer, ReplicatedCore

TAKE_OVER_SECONDS = 2.0
TAKE_OVER_CANDIDATES = 64


class BlockRequests:
    """The wanted blocks of one core and the requests for them."""

    def __init__(self, core: ReplicatedCore, peers: list[Peer]) -> None:
        self._core = core
        self._peers = peers
        self._demands: list[Demand] = []
        # Urgent demands for one block each, apart, so that many readers at once cost no more each than one alone.
        self._singles: dict[int, list[Demand]] = {}
        self._unasked_singles: dict[int, None] = {}
        self._asked: dict[int, Outstanding] = {}
        self._taken_over: dict[int, Outstanding] = {}
        self._returned: dict[int, Peer | None] = {}
        self._positions: dict[tuple[Peer, Demand], int] = {}

    def add(self, demand: Demand, *, urgent: bool) -> None:
        """Blocks are wanted; urgent demands go first, those for one block each before all."""
        if urgent and demand.is_single:
            self._singles.setdefault(demand.start, []).append(demand)
            self._unasked_singles[demand.start] = None
        else:
            self._demands.insert(0 if urgent else len(self._demands), demand)

    def release(self, demand: Demand) -> None:
        """Blocks are no longer wanted; requests that nobody else wants are withdrawn."""
        alike = self._singles.get(demand.start, [])
        if demand in alike:
            alike.remove(demand)
            if not alike:
                del self._singles[demand.start]
            self._withdraw_unwanted(demand.start)
            return
        self._demands.remove(demand)
        self._positions = {pair: position for pair, position in self._positions.items() if pair[1] is not demand}
        for index in [index for index in self._asked if demand.covers(index)]:
            self._withdraw_unwanted(index)

    def _withdraw_unwanted(self, index: int) -> None:
        if index in self._asked and not self._wanted(index):
            for holders in (self._asked, self._taken_over):
                request = holders.pop(index, None)
                if request is not None:
                    request.peer.cancel(request.id)

    def next(self, peer: Peer, now_seconds: float) -> tuple[ProofRequest, bool] | None:
        """What to ask this peer, and whether the path ends at a node that another answer will bring."""
        index = self._next_block(peer)
        if index is None:
            index = self._slow_block(peer, now_seconds)
        if index is None:
            return None
        core = self._core
        levels, is_coming = peer.inflight.path(core.read_node, core.length, index)
        return ProofRequest(core.fork, block=BlockRequest(index, levels)), is_coming

    def sent(self, request: Outstanding) -> None:
        """A request that `next` proposed is on its way."""
        index = request.block
        if index is not None:
            holders = self._taken_over if index in self._asked else self._asked
            holders[index] = request

    def receive(self, request: Outstanding, proof: Proof) -> None:
        """The answer to a request; raises `StaleProof` or RemoteProtocolError."""
        if proof.block is None or proof.block.index != request.block:
            raise RemoteProtocolError(f"the answer to a request for block {request.block} is another one")
        self._core.apply(proof)

    def done(self, index: int) -> None:
        """A block came in; the other peer that was asked for it is told."""
        for holders in (self._asked, self._taken_over):
            request = holders.pop(index, None)
            if request is not None and request.peer.inflight.get(request.id) is request:
                request.peer.cancel(request.id)

    def give_back(self, request: Outstanding) -> None:
        """A peer did not deliver; another one is asked, unless it has been already."""
        index = request.block
        if index is None:
            return
        for holders in (self._asked, self._taken_over):
            if holders.get(index) is request:
                del holders[index]
        if index in self._taken_over:
            self._asked[index] = self._taken_over.pop(index)
        elif index not in self._asked:
            self._returned[index] = request.peer

    def peer_announced(self, peer: Peer, start: int) -> None:
        """A peer's blocks from `start` on changed."""
        for (other, demand), position in self._positions.items():
            if other is peer and position > start:
                self._positions[(other, demand)] = max(start, demand.start)

    def peer_closed(self, peer: Peer) -> None:
        """A peer is gone."""
        self._positions = {pair: position for pair, position in self._positions.items() if pair[0] is not peer}

    def forget(self) -> None:
        """The log is another one now; what was asked is void."""
        self._asked.clear()
        self._taken_over.clear()
        self._returned.clear()
        self._positions.clear()
        self._unasked_singles = dict.fromkeys(self._singles)

    def missing_top(self, request: Outstanding, proof: Proof) -> int | None:
        """The node where a proof ends, when another answer should have brought it and did not yet."""
        if not request.builds_on_another or proof.block is None or proof.upgrade is not None:
            return None
        levels = len(proof.block.nodes)
        top = flat_tree.index_of(levels, proof.block.index >> levels)
        return top if self._core.read_node(top) is None else None

    def _wanted(self, index: int) -> bool:
        core = self._core
        if index >= core.length or core.has(index):
            return False
        return index in self._singles or any(demand.covers(index) for demand in self._demands)

    def _next_block(self, peer: Peer) -> int | None:
        for index, failed in list(self._returned.items()):
            if not self._wanted(index):
                del self._returned[index]
            elif peer.blocks.has(index) and not (failed is peer and self._others_have(peer, index)):
                del self._returned[index]
                return index
        single = self._next_single(peer)
        if single is not None:
            return single
        for demand in self._demands:
            found = self._next_of(peer, demand)
            if found is not None:
                return found
        return None

    def _next_single(self, peer: Peer) -> int | None:
        settled, found = [], None
        for index in self._unasked_singles:
            if index in self._singles and (index >= self._core.length or not peer.blocks.has(index)):
                continue
            settled.append(index)
            if self._is_free(index) and self._wanted(index):
                found = index
                break
        for index in settled:
            del self._unasked_singles[index]
        return found

    def _next_of(self, peer: Peer, demand: Demand) -> int | None:
        core = self._core
        position = self._positions.get((peer, demand), demand.start)
        if position <= core.contiguous_length:
            position = max(position, core.contiguous_length)
        while True:
            found = demand.next(peer.blocks, position, core.length)
            if found is None:
                return None
            position = found + 1
            self._positions[(peer, demand)] = position
            if not core.has(found) and self._is_free(found):
                return found

    def _is_free(self, index: int) -> bool:
        """True when no peer was asked for a block, or gave it back."""
        return index not in self._asked and index not in self._returned

    def _slow_block(self, peer: Peer, now_seconds: float) -> int | None:
        """A block that another peer takes long to deliver, for a peer that has shown that it answers."""
        if not peer.has_answered or len(self._peers) < 2:
            return None
        for index, request in islice(self._asked.items(), TAKE_OVER_CANDIDATES):
            late = now_seconds - request.sent_at_seconds >= TAKE_OVER_SECONDS
            if late and request.peer is not peer and index not in self._taken_over and peer.blocks.has(index):
                return index
        return None

    def _others_have(self, peer: Peer, index: int) -> bool:
        return any(other is not peer and not other.paused and other.blocks.has(index) for other in self._peers)
