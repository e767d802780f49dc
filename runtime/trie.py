"""The state root: a hexary Merkle Patricia trie that is updated in one batch per block.

The trie is Ethereum's (Yellow Paper, appendix D: keccak-256, RLP, hex-prefix paths) over raw keys, so `trie.HexaryTrie`
reads it and makes and checks its proofs. A block's changes are sorted and walked down once: every touched node is
decoded once, rearranged in memory, and encoded and hashed once at the end.

Paths are hexadecimal strings: one character per nibble, so that slicing, comparing and converting run at C speed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final, NamedTuple

from runtime.crypto import keccak256

EMPTY_ROOT: Final = bytes.fromhex("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421")
HASH_BYTES: Final = 32
BRANCH_ITEMS: Final = 17
VALUE_SLOT: Final = 16

_NIBBLES: Final = "0123456789abcdef"
_INDEX_OF: Final = {nibble: index for index, nibble in enumerate(_NIBBLES)}
_EMPTY_BRANCH: Final[list[Any]] = [b""] * BRANCH_ITEMS

# A branch whose sixteen children are all hashes and whose value is empty: the upper levels of every large trie.
_FULL_BRANCH: Final = Struct("3x" + "x32s" * 16 + "x")
_FULL_BRANCH_START: Final = b"\xf9\x02\x11"
_FULL_BRANCH_MARKS: Final = b"\xa0" * 16 + b"\x80"

GetNode = Callable[[bytes], bytes]
Pairs = list[tuple[str, bytes | None]]


class TrieError(ValueError):
    """A stored trie node is damaged: it is not the RLP of a leaf, an extension or a branch."""


class Leaf(NamedTuple):
    """The end of a key: the rest of its path, and the value."""

    path: str
    value: bytes


class Extension(NamedTuple):
    """A stretch of path that all keys below share, and the branch that follows it."""

    path: str
    child: Any


# A branch is a list of sixteen children and a value. A child is b"" (none), 32 bytes (the hash of a stored node), a
# list of two (an embedded leaf or extension as RLP gives it), or a node that this batch rearranged and will encode.
Branch = list[Any]
Node = Leaf | Extension | Branch


@dataclass(frozen=True, slots=True)
class TrieUpdate:
    """What a batch did to the trie.

    `new` holds the encoded nodes that gained places in the trie, by hash; `dead` the hashes that lost places. One node
    can stand in several places (two maps with equal entries), so a node may only be erased when its places are used up:
    `places` is the change of that number for every hash of `new` (positive) and `dead` (negative).
    """

    root: bytes
    new: dict[bytes, bytes]
    dead: frozenset[bytes]
    places: dict[bytes, int]


def update(get_node: GetNode, root: bytes, changes: Mapping[bytes, bytes | None]) -> TrieUpdate:
    """Apply the changes (None deletes) to the trie under `root`.

    `get_node` returns the encoded node of a hash; what it raises passes through. ValueError if a value is empty: the
    trie cannot tell an empty value from a missing one.
    """
    for key, value in changes.items():
        if value is not None and not value:
            raise ValueError(f"the value of key 0x{key.hex()} is empty, which a trie cannot hold")
    batch = _Batch(get_node)
    pairs: Pairs = [(key.hex(), changes[key]) for key in sorted(changes)]
    old = None if root == EMPTY_ROOT else batch.load(root)
    node = batch.apply(old, 0, pairs) if pairs else old
    if node is old:
        return TrieUpdate(root, {}, frozenset(), {})
    new_root = EMPTY_ROOT if node is None else batch.store(batch.encode(node))
    places = {node_hash: change for node_hash, change in batch.places.items() if change}
    return TrieUpdate(
        root=new_root,
        new={node_hash: data for node_hash, data in batch.encoded.items() if places.get(node_hash, 0) > 0},
        dead=frozenset(node_hash for node_hash, change in places.items() if change < 0),
        places=places,
    )


def root_of_list(items: Sequence[bytes]) -> bytes:
    """The root of the trie that maps rlp(index) to each item, as a block's extrinsics are committed to."""
    changes: dict[bytes, bytes | None] = {_encode_index(index): item for index, item in enumerate(items)}
    return update(_no_nodes, EMPTY_ROOT, changes).root


class _Batch:
    """One walk: reads nodes as they are entered, and counts the places that node hashes lose and gain."""

    def __init__(self, get_node: GetNode) -> None:
        self._get_node = get_node
        self.places: dict[bytes, int] = {}
        self.encoded: dict[bytes, bytes] = {}

    def load(self, child: Any) -> Node:
        """Open a child to change it; a stored node loses its place until it is encoded again."""
        if type(child) is bytes:
            self.places[child] = self.places.get(child, 0) - 1
        return self._open(child)

    def unload(self, child: Any) -> None:
        """Give a child back unchanged."""
        if type(child) is bytes and child:
            self.places[child] += 1

    def _open(self, child: Any) -> Node:
        return open_node(self._get_node, child)

    def apply(self, node: Node | None, depth: int, pairs: Pairs) -> Node | None:
        """The node that stands `depth` nibbles deep after the changes below it; the same object if nothing changed."""
        if node is None:
            return _build([pair for pair in pairs if pair[1] is not None], depth)
        if isinstance(node, Leaf):
            return self._apply_to_leaf(node, depth, pairs)
        if isinstance(node, Extension):
            return self._apply_to_extension(node, depth, pairs)
        return self._apply_to_branch(node, depth, pairs)

    def _apply_to_leaf(self, leaf: Leaf, depth: int, pairs: Pairs) -> Node | None:
        key = pairs[0][0][:depth] + leaf.path
        at = bisect_left(pairs, key, key=_key_of_pair)
        if at == len(pairs) or pairs[at][0] != key:
            pairs = [*pairs[:at], (key, leaf.value), *pairs[at:]]
        kept = [pair for pair in pairs if pair[1] is not None]
        if len(kept) == 1 and kept[0] == (key, leaf.value):
            return leaf
        return _build(kept, depth)

    def _apply_to_extension(self, node: Extension, depth: int, pairs: Pairs) -> Node | None:
        path = node.path
        # A deletion beside the path deletes nothing; what is left either follows the path or splits it.
        pairs = [pair for pair in pairs if pair[1] is not None or pair[0].startswith(path, depth)]
        if not pairs:
            return node
        shared = _shared(path, pairs, depth)
        if shared == len(path):
            child = self.load(node.child)
            changed = self.apply(child, depth + shared, pairs)
            if changed is child:
                self.unload(node.child)
                return node
            return _prepend(path, changed)
        branch = _EMPTY_BRANCH.copy()
        rest = path[shared + 1 :]
        branch[_INDEX_OF[path[shared]]] = Extension(rest, node.child) if rest else node.child
        return _prepend(path[:shared], self._apply_to_branch(branch, depth + shared, pairs))

    def _apply_to_branch(self, branch: Branch, depth: int, pairs: Pairs) -> Node | None:
        result = branch.copy()
        changed = shrunk = False
        start, end = 0, len(pairs)
        if len(pairs[0][0]) == depth:
            value = pairs[0][1] or b""
            changed, shrunk = value != branch[VALUE_SLOT], not value
            result[VALUE_SLOT] = value
            start = 1
        while start < end:
            nibble = pairs[start][0][depth]
            stop = start + 1
            while stop < end and pairs[stop][0][depth] == nibble:
                stop += 1
            index = _INDEX_OF[nibble]
            child = branch[index]
            old = self.load(child) if child else None
            new = self.apply(old, depth + 1, pairs[start:stop])
            start = stop
            if new is old:
                self.unload(child)
                continue
            changed = True
            if new is None:
                shrunk = True
            result[index] = b"" if new is None else new
        if not changed:
            return branch
        return self._collapse(result) if shrunk else result

    def _collapse(self, branch: Branch) -> Node | None:
        """A branch needs two entries: with one left it becomes a leaf or part of the path, with none it is gone."""
        left = [index for index, child in enumerate(branch) if child != b""]
        if len(left) > 1:
            return branch
        if not left:
            return None
        index = left[0]
        if index == VALUE_SLOT:
            return Leaf("", branch[VALUE_SLOT])
        child = branch[index]
        node = self.load(child)
        if type(node) is list:
            self.unload(child)
            return Extension(_NIBBLES[index], child)
        return _prepend(_NIBBLES[index], node)

    def encode(self, node: Node) -> bytes:
        """The RLP of a node, after that of the nodes below it that this batch rearranged."""
        if isinstance(node, Leaf):
            payload = _encode_bytes(_pack_path(node.path, leaf=True)) + _encode_bytes(node.value)
        elif isinstance(node, Extension):
            payload = _encode_bytes(_pack_path(node.path, leaf=False)) + self._encode_child(node.child)
        else:
            payload = b"".join([self._encode_child(child) for child in node[:VALUE_SLOT]])
            payload += _encode_bytes(node[VALUE_SLOT])
        return _encode_list(payload)

    def _encode_child(self, child: Any) -> bytes:
        if type(child) is bytes:
            return b"\xa0" + child if child else b"\x80"
        if type(child) is list and len(child) == 2:
            return _encode_raw(child)
        data = self.encode(child)
        return data if len(data) < HASH_BYTES else b"\xa0" + self.store(data)

    def store(self, data: bytes) -> bytes:
        node_hash = keccak256(data)
        self.encoded[node_hash] = data
        self.places[node_hash] = self.places.get(node_hash, 0) + 1
        return node_hash


def _build(pairs: Pairs, depth: int) -> Node | None:
    """The trie of these sorted pairs (no deletions among them) seen from `depth` nibbles deep."""
    if len(pairs) < 2:
        return Leaf(pairs[0][0][depth:], pairs[0][1] or b"") if pairs else None
    first = pairs[0][0]
    shared = _shared(first[depth:], pairs[-1:], depth)
    fork = depth + shared
    branch = _EMPTY_BRANCH.copy()
    start, end = 0, len(pairs)
    if len(first) == fork:
        branch[VALUE_SLOT] = pairs[0][1]
        start = 1
    while start < end:
        nibble = pairs[start][0][fork]
        stop = start + 1
        while stop < end and pairs[stop][0][fork] == nibble:
            stop += 1
        branch[_INDEX_OF[nibble]] = _build(pairs[start:stop], fork + 1)
        start = stop
    return _prepend(first[depth:fork], branch)


def _prepend(path: str, node: Node | None) -> Node | None:
    if node is None or not path:
        return node
    if isinstance(node, Leaf):
        return Leaf(path + node.path, node.value)
    if isinstance(node, Extension):
        return Extension(path + node.path, node.child)
    return Extension(path, node)


def _shared(path: str, pairs: Pairs, depth: int) -> int:
    """How many nibbles of `path` the sorted pairs all share from `depth` on: the outermost two decide."""
    length = len(path)
    for key in (pairs[0][0], pairs[-1][0]):
        if key.startswith(path[:length], depth):
            continue
        length = next((at for at in range(length) if key[depth + at : depth + at + 1] != path[at]), length)
    return length


def _key_of_pair(pair: tuple[str, bytes | None]) -> str:
    return pair[0]


def _pack_path(path: str, *, leaf: bool) -> bytes:
    """Hex-prefix encoding: a flag nibble (2 leaf, 1 odd), a zero nibble if even, then the path."""
    if len(path) % 2:
        return bytes.fromhex(("3" if leaf else "1") + path)
    return bytes.fromhex(("20" if leaf else "00") + path)


def open_node(get_node: GetNode, child: Any) -> Node:
    """The node that a child stands for: the hash of a stored one, an embedded one, or one that is open already."""
    raw = decode_node(get_node(child)) if type(child) is bytes else child
    return _unpack(raw) if type(raw) is list and len(raw) == 2 else raw


def _unpack(raw: Sequence[Any]) -> Node:
    path: str = raw[0].hex()
    flag = path[:1]
    if flag not in ("0", "1", "2", "3") or (flag in "02" and path[1] != "0"):
        raise TrieError(f"trie node path 0x{path} has an unknown flag")
    nibbles = path[1:] if flag in "13" else path[2:]
    return Leaf(nibbles, raw[1]) if flag in "23" else Extension(nibbles, raw[1])


def _no_nodes(node_hash: bytes) -> bytes:
    raise TrieError(f"an empty trie has no node 0x{node_hash.hex()}")


# RLP, cut down to what trie nodes are made of: byte strings and lists of them.


def decode_node(data: bytes) -> list[Any]:
    """The items of an encoded node: two or seventeen, each bytes or (embedded node) a list."""
    if data[:3] == _FULL_BRANCH_START and len(data) == 532 and data[3::33] == _FULL_BRANCH_MARKS:
        return [*_FULL_BRANCH.unpack(data), b""]
    items, end = _decode_item(data, 0)
    if type(items) is not list or end != len(data) or len(items) not in (2, BRANCH_ITEMS):
        raise TrieError(f"trie node of {len(data)} bytes is not an RLP list of 2 or 17 items")
    return items


def _decode_item(data: bytes, at: int) -> tuple[Any, int]:
    try:
        mark = data[at]
        if mark < 0x80:
            return data[at : at + 1], at + 1
        base = 0x80 if mark < 0xC0 else 0xC0
        start, length = at + 1, mark - base
        if length > 55:
            start += length - 55
            length = int.from_bytes(data[at + 1 : start], "big")
    except IndexError:
        raise TrieError("trie node ends inside an item") from None
    end = start + length
    if end > len(data):
        raise TrieError("trie node ends inside an item")
    if base == 0x80:
        return data[start:end], end
    items = []
    while start < end:
        mark = data[start]
        if mark == 0xA0:
            item: Any = data[start + 1 : start + 33]
            start += 33
        elif mark == 0x80:
            item = b""
            start += 1
        else:
            item, start = _decode_item(data, start)
        items.append(item)
    if start != end:
        raise TrieError("trie node has an item that ends outside its list")
    return items, end


def _encode_bytes(data: bytes) -> bytes:
    length = len(data)
    if length == 1 and data[0] < 0x80:
        return data
    if length < 56:
        return bytes((0x80 + length,)) + data
    return _encode_length(0xB7, length) + data


def _encode_list(payload: bytes) -> bytes:
    length = len(payload)
    if length < 56:
        return bytes((0xC0 + length,)) + payload
    return _encode_length(0xF7, length) + payload


def _encode_length(base: int, length: int) -> bytes:
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((base + len(size),)) + size


def _encode_raw(item: Any) -> bytes:
    if type(item) is bytes:
        return _encode_bytes(item)
    return _encode_list(b"".join([_encode_raw(part) for part in item]))


def _encode_index(index: int) -> bytes:
    return _encode_bytes(index.to_bytes((index.bit_length() + 7) // 8, "big"))
