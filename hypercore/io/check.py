"""Checking a stored core from its signed head down to the last byte, and repairing what can be repaired.

The signature covers the roots, each node covers the two below it, and each leaf covers its block. Nodes that are
damaged are computed again from those below them. Blocks that no longer have their hash are given up: they count as not
here and can be fetched from peers again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from hypercore import crypto, flat_tree, merkle
from hypercore.errors import InvalidProof, StoreCorrupt
from hypercore.io.files import Directory
from hypercore.io.journal import Change
from hypercore.io.store import Store
from hypercore.manifest import verifier_for
from hypercore.merkle import Node
from hypercore.quorum import needs_quorum

REPAIR_BATCH_NODES = 65_536

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was looked at and what was wrong. Runs are (first block, one past the last).

    `recovered` says what a crash before this check had cost; `repaired` that the damage listed here is mended now.
    """

    key: bytes
    length: int
    fork: int
    blocks_checked: int
    nodes_checked: int
    damaged_blocks: tuple[tuple[int, int], ...]
    damaged_nodes: int
    recovered: str | None
    repaired: bool

    @property
    def healthy(self) -> bool:
        """True when nothing was wrong, or all of it was repaired."""
        return self.repaired or not (self.damaged_blocks or self.damaged_nodes)


@dataclass(slots=True)
class _Walk:
    """One pass over a stored tree."""

    store: Store
    progress: Progress
    mended: dict[int, Node] = field(default_factory=dict)
    dropped: list[int] = field(default_factory=list)
    lost: list[tuple[int, int]] = field(default_factory=list)
    nodes: int = 0
    blocks: int = 0

    def check(self, node: Node, offset: int) -> None:
        """Check everything below a node that is known to be right; its blocks begin at byte `offset`."""
        self.nodes += 1
        below = flat_tree.children(node.index)
        if below is None:
            self._check_block(node, offset)
            return
        first, end = flat_tree.block_range(node.index)
        pair = self._children(node, offset, *below)
        if pair is None:
            for index in range(flat_tree.left_span(node.index), flat_tree.right_span(node.index) + 1):
                if index != node.index and self.store.read_node(index) is not None:
                    self.dropped.append(index)
            self.lost += self.store.bitfield.runs(first, end)
            return
        left, right = pair
        if left is not None and right is not None:
            self.check(left, offset)
            self.check(right, offset + left.size)

    def _children(
        self, node: Node, offset: int, left_index: int, right_index: int
    ) -> tuple[Node | None, Node | None] | None:
        """The two children, mended where needed; (None, None) where nothing is below, None when they are lost."""
        left, right = self.store.read_node(left_index), self.store.read_node(right_index)
        if left and right and _parent(left, right) == node:
            return left, right
        left_size = node.size - right.size if right else 0
        right_size = node.size - left.size if left else 0
        for one in (left, self._computed(left_index), self._leaf(left_index, offset, left_size)):
            for other in (
                right, self._computed(right_index), self._leaf(right_index, offset + node.size - right_size, right_size)
            ):  # fmt: skip
                if one and other and _parent(one, other) == node:
                    self.mended |= {found.index: found for found in (one, other) if found not in (left, right)}
                    return one, other
        if left is None and right is None and self.store.bitfield.first_set(*flat_tree.block_range(node.index)) is None:
            return None, None
        return None

    def _computed(self, index: int) -> Node | None:
        """A node from those below it."""
        below = flat_tree.children(index)
        if below is None:
            return None
        left, right = (self.store.read_node(child) or self._computed(child) for child in below)
        return _parent(left, right) if left and right else None

    def _leaf(self, index: int, offset: int, size: int) -> Node | None:
        """A leaf from the content of its block, which has the size that its neighbour leaves for it."""
        if index % 2 or size < 0 or not self.store.bitfield.get(index // 2):
            return None
        return merkle.leaf(index // 2, self.store.read_data(offset, size))

    def _check_block(self, leaf: Node, offset: int) -> None:
        index = leaf.index // 2
        if not self.store.bitfield.get(index):
            return
        self.blocks += 1
        if crypto.leaf_hash(self.store.read_data(offset, leaf.size)) != leaf.hash:
            self.lost.append((index, index + 1))
        self.progress(index, self.store.head.length)

    def roots(self) -> tuple[Node, ...]:
        """The roots that the head's signature covers; raises `StoreCorrupt` when they are lost."""
        store = self.store
        verifier = verifier_for(store.identity.key, store.identity.manifest)
        indexes = flat_tree.full_roots(store.head.length)
        stored = [store.read_node(index) for index in indexes]
        computed = [self._computed(index) or found for index, found in zip(indexes, stored, strict=True)]
        for candidate in (stored, computed):
            roots = tuple(node for node in candidate if node is not None)
            if len(roots) < len(indexes):
                continue
            part = needs_quorum(store.identity.manifest) and len(store.head.signature) == crypto.SIGNATURE_SIZE
            if not indexes or part or verifier.verify(roots, store.head.fork, store.head.signature):
                self.mended |= {node.index: node for node in roots if node not in stored}
                return roots
        raise StoreCorrupt("the roots of the tree are damaged beyond repair: fetch the core from peers again")


def check_core(directory: Directory, *, repair: bool = False, progress: Progress | None = None) -> CheckReport:
    """Check a core that nobody has open, and with `repair` mend it. `progress(block, of)` hears how far it is.

    Raises `StoreMissing`, `StoreLocked`, and `StoreCorrupt` when the head itself is lost.
    """
    store = Store.open(directory, durability="fsync")
    try:
        walk = _Walk(store, progress or (lambda block, length: None))
        offset = 0
        for root in walk.roots():
            walk.check(root, offset)
            offset += root.size
        lost = _joined(walk.lost)
        if repair and (walk.mended or walk.dropped or lost):
            _repair(store, walk, lost)
        return CheckReport(
            store.identity.key, store.head.length, store.head.fork, walk.blocks, walk.nodes, lost,
            len(walk.mended) + len(walk.dropped), store.recovered, repair,
        )  # fmt: skip
    finally:
        store.abandon()


def _repair(store: Store, walk: _Walk, lost: tuple[tuple[int, int], ...]) -> None:
    store.commit(Change(bits=tuple((first, end, False) for first, end in lost)))
    nodes = [Node(index, 0, bytes(crypto.HASH_SIZE)) for index in walk.dropped if index not in walk.mended]
    nodes += walk.mended.values()
    for start in range(0, len(nodes), REPAIR_BATCH_NODES):
        store.commit(Change(nodes=tuple(nodes[start : start + REPAIR_BATCH_NODES])))
    # Nodes without a hash count as missing once they are in the tree file.
    store.checkpoint()


def _parent(left: Node, right: Node) -> Node | None:
    try:
        return merkle.parent(left, right)
    except InvalidProof:
        return None  # damaged sizes can sum up to more than any log has


def _joined(runs: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    joined: list[tuple[int, int]] = []
    for first, end in sorted(runs):
        if joined and joined[-1][1] == first:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((first, end))
    return tuple(joined)
