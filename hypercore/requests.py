"""What replication needs of a core and of a peer, and the requests that are under way at one peer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Protocol

from hypercore import flat_tree
from hypercore.bitfield import Bitfield
from hypercore.conflict import Conflict
from hypercore.demand import Seek
from hypercore.errors import HypercoreError
from hypercore.manifest import Manifest
from hypercore.merkle import Node, NodeReader
from hypercore.messages import Data, Sync
from hypercore.proof import Proof, ProofRequest, TreeView, VerifiedBatch
from hypercore.remote_blocks import RemoteBlocks

REQUEST_TIMEOUT_SECONDS = 15.0


class ReplicatedCore(Protocol):
    """What replication needs of a core; `hypercore.io.core.Core` is one."""

    @property
    def key(self) -> bytes: ...
    @property
    def discovery_key(self) -> bytes: ...
    @property
    def manifest(self) -> Manifest | None: ...
    @property
    def length(self) -> int: ...
    @property
    def fork(self) -> int: ...
    @property
    def contiguous_length(self) -> int: ...
    @property
    def bitfield(self) -> Bitfield: ...
    @property
    def frozen(self) -> bool: ...
    @property
    def conflict(self) -> Conflict | None: ...
    @property
    def signed(self) -> bool: ...

    def has(self, index: int, /) -> bool: ...
    def has_range(self, start: int, end: int, /) -> bool: ...
    def view(self) -> TreeView: ...
    def prepare(self, index: int, ready: Callable[[], None], /) -> bool: ...
    def proof(self, request: ProofRequest, /) -> Proof: ...
    def apply(self, proof: Proof, /) -> object: ...
    def adopt(self, batch: VerifiedBatch, /) -> object: ...
    def freeze(self, conflict: Conflict, /) -> None: ...
    def read_node(self, index: int, /) -> Node | None: ...
    def missing_nodes(self, index: int, /) -> int: ...


class Peer(Protocol):
    """What replication needs of a peer of one core; `hypercore.replicate_peer.ReplicationPeer` is one.

    `window` bounds the requests in `inflight`; a `paused` peer is asked for nothing but the head that `probe` wants;
    `refused_growth` is (our length, its fork, its length) when it could not prove the growth that it told of.
    """

    blocks: RemoteBlocks
    remote: Sync | None
    inflight: InFlight
    window: int
    has_answered: bool
    paused: bool
    failed_proofs: int
    probe: Probe | None
    refused_growth: tuple[int, int, int] | None
    wake: Callable[[], None]

    def sync(self, *, signed_anew: bool = False) -> None: ...
    def announce(self, start: int, length: int, drop: bool = False) -> None: ...
    def cancel(self, id: int, /) -> Outstanding | None: ...
    def widen(self, answer: Proof, /) -> None: ...
    def send_probe(self, length: int, now_seconds: float, cause: HypercoreError, /) -> None: ...
    def send_extension(self, name: str, message: bytes, /) -> None: ...
    def say_farewell(self, heads: tuple[Data, ...], /) -> None: ...
    def accuse(self, offence: HypercoreError, /) -> None: ...


class Purpose(Enum):
    """What a request is for."""

    BLOCK = auto()
    GROWTH = auto()
    SEEK = auto()
    REORG = auto()


@dataclass(eq=False, slots=True)
class Outstanding:
    """A request of ours that a peer has not answered yet.

    `builds_on_another`: its path stops at a node that the answer to another request to the same peer brings. `nodes`
    are the tree nodes that the answer to a request for a block brings, `answer` is one that came too early.
    """

    id: int
    peer: Peer
    purpose: Purpose
    proof: ProofRequest
    sent_at_seconds: float
    builds_on_another: bool = False
    seek: Seek | None = None
    nodes: list[int] = field(init=False)
    answer: Proof | None = None

    def __post_init__(self) -> None:
        self.nodes = _nodes_of(self.proof)

    @property
    def block(self) -> int | None:
        """The block that a request for a block is about."""
        return self.proof.block.index if self.purpose is Purpose.BLOCK and self.proof.block else None


@dataclass(frozen=True, slots=True)
class Probe:
    """A question for the peer's signed head that was sent because of `cause`."""

    sent_at_seconds: float
    cause: HypercoreError


class InFlight(dict[int, Outstanding]):
    """Our requests at one peer by number, and the tree nodes that their answers will bring.

    Peers may answer in any order. An answer that comes too early stays here, and so within the peer's window.
    """

    def __init__(self) -> None:
        super().__init__()
        self._coming: dict[int, int] = {}
        self._early: dict[int, list[Outstanding]] = {}
        self._ripe: list[Outstanding] = []

    def path(self, read: NodeReader, length: int, block: int) -> tuple[int, bool]:
        """How many levels a path from a block must climb to a node that is stored or coming, and whether it is coming.

        `length` is the log's: no path leaves its tree.
        """
        levels, index = 0, 2 * block
        while index not in self._coming:
            if read(index) is not None or abs(2 * length - index) < 1 << levels:
                return levels, False
            levels += 1
            index = flat_tree.index_of(levels, block >> levels)
        return levels, True

    def add(self, request: Outstanding) -> None:
        """Remember a request that is being sent."""
        self[request.id] = request
        for index in request.nodes:
            self._coming.setdefault(index, request.id)

    def finish(self, id: int) -> Outstanding | None:
        """Forget a request that was answered or withdrawn, and return it."""
        request = self.pop(id, None)
        if request is not None:
            for index in request.nodes:
                if self._coming.get(index) == id:
                    del self._coming[index]
            self._ripe += self._early.pop(id, ())
        return request

    def keep(self, request: Outstanding, answer: Proof, node: int) -> bool:
        """Keep an answer until the one that brings `node` was taken; False when none will."""
        brings = self._coming.get(node, request.id)
        if brings == request.id:
            return False
        request.answer = answer
        self._early.setdefault(brings, []).append(request)
        return True

    def next_ripe(self) -> tuple[Outstanding, Proof] | None:
        """A kept answer whose turn has come."""
        while self._ripe:
            request = self._ripe.pop()
            answer, request.answer = request.answer, None
            if answer is not None and self.get(request.id) is request:
                return request, answer
        return None


def _nodes_of(proof: ProofRequest) -> list[int]:
    block = proof.block
    if block is None:
        return []
    index = 2 * block.index
    nodes = [index]
    for _ in range(block.nodes):
        nodes += (flat_tree.sibling(index), flat_tree.parent(index))
        index = flat_tree.parent(index)
    return nodes
