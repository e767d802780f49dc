"""Changes of a Hyperbee: put and delete on a B-tree in memory, then encoded as blocks to append; no IO of its own.

    from hypercore.bee import Batch
    from hypercore.bee_blocks import BlockCache, Header
    from hypercore.io.core import Core
    from hypercore.io.log import Log

    log = Log(Core.create())
    batch = Batch(BlockCache(log), log.length, Header())
    await batch.put(b"key", b"value")
    await batch.delete(b"other")
    log.append([block for block, decoded in batch.finish()])

Nodes are loaded on the way down and changed in memory; every change then writes the changed nodes, parents first, into
its own block. Bytes are those that JavaScript writes: the same splits, the same borrowing and merging, the same order.
A later change of one batch makes nodes of earlier blocks superfluous; those are left out when the batch is finished.

Source: Hyperbee 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hypercore.bee_blocks import (
    DEPTH_MAXIMUM,
    KEYS_MAXIMUM,
    KEYS_MINIMUM,
    BeeBlock,
    BlockCache,
    Header,
    Level,
    encode_index,
)
from hypercore.errors import DecodeError, LocalProtocolError

BATCH_CHANGES_MAXIMUM = 262_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A key and its value. `number` is the block that wrote them; a value of None is a key without value."""

    number: int
    key: bytes
    value: bytes | None


Compare = Callable[[Entry, Entry], bool]


class Child:
    """Where a child node is stored; 0 for not at all. `node` is set once it is loaded."""

    __slots__ = ("node", "number", "offset")

    def __init__(self, number: int, offset: int, node: Node | None) -> None:
        self.number = number
        self.offset = offset
        self.node = node


class Node:
    """A tree node in memory; keys are block numbers."""

    __slots__ = ("changed", "children", "keys")

    def __init__(self, keys: list[int], children: list[Child], *, changed: bool) -> None:
        self.keys = keys
        self.children = children
        self.changed = changed

    @classmethod
    def of(cls, level: Level) -> Node:
        """A stored node."""
        return cls(list(level.keys), [Child(*place, None) for place in level.children], changed=False)

    def level(self) -> Level:
        """The node as it is stored."""
        return Level(tuple(self.keys), tuple([(child.number, child.offset) for child in self.children]))

    def split(self) -> tuple[int, Node]:
        """Cuts off the right half; returns the key between the halves, and that half."""
        count = len(self.keys) >> 1
        right = Node(self.keys[-count:], [], changed=True)
        del self.keys[-count:]
        median = self.keys.pop()
        if self.children:
            right.children = self.children[-(count + 1) :]
            del self.children[-(count + 1) :]
        self.changed = True
        return median, right

    def merge(self, median: int, right: Node) -> None:
        """Takes over everything of the right sibling."""
        self.changed = True
        self.keys += [median, *right.keys]
        self.children += right.children

    def remove_key(self, index: int) -> None:
        """Removes a key, and the child on its right."""
        del self.keys[index]
        if self.children:
            self.children.pop(index + 1).number = 0
        self.changed = True


@dataclass(slots=True)
class _Change:
    number: int
    key: bytes
    value: bytes | None
    nodes: list[Child]


class Batch:
    """Changes on top of the first `length` blocks of a log, not yet appended."""

    def __init__(self, cache: BlockCache, length: int, header: Header) -> None:
        self._cache = cache
        self._header = header if length == 0 else None
        self._start = max(length, 1)
        self._changes: list[_Change] = []
        self._root: Node | None = None

    def __len__(self) -> int:
        return len(self._changes)

    async def get(self, key: bytes) -> Entry | None:
        """What the key holds with the changes of this batch."""
        node = await self._load_root()
        while True:
            index, found = await self._search(node, key)
            if found:
                return await self._entry(node.keys[index])
            if not node.children:
                return None
            node = await self._child(node, index)

    async def put(self, key: bytes, value: bytes | None, compare: Compare | None = None) -> bool:
        """Sets a key; False, and nothing changes, when the key is there and `compare(present, new)` says no."""
        number = self._next_number()
        root = node = await self._load_root()
        stack: list[Node] = []
        while True:
            index, found = await self._search(node, key)
            if found:
                if compare and not compare(await self._entry(node.keys[index]), Entry(number, key, value)):
                    return False
                node.keys[index] = number
                node.changed = True
                break
            if not node.children:
                node.keys.insert(index, number)
                node.changed = True
                break
            stack.append(node)
            node.changed = True
            node = await self._child(node, index)
        while len(node.keys) > KEYS_MAXIMUM:
            median, right = node.split()
            if not stack:
                root = Node([median], [Child(0, 0, node), Child(0, 0, right)], changed=True)
                break
            parent = stack.pop()
            index = next(place for place, child in enumerate(parent.children) if child.node is node)
            parent.keys.insert(index, median)
            parent.children.insert(index + 1, Child(0, 0, right))
            node = parent
        self._record(root, number, key, value)
        return True

    async def delete(self, key: bytes, compare: Callable[[Entry], bool] | None = None) -> bool:
        """Removes a key; False when it is not there, or `compare(present)` says no."""
        number = self._next_number()
        node = await self._load_root()
        stack = [node]
        while True:
            index, found = await self._search(node, key)
            if found:
                break
            if not node.children:
                return False
            node = await self._child(node, index)
            stack.append(node)
        if compare and not compare(await self._entry(node.keys[index])):
            return False
        if node.children:
            await self._replace_by_nearest(node, index, stack)
        else:
            node.remove_key(index)
        for touched in stack:
            touched.changed = True
        self._record(await self._rebalance(stack), number, key, None)
        return True

    def finish(self) -> list[tuple[bytes, BeeBlock | None]]:
        """The blocks to append, each with its decoded form (None for the header)."""
        if not self._changes:
            return []
        out: list[tuple[bytes, BeeBlock | None]] = []
        if self._header is not None:
            out.append((self._header.encode(), None))
        for change in self._changes:
            if change is not self._changes[-1]:
                _leave_out_superfluous(change)
            index = encode_index([child.node.level() for child in change.nodes if child.node is not None])
            block = BeeBlock(change.number, change.key, change.value, index)
            out.append((block.encode(), block))
        return out

    def _next_number(self) -> int:
        if len(self._changes) >= BATCH_CHANGES_MAXIMUM:
            raise LocalProtocolError(f"a batch holds at most {BATCH_CHANGES_MAXIMUM} changes")
        return self._start + len(self._changes)

    async def _load_root(self) -> Node:
        if self._root is None:
            empty = self._start < 2
            self._root = Node([], [], changed=True) if empty else Node.of(await self._cache.level((self._start - 1, 0)))
        return self._root

    async def _child(self, node: Node, index: int) -> Node:
        child = node.children[index]
        if child.node is None:
            child.node = Node.of(await self._cache.level((child.number, child.offset)))
        return child.node

    async def _search(self, node: Node, key: bytes) -> tuple[int, bool]:
        """The place of a key in a node: its own, or that of the child it would be under."""
        await self._cache.prepare([number for number in node.keys if number < self._start])
        low, high = 0, len(node.keys)
        while low < high:
            middle = (low + high) >> 1
            present = await self._key(node.keys[middle])
            if key == present:
                return middle, True
            if key < present:
                high = middle
            else:
                low = middle + 1
        return low, False

    async def _key(self, number: int) -> bytes:
        if number >= self._start:
            return self._changes[number - self._start].key
        return (await self._cache.block(number)).key

    async def _entry(self, number: int) -> Entry:
        if number >= self._start:
            change = self._changes[number - self._start]
            return Entry(number, change.key, change.value)
        block = await self._cache.block(number)
        return Entry(number, block.key, block.value)

    async def _edge(self, node: Node, *, left: bool) -> list[Node]:
        """The nodes from `node` down to its first or last leaf."""
        path = [node]
        while node.children:
            if len(path) > DEPTH_MAXIMUM:
                raise DecodeError(f"the tree is deeper than {DEPTH_MAXIMUM} levels")
            node = await self._child(node, 0 if left else len(node.children) - 1)
            path.append(node)
        return path

    async def _replace_by_nearest(self, node: Node, index: int, stack: list[Node]) -> None:
        """Puts the neighbour of a key, from the fuller of the two nearest leaves, into the key's place."""
        left = await self._edge(await self._child(node, index), left=False)
        right = await self._edge(await self._child(node, index + 1), left=True)
        if len(left[-1].keys) < len(right[-1].keys):
            stack += right
            node.keys[index] = right[-1].keys.pop(0)
        else:
            stack += left
            node.keys[index] = left[-1].keys.pop()

    async def _rebalance(self, stack: list[Node]) -> Node:
        """Refills nodes that have too few keys, from the leaf up; returns the root, which may be another now."""
        root = stack[0]
        while len(stack) > 1:
            node = stack.pop()
            parent = stack[-1]
            if len(node.keys) >= KEYS_MINIMUM:
                return root
            index = next(place for place, child in enumerate(parent.children) if child.node is node)
            left = await self._child(parent, index - 1) if index else None
            right = await self._child(parent, index + 1) if index + 1 < len(parent.children) else None
            if left is not None and len(left.keys) > KEYS_MINIMUM:
                left.changed = True
                node.keys.insert(0, parent.keys[index - 1])
                if left.children:
                    node.children.insert(0, left.children.pop())
                parent.keys[index - 1] = left.keys.pop()
                return root
            if right is not None and len(right.keys) > KEYS_MINIMUM:
                right.changed = True
                node.keys.append(parent.keys[index])
                if right.children:
                    node.children.append(right.children.pop(0))
                parent.keys[index] = right.keys.pop(0)
                return root
            if left is not None:
                left.merge(parent.keys[index - 1], node)
                parent.remove_key(index - 1)
            elif right is not None:
                node.merge(parent.keys[index], right)
                parent.remove_key(index)
        if not root.keys and root.children:
            return await self._child(root, 0)
        return root

    def _record(self, root: Node, number: int, key: bytes, value: bytes | None) -> None:
        top = Child(number, 0, root)
        nodes = [top]
        _number_changed(root, nodes, number)
        self._root = root
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
