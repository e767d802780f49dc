"""Verifying proofs: a tree we trust and a proof in, what may be stored out. Nothing is stored here."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypercore import flat_tree, merkle
from hypercore.errors import InvalidChecksum, InvalidOperation, InvalidProof, InvalidSignature, StaleProof
from hypercore.manifest import Manifest, verifier_for
from hypercore.merkle import Growth, Node
from hypercore.proof_parts import DataUpgrade, Proof, TreeView


@dataclass(frozen=True, slots=True)
class Head:
    """A signed state of a log: its fork, full roots and signature."""

    fork: int
    roots: tuple[Node, ...]
    signature: bytes

    @property
    def length(self) -> int:
        """Number of blocks."""
        return merkle.block_length(self.roots)

    @property
    def byte_length(self) -> int:
        """Bytes of all blocks."""
        return merkle.byte_length(self.roots)

    @property
    def tree_hash(self) -> bytes:
        """The 32 bytes that the signature covers, with length and fork."""
        return merkle.tree_hash(self.roots)


@dataclass(frozen=True, slots=True)
class VerifiedBatch:
    """What a proof has shown, to be stored in one atomic write.

    `ancestors` is how many blocks of our present log stay valid: less than its length only when the author went back
    (a higher fork). `head` is None when the log did not grow. `block` is (index, value).
    """

    nodes: tuple[Node, ...]
    block: tuple[int, bytes] | None
    head: Head | None
    manifest: Manifest | None
    ancestors: int


@dataclass(slots=True)
class _Findings:
    """Nodes that a proof showed, and the indexes of those that came with it instead of being computed."""

    nodes: list[Node] = field(default_factory=list)
    claimed: set[int] = field(default_factory=set)

    def certain(self, view: TreeView) -> tuple[Node, ...]:
        """The nodes whose size is certain, not only their hash.

        A parent's hash covers the sum of its children's sizes. So the size of a claimed node is certain when its
        sibling was computed or is stored, and not when both came with the proof: shifted sizes would pass every check,
        and once stored they would make proofs of honest peers fail.
        """
        by_index = {node.index: node for node in self.nodes}
        kept = []
        for index, node in by_index.items():
            beside = flat_tree.sibling(index)
            doubtful = index in self.claimed and beside in self.claimed
            if not doubtful or view.read_node(beside) == by_index[beside]:
                kept.append(node)
        return tuple(kept)


class _Queue:
    """Nodes to be taken in a strict order; one extra node may be taken whenever its index is wanted."""

    def __init__(self, nodes: Sequence[Node], findings: _Findings, extra: Node | None = None) -> None:
        self._nodes = nodes
        self._findings = findings
        self._position = 0
        self.extra = extra

    @property
    def empty(self) -> bool:
        return self.extra is None and self._position == len(self._nodes)

    def take_next(self) -> Node:
        return self.take(self._nodes[self._position].index)

    def take(self, index: int) -> Node:
        if self.extra is not None and self.extra.index == index:
            node, self.extra = self.extra, None
            return node
        if self._position == len(self._nodes):
            raise InvalidOperation(f"node {index} is missing")
        node = self._nodes[self._position]
        if node.index != index:
            raise InvalidOperation(f"expected node {index}, got node {node.index}")
        self._position += 1
        self._findings.claimed.add(index)
        self._findings.nodes.append(node)
        return node


def verify_proof(view: TreeView, proof: Proof) -> VerifiedBatch:
    """Check `proof` against the log we have.

    A proof of a higher fork must show that fork's head from nothing. Raises a subclass of `InvalidProof` when the proof
    is wrong and `StaleProof` when it was made for another length or fork than ours.
    """
    if proof.fork < view.fork:
        raise StaleProof(f"proof of fork {proof.fork}, this core is at fork {view.fork}")
    findings = _Findings()
    subtree = _verify_subtree(proof, findings)
    block = (proof.block.index, proof.block.value) if proof.block else None
    if proof.fork > view.fork:
        return _verify_fork(view, proof, subtree, findings, block)
    if proof.upgrade is None:
        _check_stored(view, subtree)
        return VerifiedBatch(findings.certain(view), block, None, _learned_manifest(view, proof), view.length)
    if _end_of(proof.upgrade) <= view.length:
        # Two peers answered the same question: the growth is known by now, the rest may still be new.
        try:
            _check_stored(view, subtree)
        except InvalidOperation:
            raise StaleProof("the log has grown past this proof") from None
        return VerifiedBatch(findings.certain(view), block, None, _learned_manifest(view, proof), view.length)
    if proof.upgrade.start != view.length:
        raise StaleProof(f"growth from {proof.upgrade.start} blocks, this core has {view.length}")
    head, manifest = _verify_growth(view, view.roots, proof, proof.upgrade, subtree, findings)
    return VerifiedBatch(findings.certain(view), block, head, manifest, view.length)


def verify_head_from_nothing(key: bytes, manifest: Manifest | None, proof: Proof) -> tuple[Head, Manifest | None]:
    """The signed head that `proof` shows to somebody who has nothing but the core key.

    Returns the head and the manifest that the proof brought (None when it brought none or none is needed).
    """
    if proof.upgrade is None or proof.upgrade.start != 0:
        raise InvalidOperation("a head is proven by growth from 0 blocks")
    view = TreeView(key, proof.fork, (), b"", manifest, lambda index: None, lambda index: b"")
    findings = _Findings()
    return _verify_growth(view, (), proof, proof.upgrade, _verify_subtree(proof, findings), findings)


def _verify_fork(
    view: TreeView, proof: Proof, subtree: Node | None, findings: _Findings, block: tuple[int, bytes] | None
) -> VerifiedBatch:
    if proof.upgrade is None or proof.upgrade.start != 0:
        raise StaleProof(f"proof of fork {proof.fork}, this core is at fork {view.fork}")
    head, manifest = _verify_growth(view, (), proof, proof.upgrade, subtree, findings)
    ancestors = 0
    for root in head.roots:
        if view.read_node(root.index) != root:
            break
        ancestors = flat_tree.right_span(root.index) // 2 + 1
    return VerifiedBatch(findings.certain(view), block, head, manifest, ancestors)


def _end_of(upgrade: DataUpgrade) -> int:
    if upgrade.additional_nodes:
        return flat_tree.right_span(upgrade.additional_nodes[-1].index) // 2 + 1
    return upgrade.start + upgrade.length


def _verify_subtree(proof: Proof, findings: _Findings) -> Node | None:
    """Rebuild the root of the part of the tree that the proof shows; collects every node on the way."""
    root: Node | None = None
    if proof.block is not None and proof.hash is not None:
        raise InvalidOperation("a proof shows a block or a hash, not both")
    if proof.seek is not None and proof.seek.nodes:
        queue = _Queue(proof.seek.nodes, findings)
        root = _climb(queue.take(proof.seek.nodes[0].index), queue, findings)
    if proof.block is not None:
        leaf = merkle.leaf(proof.block.index, proof.block.value)
        findings.nodes.append(leaf)
        return _climb(leaf, _Queue(proof.block.nodes, findings, root), findings)
    if proof.hash is not None:
        queue = _Queue(proof.hash.nodes, findings, root)
        return _climb(queue.take(proof.hash.index), queue, findings)
    return root


def _climb(start: Node, queue: _Queue, findings: _Findings) -> Node:
    root = start
    while not queue.empty:
        root = merkle.parent(root, queue.take(flat_tree.sibling(root.index)))
        findings.nodes.append(root)
    return root


def _check_stored(view: TreeView, subtree: Node | None) -> None:
    """The rebuilt root must equal the one that is stored."""
    if subtree is None:
        return
    stored = view.read_node(subtree.index)
    if stored is None:
        raise InvalidOperation(f"node {subtree.index}, where the proof ends, is not known here")
    if stored != subtree:
        raise InvalidChecksum(f"node {subtree.index} differs from the stored one")


def _verify_growth(
    view: TreeView,
    roots: Sequence[Node],
    proof: Proof,
    upgrade: DataUpgrade,
    subtree: Node | None,
    findings: _Findings,
) -> tuple[Head, Manifest | None]:
    """Grow `roots` to the signed head and check its signature; returns the head and a newly learned manifest."""
    manifest = view.manifest or proof.manifest
    verifier = verifier_for(view.key, manifest)
    growth = Growth.of(roots)
    _check_prologue(verifier.manifest, upgrade)
    queue = _Queue(upgrade.nodes, findings, subtree)
    end = upgrade.start + upgrade.length
    if upgrade.length == 0:
        raise InvalidOperation("growth by no blocks")
    for index in flat_tree.cover(upgrade.start, end):
        growth.append_root(queue.take(index))
    if not queue.empty:
        raise InvalidOperation("the proof has nodes that the growth does not need")
    prologue = verifier.manifest.prologue
    if prologue is not None and not verifier.compat and growth.length == prologue.length:
        _check_prologue_hash(prologue.hash, growth)
    additional = _Queue(upgrade.additional_nodes, findings)
    while not additional.empty:
        growth.append_root(additional.take_next())
    if not verifier.verify(growth.roots, proof.fork, upgrade.signature):
        raise InvalidSignature(f"the signature does not cover {growth.length} blocks of fork {proof.fork}")
    findings.nodes += growth.nodes
    return Head(proof.fork, tuple(growth.roots), upgrade.signature), _learned_manifest(view, proof)


def _learned_manifest(view: TreeView, proof: Proof) -> Manifest | None:
    """The manifest that the proof brought, when it belongs to the key, is needed and was not known."""
    if view.manifest is not None or proof.manifest is None:
        return None
    return None if verifier_for(view.key, proof.manifest).compat else proof.manifest


def _check_prologue(manifest: Manifest, upgrade: DataUpgrade) -> None:
    prologue = manifest.prologue
    if prologue is None or upgrade.start >= prologue.length:
        return
    if upgrade.start != 0 or upgrade.length < prologue.length:
        raise InvalidProof("the growth does not contain the whole prologue")


def _check_prologue_hash(expected: bytes, growth: Growth) -> None:
    if merkle.tree_hash(growth.roots) != expected:
        raise InvalidChecksum("the tree differs from the prologue of the manifest")
