"""Finding the block at a byte offset of a log whose tree is only partly here, by asking peers for parts of the tree.

Each answer shows at least one more level on the way down. The sizes of the last two leaves are certain only with the
content of one of them, so those blocks are fetched.
"""

from __future__ import annotations

from collections.abc import Callable

from hypercore import flat_tree
from hypercore.demand import Demand, Seek, Unknown, locate
from hypercore.errors import InvalidOperation, LocalProtocolError
from hypercore.proof import HashRequest, Proof, ProofRequest, SeekRequest
from hypercore.requests import Outstanding, Peer, ReplicatedCore

MAX_SEEKS = 1024


class Seeker:
    """All seeks of one core. `want` and `release` are the scheduler's, for the blocks at the end of the way."""

    def __init__(
        self, core: ReplicatedCore, want: Callable[[int, int], Demand], release: Callable[[Demand], None]
    ) -> None:
        self._core = core
        self._want = want
        self._release = release
        self._seeks: list[Seek] = []
        self._refused: set[tuple[Peer, Seek]] = set()

    def add(self, seek: Seek) -> None:
        """Begin to look; raises `LocalProtocolError` when MAX_SEEKS are under way."""
        if len(self._seeks) >= MAX_SEEKS:
            raise LocalProtocolError(f"{MAX_SEEKS} seeks are under way")
        self._seeks.append(seek)
        self.advance()

    def remove(self, seek: Seek) -> None:
        """Give up, or be done."""
        if seek in self._seeks:
            self._seeks.remove(seek)
            self._refused = {pair for pair in self._refused if pair[1] is not seek}
        if seek.pair is not None:
            self._release(seek.pair)
            seek.pair = None

    def advance(self) -> None:
        """Look again after the core's tree changed."""
        for seek in list(self._seeks):
            place = self._locate(seek)
            if isinstance(place, tuple):
                seek.found = place
                self.remove(seek)
                seek.on_found(*place)
            elif place is not None and seek.pair is None and flat_tree.depth(place.node.index) == 1:
                seek.pair = self._want(*flat_tree.block_range(place.node.index))

    def next_request(self, peer: Peer) -> tuple[ProofRequest, Seek] | None:
        """What to ask this peer for the oldest seek that nobody was asked for."""
        for seek in self._seeks:
            if seek.asked or (peer, seek) in self._refused:
                continue
            place = self._locate(seek)
            if isinstance(place, Unknown) and (levels := flat_tree.depth(place.node.index)) > 1:
                path = HashRequest(2 * place.likely_block(), levels)
                hint = None if seek.plain else SeekRequest(seek.bytes, seek.padding)
                return ProofRequest(self._core.fork, hash=path, seek=hint), seek
        return None

    def receive(self, request: Outstanding, proof: Proof) -> None:
        """The answer to a request of `next_request`; raises a subclass of `InvalidProof`."""
        wanted = request.proof.hash
        if proof.hash is None or wanted is None or proof.hash.index != wanted.index:
            raise InvalidOperation("the answer to a request for a tree node is another one")
        self._core.apply(proof)

    def ended(self, request: Outstanding, *, refused: bool) -> None:
        """A request for a seek is over. A peer that could not answer with the byte offset is asked once without."""
        seek = request.seek
        if seek is None:
            return
        seek.asked = False
        if not refused:
            seek.plain = False
            self._refused = {pair for pair in self._refused if pair[1] is not seek}
        elif seek.plain:
            self._refused.add((request.peer, seek))
        else:
            seek.plain = True

    def peer_closed(self, peer: Peer) -> None:
        """A peer is gone."""
        self._refused = {pair for pair in self._refused if pair[0] is not peer}

    def _locate(self, seek: Seek) -> tuple[int, int] | Unknown | None:
        view = self._core.view()
        try:
            return locate(view.read_node, view.roots, seek.bytes, seek.padding)
        except LocalProtocolError:
            return None
