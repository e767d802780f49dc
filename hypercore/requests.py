"""What replication needs of a core, and the requests that we have under way at one peer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from hypercore import flat_tree
from hypercore.bitfield import Bitfield
from hypercore.conflict import Conflict
from hypercore.demand import Seek
from hypercore.errors import HypercoreError
from hypercore.manifest import Manifest
from hypercore.proof import Proof, ProofRequest, TreeView, VerifiedBatch

if TYPE_CHECKING:
    from hypercore.replicate_peer import ReplicationPeer

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
    def proof(self, request: ProofRequest, /) -> Proof: ...
    def apply(self, proof: Proof, /) -> object: ...
    def adopt(self, batch: VerifiedBatch, /) -> object: ...
    def freeze(self, conflict: Conflict, /) -> None: ...
    def missing_nodes(self, index: int, /) -> int: ...


class Purpose(Enum):
    """What a request is for."""

    BLOCK = auto()
    GROWTH = auto()
    SEEK = auto()
    REORG = auto()


@dataclass(eq=False, slots=True)
class Outstanding:
    """A request of ours that a peer has not answered yet.

    `trusts_order`: its path stops at a node that an earlier request to the same peer brings.
    """

    id: int
    peer: ReplicationPeer
    purpose: Purpose
    proof: ProofRequest
    sent_at_seconds: float
    trusts_order: bool = False
    seek: Seek | None = None

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
    """Our requests at one peer by number, and the tree nodes that their answers will bring."""

    def __init__(self) -> None:
        super().__init__()
        self._coming: dict[int, int] = {}

    def levels(self, index: int, levels: int) -> int:
        """How far a path that must climb `levels` from node `index` really has to, given what is coming anyway."""
        for level in range(levels):
            if index in self._coming:
                return level
            index = flat_tree.parent(index)
        return levels

    def add(self, request: Outstanding) -> None:
        """Remember a request that is being sent."""
        self[request.id] = request
        for index in _nodes_of(request):
            self._coming.setdefault(index, request.id)

    def finish(self, id: int) -> Outstanding | None:
        """Forget a request that was answered or withdrawn, and return it."""
        request = self.pop(id, None)
        if request is not None:
            for index in _nodes_of(request):
                if self._coming.get(index) == id:
                    del self._coming[index]
        return request


def _nodes_of(request: Outstanding) -> list[int]:
    block = request.proof.block
    if block is None:
        return []
    index = 2 * block.index
    nodes = [index]
    for _ in range(block.nodes):
        nodes += (flat_tree.sibling(index), flat_tree.parent(index))
        index = flat_tree.parent(index)
    return nodes
