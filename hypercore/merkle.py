"""The Merkle tree over a log's blocks, as plain functions over nodes.

Storage is passed in as a function `index -> Node | None`, so the same code serves memory, disk and proofs in flight.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

from hypercore import crypto, flat_tree
from hypercore.encoding import MAXIMUM_ARRAY_ITEMS, MAXIMUM_UINT, Reader, Writer
from hypercore.errors import BlockNotAvailable, InvalidProof, LocalProtocolError

NODE_ENCODED_SIZE_MINIMUM = 34


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the tree: flat-tree index, bytes of all blocks below it, 32-byte hash."""

    index: int
    size: int
    hash: bytes


NodeReader = Callable[[int], Node | None]


def leaf(block_index: int, block: bytes) -> Node:
    """The leaf node of a block."""
    return Node(2 * block_index, len(block), crypto.leaf_hash(block))


def parent(left: Node, right: Node) -> Node:
    """The node above two siblings, given in either order."""
    if left.index > right.index:
        left, right = right, left
    size = left.size + right.size
    if size > MAXIMUM_UINT:
        raise InvalidProof(f"subtree of {size} bytes is above 2^53-1")
    return Node(flat_tree.parent(left.index), size, crypto.parent_hash(size, left.hash, right.hash))


def tree_hash(roots: Iterable[Node]) -> bytes:
    """The 32-byte hash that a signature covers."""
    return crypto.tree_hash(roots)


def byte_length(roots: Iterable[Node]) -> int:
    """Bytes of all blocks."""
    return sum(root.size for root in roots)


def block_length(roots: Sequence[Node]) -> int:
    """Number of blocks below a list of full roots."""
    return flat_tree.right_span(roots[-1].index) // 2 + 1 if roots else 0


def require(read: NodeReader, index: int) -> Node:
    """The node at `index`; raises `BlockNotAvailable` when it is not stored."""
    node = read(index)
    if node is None:
        raise BlockNotAvailable(f"tree node {index} is not stored")
    return node


def read_roots(read: NodeReader, length: int) -> tuple[Node, ...]:
    """The full roots of the first `length` blocks."""
    return tuple(require(read, index) for index in flat_tree.full_roots(length))


@dataclass(slots=True)
class Growth:
    """A tree that is being appended to: its present roots and every node made on the way."""

    roots: list[Node]
    nodes: list[Node] = field(default_factory=list)

    @classmethod
    def of(cls, roots: Iterable[Node]) -> Self:
        """Start from the full roots of what is there already."""
        return cls(list(roots))

    @property
    def length(self) -> int:
        """Blocks covered so far."""
        return block_length(self.roots)

    def append_root(self, node: Node) -> None:
        """Add a perfect subtree at the end, then merge siblings upwards.

        Raises `InvalidProof` when the subtree does not start where the tree ends.
        """
        if flat_tree.left_span(node.index) != 2 * self.length:
            raise InvalidProof(f"node {node.index} does not continue a tree of {self.length} blocks")
        self.roots.append(node)
        self.nodes.append(node)
        while len(self.roots) > 1 and flat_tree.sibling(self.roots[-1].index) == self.roots[-2].index:
            merged = parent(self.roots[-2], self.roots[-1])
            self.roots[-2:] = [merged]
            self.nodes.append(merged)


def append_batch(roots: Iterable[Node], blocks: Iterable[bytes]) -> Growth:
    """Roots and new nodes after appending `blocks`."""
    growth = Growth.of(roots)
    tops, nodes = growth.roots, growth.nodes
    position = growth.length
    for block in blocks:
        node = leaf(position, block)
        nodes.append(node)
        # Each trailing one bit of the block's number is a perfect tree on its left that it completes a larger one with.
        merges = position
        while merges & 1:
            node = parent(tops.pop(), node)
            nodes.append(node)
            merges >>= 1
        tops.append(node)
        position += 1
    return growth


def byte_offset(read: NodeReader, length: int, index: int) -> int:
    """Bytes before the first block below tree node `index`, in a tree of `length` blocks.

    Needs only nodes on the left of the path from the root; raises `BlockNotAvailable` when one is not stored.
    """
    target = flat_tree.left_span(index)
    if target == 2 * length:
        return sum(require(read, root).size for root in flat_tree.full_roots(length))
    if not 0 <= target < 2 * length:
        raise LocalProtocolError(f"tree node {index} is outside a log of {length} blocks")
    before = 0
    for root in flat_tree.full_roots(length):
        if not flat_tree.contains(root, target):
            before += require(read, root).size
            continue
        position = root
        while position != index and (below := flat_tree.children(position)):
            left, right = below
            if flat_tree.contains(left, target):
                position = left
            else:
                before += require(read, left).size
                position = right
        break
    return before


def write_nodes(writer: Writer, nodes: Sequence[Node]) -> None:
    """Encode a list of nodes: index, size, hash each."""
    writer.array(nodes, lambda out, node: out.uint(node.index).uint(node.size).fixed(node.hash, crypto.HASH_SIZE))


def read_nodes(reader: Reader, maximum: int = MAXIMUM_ARRAY_ITEMS) -> tuple[Node, ...]:
    """Decode a list of at most `maximum` nodes."""
    return tuple(reader.array(_read_node, maximum, NODE_ENCODED_SIZE_MINIMUM))


def _read_node(reader: Reader) -> Node:
    return Node(reader.uint(), reader.uint(), reader.fixed(crypto.HASH_SIZE))
