"""Producing proofs: a request and a stored tree in, a proof out. Answers equal those of JavaScript Hypercore 11.35."""

from dataclasses import dataclass

from hypercore import flat_tree, merkle
from hypercore.errors import BlockNotAvailable, InvalidRequest, StaleProof
from hypercore.merkle import Node, NodeReader
from hypercore.proof_parts import (
    DataBlock,
    DataHash,
    DataSeek,
    DataUpgrade,
    Proof,
    ProofRequest,
    SeekRequest,
    TreeView,
    UpgradeRequest,
)

_DEPTH_MAXIMUM = 64


@dataclass(frozen=True, slots=True)
class _Target:
    """The node asked for: a block's leaf, or a tree node that is then sent itself."""

    index: int
    levels: int
    is_block: bool


@dataclass(frozen=True, slots=True)
class _Path:
    """Nodes that lead from the target, and from the seek target, up to one root."""

    nodes: tuple[Node, ...] | None = None
    seek: tuple[Node, ...] | None = None


def create_proof(view: TreeView, request: ProofRequest) -> Proof:
    """Answer `request` from `view`.

    Raises `InvalidRequest` for what no tree could answer, `StaleProof` when the fork differs, `BlockNotAvailable` when
    a block or node is not stored here.
    """
    if request.fork != view.fork:
        raise StaleProof(f"asked for fork {request.fork}, this core is at fork {view.fork}")
    if view.length == 0:
        raise BlockNotAvailable("the core is empty")
    upgrade = _with_prologue(view, request.upgrade)
    start, end = (upgrade.start, upgrade.start + upgrade.length) if upgrade else (0, view.length)
    if start >= end or end > view.length:
        raise InvalidRequest(f"cannot prove growth from {start} to {end} blocks of {view.length}")
    target = _target(view, request)
    if request.seek and upgrade and target and target.index >= 2 * start:
        raise InvalidRequest("a seek, a block and an upgrade that covers the block cannot be proven together")
    if target is None and upgrade is None:
        raise InvalidRequest("the request asks for neither block, hash nor upgrade")

    path = _Path()
    below: int | None = None
    if target and (upgrade is None or flat_tree.right_span(target.index) < 2 * start):
        path = _path_of_target(view, target, request.seek, end)
    elif target:
        below = target.index
    elif request.seek:
        below = _seek_from_head(view.read_node, end, request.seek)

    grown: tuple[Node, ...] = ()
    if upgrade:
        grown, path = _grow(view.read_node, start, end, target, below, path)
    if target and path.nodes is None:
        raise InvalidRequest(f"tree node {target.index} is neither below {start} blocks nor inside the growth")
    return _assemble(view, request, upgrade, grown, path)


def _assemble(
    view: TreeView, request: ProofRequest, upgrade: UpgradeRequest | None, grown: tuple[Node, ...], path: _Path
) -> Proof:
    block = None
    if request.block:
        block = DataBlock(request.block.index, view.read_block(request.block.index), path.nodes or ())
    proven_hash = DataHash(request.hash.index, path.nodes or ()) if request.hash and not block else None
    seek = DataSeek(request.seek.bytes, path.seek) if request.seek and path.seek is not None else None
    growth = None
    if upgrade:
        end = upgrade.start + upgrade.length
        additional = tuple(merkle.require(view.read_node, index) for index in flat_tree.cover(end, view.length))
        growth = DataUpgrade(upgrade.start, upgrade.length, grown, additional, view.signature)
    return Proof(view.fork, block, proven_hash, seek, growth, view.manifest if request.manifest else None)


def _with_prologue(view: TreeView, upgrade: UpgradeRequest | None) -> UpgradeRequest | None:
    """A prologue is proven whole or not at all; what follows it comes as additional nodes."""
    prologue = view.manifest.prologue if view.manifest else None
    if upgrade is None or prologue is None or upgrade.start >= prologue.length:
        return upgrade
    return UpgradeRequest(0, prologue.length)


def _target(view: TreeView, request: ProofRequest) -> _Target | None:
    if request.block:
        target = _Target(2 * request.block.index, request.block.nodes, is_block=True)
    elif request.hash:
        target = _Target(request.hash.index, request.hash.nodes, is_block=False)
    else:
        return None
    if flat_tree.right_span(target.index) >= 2 * view.length:
        raise InvalidRequest(f"tree node {target.index} is outside a log of {view.length} blocks")
    return target


def _path_of_target(view: TreeView, target: _Target, seek: SeekRequest | None, end: int) -> _Path:
    """The path asked for by number of levels, inside a tree the requester already trusts."""
    if target.levels > _DEPTH_MAXIMUM:
        raise InvalidRequest(f"a path of {target.levels} levels is longer than any tree")
    root = target.index
    for _ in range(target.levels):
        root = flat_tree.parent(root)
        if flat_tree.contains(root, 2 * end):
            raise InvalidRequest(f"a path of {target.levels} levels from node {target.index} leaves the tree")
    seek_target = _seek_in_subtree(view, root, seek) if seek else None
    return _climb(view.read_node, target, root, seek_target)


def _grow(
    read: NodeReader, start: int, end: int, target: _Target | None, below: int | None, path: _Path
) -> tuple[tuple[Node, ...], _Path]:
    """Nodes from `start` to `end` blocks; the one that holds `below` is replaced by the path that rebuilds it."""
    grown = []
    for index in flat_tree.cover(start, end):
        if below is not None and flat_tree.contains(index, below):
            path = _climb(read, target, index, None) if target else _Path(seek=_with_siblings(read, below, index))
            below = None
        else:
            grown.append(merkle.require(read, index))
    return tuple(grown), path


def _climb(read: NodeReader, target: _Target, root: int, seek_target: int | None) -> _Path:
    nodes = [] if target.is_block else [merkle.require(read, target.index)]
    seek: tuple[Node, ...] | None = None
    position = target.index
    while position != root:
        beside = flat_tree.sibling(position)
        if seek_target is not None and seek_target != beside and flat_tree.contains(beside, seek_target):
            seek = _with_siblings(read, seek_target, beside)
        else:
            nodes.append(merkle.require(read, beside))
        position = flat_tree.parent(position)
    return _Path(tuple(nodes), seek)


def _with_siblings(read: NodeReader, index: int, root: int) -> tuple[Node, ...]:
    nodes = [merkle.require(read, index)]
    while index != root:
        nodes.append(merkle.require(read, flat_tree.sibling(index)))
        index = flat_tree.parent(index)
    return tuple(nodes)


def _unpadded(node: Node, padding: int) -> int:
    return node.size - padding * flat_tree.leaf_count(node.index)


def _seek_from_head(read: NodeReader, end: int, seek: SeekRequest) -> int | None:
    """The node that holds a byte offset, or None past the end."""
    wanted = seek.bytes
    for root in flat_tree.full_roots(end):
        size = _unpadded(merkle.require(read, root), seek.padding)
        if wanted == size:
            return root
        if wanted < size:
            return _descend(read, root, wanted, seek.padding)
        wanted -= size
    return None


def _seek_in_subtree(view: TreeView, root: int, seek: SeekRequest) -> int:
    """The node that holds a byte offset which the requester believes to be below `root`.

    Below any other than the first full root the answer is `root` itself, which leaves the seek out of the proof: the
    requester then seeks again with the nodes it got. JavaScript peers answer so.
    """
    if not flat_tree.contains(view.roots[0].index, root):
        return root
    leaves_before = flat_tree.left_span(root) // 2
    before = merkle.byte_offset(view.read_node, view.length, root) - seek.padding * leaves_before
    wanted = seek.bytes - before
    if wanted < 0 or (wanted and _unpadded(merkle.require(view.read_node, root), seek.padding) <= wanted):
        raise InvalidRequest(f"byte {seek.bytes} is not below tree node {root}")
    return _descend(view.read_node, root, wanted, seek.padding)


def _descend(read: NodeReader, root: int, wanted: int, padding: int) -> int:
    """Go down to the leaf that holds byte `wanted` of the subtree, or as deep as nodes are stored."""
    position = root
    while wanted and (below := flat_tree.children(position)):
        left = read(below[0])
        if left is None:
            return position
        size = _unpadded(left, padding)
        if wanted == size:
            return left.index
        position = left.index if wanted < size else below[1]
        wanted -= 0 if wanted < size else size
    return position
