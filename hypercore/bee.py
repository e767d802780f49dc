"""Changes of a Hyperbee: put and delete on a B-tree in memory, then encoded as blocks to append; no IO of its own.

    from hypercore.bee import Batch
    from hypercore.bee_blocks import BlockCache, Header
    from hypercore.bee_tree import Tree
    from hypercore.io.core import Core
    from hypercore.io.log import Log

    log = Log(Core.create())
    tree = Tree(BlockCache(log), log.length)
    batch = Batch(tree, Header())
    await batch.put(b"key", b"value")
    await batch.delete(b"other")
    log.append(batch.finish())                              # `tree` is now that of the longer log

Nodes are loaded on the way down and changed in memory; every change then writes the changed nodes, parents first, into
its own block. Bytes are those that JavaScript writes: the same splits, the same borrowing and merging, the same order.
A later change of one batch makes nodes of earlier blocks superfluous; those are left out when the batch is finished.

Source: Hyperbee 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypercore.bee_blocks import KEYS_MAXIMUM, KEYS_MINIMUM, BeeBlock, Header, encode_index
from hypercore.bee_tree import Child, Node, Path, Tree
from hypercore.errors import LocalProtocolError

BATCH_CHANGES_MAXIMUM = 262_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and its value. `number` is the block that wrote them; a value of None is a key without value."""

    number: int
    key: bytes
    value: bytes | None


Compare = Callable[[Entry, Entry], bool]


@dataclass(slots=True)
class _Change:
    number: int
    key: bytes
    value: bytes | None
    nodes: list[Child]


class Batch:
    """Changes of a tree that are not appended yet. A tree whose batch is not appended is of no use any more."""

    def __init__(self, tree: Tree, header: Header) -> None:
        self._tree = tree
        self._header = header if tree.length == 0 else None
        self._start = max(tree.length, 1)
        self._changes: list[_Change] = []

    async def get(self, key: bytes) -> Entry | None:
        """What the key holds with the changes of this batch."""
        path, found = await self._tree.path(key)
        node, index = path[-1]
        return await self._entry(node.keys[index]) if found else None

    async def put(self, key: bytes, value: bytes | None, compare: Compare | None = None) -> bool:
        """Sets a key; False, and nothing changes, when the key is there and `compare(present, new)` says no."""
        number = self._next_number()
        path, found = await self._tree.path(key)
        node, index = path.pop()
        if found:
            present = node.keys[index]
            if compare and not compare(await self._entry(present), Entry(number, key, value)):
                return False
            node.keys[index] = number
            self._tree.drop_key(present)
        else:
            node.keys.insert(index, number)
        self._tree.add_key(number, key)
        node.changed = True
        for above, _ in path:
            above.changed = True
        while len(node.keys) > KEYS_MAXIMUM:
            median, right = node.split()
            if not path:
                self._tree.root = Node([median], [Child(0, 0, node), Child(0, 0, right)], changed=True)
                break
            node, index = path.pop()
            node.keys.insert(index, median)
            node.children.insert(index + 1, Child(0, 0, right))
        self._record(number, key, value)
        return True

    async def delete(self, key: bytes, compare: Callable[[Entry], bool] | None = None) -> bool:
        """Removes a key; False when it is not there, or `compare(present)` says no."""
        number = self._next_number()
        path, found = await self._tree.path(key)
        if not found:
            return False
        node, index = path[-1]
        present = node.keys[index]
        if compare and not compare(await self._entry(present)):
            return False
        if node.children:
            path += await self._to_nearest(path)
        await self._load_siblings(path)
        # All that is needed is loaded, so a change that fails has changed nothing.
        if node.children:
            leaf, place = path[-1]
            node.keys[index] = leaf.keys.pop(place)
        else:
            node.remove_key(index)
        self._tree.drop_key(present)
        for touched, _ in path:
            touched.changed = True
        self._rebalance(path)
        self._record(number, key, None)
        return True

    def finish(self) -> list[bytes]:
        """The blocks to append; the tree goes on from there."""
        if not self._changes:
            return []
        out = [] if self._header is None else [self._header.encode()]
        last = self._changes[-1]
        for change in self._changes:
            if change is not last:
                _leave_out_superfluous(change)
            index = encode_index([child.node.encode() for child in change.nodes if child.node is not None])
            out.append(BeeBlock(change.number, change.key, change.value, index).encode())
        self._tree.length = last.number + 1
        return out

    def _next_number(self) -> int:
        if len(self._changes) >= BATCH_CHANGES_MAXIMUM:
            raise LocalProtocolError(f"a batch holds at most {BATCH_CHANGES_MAXIMUM} changes")
        return self._start + len(self._changes)

    async def _entry(self, number: int) -> Entry:
        if number >= self._start:
            change = self._changes[number - self._start]
            return Entry(number, change.key, change.value)
        block = await self._tree.cache.block(number)
        return Entry(number, block.key, block.value)

    async def _to_nearest(self, path: Path) -> Path:
        """The way on from a key inside the tree to its neighbour in the fuller of the two nearest leaves."""
        node, index = path[-1]
        left = await self._tree.edge(await self._tree.child(node, index), left=False)
        right = await self._tree.edge(await self._tree.child(node, index + 1), left=True)
        if len(left[-1][0].keys) >= len(right[-1][0].keys):
            return left
        path[-1] = (node, index + 1)
        return right

    async def _load_siblings(self, path: Path) -> None:
        """Loads what `_rebalance` may need."""
        for depth in range(len(path) - 1, 0, -1):
            if len(path[depth][0].keys) > KEYS_MINIMUM:
                return
            parent, index = path[depth - 1]
            for sibling in (index - 1, index + 1):
                if 0 <= sibling < len(parent.children):
                    await self._tree.child(parent, sibling)

    def _rebalance(self, path: Path) -> None:
        """Refills nodes that have too few keys, from the leaf up; the root may be another one afterwards."""
        while len(path) > 1:
            node, _ = path.pop()
            if len(node.keys) >= KEYS_MINIMUM:
                return
            parent, index = path[-1]
            left = parent.children[index - 1].node if index else None
            right = parent.children[index + 1].node if index + 1 < len(parent.children) else None
            if left is not None and len(left.keys) > KEYS_MINIMUM:
                left.changed = True
                node.keys.insert(0, parent.keys[index - 1])
                if left.children:
                    node.children.insert(0, left.children.pop())
                parent.keys[index - 1] = left.keys.pop()
                return
            if right is not None and len(right.keys) > KEYS_MINIMUM:
                right.changed = True
                node.keys.append(parent.keys[index])
                if right.children:
                    node.children.append(right.children.pop(0))
                parent.keys[index] = right.keys.pop(0)
                return
            if left is not None:
                left.merge(parent.keys[index - 1], node)
                parent.remove_key(index - 1)
            elif right is not None:
                node.merge(parent.keys[index], right)
                parent.remove_key(index)
        root, _ = path[0]
        if not root.keys and root.children:
            self._tree.root = root.children[0].node

    def _record(self, number: int, key: bytes, value: bytes | None) -> None:
        root = self._tree.root
        assert root is not None
        nodes = [Child(number, 0, root)]
        _number_changed(root, nodes, number)
        self._changes.append(_Change(number, key, value, nodes))


def _number_changed(node: Node, nodes: list[Child], number: int) -> None:
    """Lists the changed nodes below `node`, parents first, and gives them their places in block `number`."""
    node.changed = False
    for child in node.children:
        if child.node is not None and child.node.changed:
            child.number, child.offset = number, len(nodes)
            nodes.append(child)
            _number_changed(child.node, nodes, number)


def _leave_out_superfluous(change: _Change) -> None:
    """Drops the root and every node that a later change of the batch wrote again; the last node fills each gap."""
    nodes: list[Child | None] = [None, *change.nodes[1:]]
    place = 0
    while place < len(nodes):
        child = nodes[place]
        if child is not None and child.number == change.number:
            child.offset = place
            place += 1
        else:
            last = nodes.pop()
            if place < len(nodes):
                nodes[place] = last
    change.nodes = [child for child in nodes if child is not None]
