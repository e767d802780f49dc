"""What a peer asks for and what it answers: the parts of requests and proofs as plain values."""

from collections.abc import Callable
from dataclasses import dataclass

from hypercore import flat_tree, merkle
from hypercore.manifest import Manifest
from hypercore.merkle import Node, NodeReader


@dataclass(frozen=True, slots=True)
class BlockRequest:
    """Block number `index`, with a path that climbs `nodes` levels above its leaf."""

    index: int
    nodes: int


@dataclass(frozen=True, slots=True)
class HashRequest:
    """Tree node `index`, with a path that climbs `nodes` levels above it."""

    index: int
    nodes: int


@dataclass(frozen=True, slots=True)
class SeekRequest:
    """The node at byte offset `bytes`, where every block is counted `padding` bytes smaller than it is."""

    bytes: int
    padding: int = 0


@dataclass(frozen=True, slots=True)
class UpgradeRequest:
    """The growth of the log from `start` blocks by `length` blocks."""

    start: int
    length: int


@dataclass(frozen=True, slots=True)
class ProofRequest:
    """Everything that one request may ask for at once."""

    fork: int = 0
    block: BlockRequest | None = None
    hash: HashRequest | None = None
    seek: SeekRequest | None = None
    upgrade: UpgradeRequest | None = None
    manifest: bool = False


@dataclass(frozen=True, slots=True)
class DataBlock:
    """A block's content and the siblings on its way up."""

    index: int
    value: bytes
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class DataHash:
    """A tree node (first in `nodes`) and the siblings on its way up."""

    index: int
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class DataSeek:
    """The node found for a byte offset (first in `nodes`) and the siblings on its way up."""

    bytes: int
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class DataUpgrade:
    """Nodes that grow a tree of `start` blocks by `length`, then on to the signed head; and the head's signature."""

    start: int
    length: int
    nodes: tuple[Node, ...]
    additional_nodes: tuple[Node, ...]
    signature: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """An answer: any of the parts, about one fork of a core."""

    fork: int = 0
    block: DataBlock | None = None
    hash: DataHash | None = None
    seek: DataSeek | None = None
    upgrade: DataUpgrade | None = None
    manifest: Manifest | None = None


@dataclass(frozen=True, slots=True)
class TreeView:
    """One core at one moment, as the producer and the verifier of proofs see it.

    `read_node` knows only nodes whose blocks are all below `length`.
    """

    key: bytes
    fork: int
    roots: tuple[Node, ...]
    signature: bytes
    manifest: Manifest | None
    read_node: NodeReader
    read_block: Callable[[int], bytes]

    @property
    def length(self) -> int:
        """Number of blocks."""
        return merkle.block_length(self.roots)


def missing_nodes(read: NodeReader, length: int, index: int) -> int:
    """How many levels a proof of tree node `index` must climb to reach a node that is stored.

    0 when the node itself is stored, and also when it lies beyond `length` blocks: then an upgrade proves it.
    """
    head = 2 * length
    if flat_tree.right_span(index) >= head:
        return 0
    levels = 0
    while not flat_tree.contains(index, head) and read(index) is None:
        levels += 1
        index = flat_tree.parent(index)
    return levels
