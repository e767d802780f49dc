"""Following an author who went back: which of our blocks are also part of the new fork.

The new head is verified first, from nothing. Then its tree is compared with ours from the roots down; where they
differ, hash requests show the next levels, so a few round trips find the last block that both logs share. Whatever
was shown so far is always a safe answer, since blocks that are given up needlessly can be fetched again.
"""

from dataclasses import replace

from hypercore import flat_tree, merkle
from hypercore.errors import InvalidChecksum, InvalidOperation, StaleProof
from hypercore.merkle import Node
from hypercore.proof import HashRequest, Proof, TreeView, VerifiedBatch, verify_proof


class Reorg:
    """The search for the common ancestor of our log and one newer fork.

    Made from the proof of the fork's head; raises `InvalidProof`, and `StaleProof` when the fork is not newer.
    """

    def __init__(self, view: TreeView, proof: Proof) -> None:
        if proof.fork <= view.fork:
            raise StaleProof(f"fork {proof.fork} is not newer than fork {view.fork}")
        self.base = (view.fork, view.length)
        self.fork = proof.fork
        self._view = view
        self._batch = verify_proof(view, proof)
        self._shown: dict[int, Node] = {}
        self._certain: list[Node] = []
        head = self._batch.head
        roots = head.roots if head else ()
        self._differs = next((root for root in roots if not self._is_ours(root)), None)
        self._descend()

    @property
    def ancestors(self) -> int:
        """Blocks that are certainly part of both logs."""
        if self._differs is not None:
            return min(self._view.length, flat_tree.left_span(self._differs.index) // 2)
        head = self._batch.head
        return min(self._view.length, head.length if head else 0)

    def wanted(self) -> HashRequest | None:
        """What to ask next, of any peer on the new fork; None when the ancestor is found."""
        node = self._differs
        if node is None or flat_tree.left_span(node.index) >= 2 * self._view.length or not flat_tree.depth(node.index):
            return None
        # Authors mostly go back a little, so the path to our last block tells most.
        leaf = min(flat_tree.right_span(node.index), 2 * self._view.length - 2)
        return HashRequest(leaf, flat_tree.depth(node.index))

    def take(self, proof: Proof) -> None:
        """An answer to `wanted`; raises `InvalidProof` when it does not belong to the new fork's tree."""
        wanted, top = self.wanted(), self._differs
        if wanted is None or top is None:
            return
        if proof.hash is None or proof.hash.index != wanted.index or len(proof.hash.nodes) != wanted.nodes + 1:
            raise InvalidOperation(f"the answer does not lead from node {wanted.index} to node {top.index}")
        found = [proof.hash.nodes[0]]
        node = found[0]
        expected = wanted.index
        for beside in proof.hash.nodes[1:]:
            if node.index != expected or beside.index != flat_tree.sibling(expected):
                raise InvalidOperation(f"expected node {flat_tree.sibling(expected)}, got node {beside.index}")
            node = merkle.parent(node, beside)
            expected = node.index
            found += (beside, node)
        if node != top:
            raise InvalidChecksum(f"node {top.index} differs from the signed one")
        self._shown |= {node.index: node for node in found}
        # How the lowest two nodes divide the bytes of their parent is only claimed.
        self._certain += found[2:]
        self._descend()

    def batch(self) -> VerifiedBatch:
        """What to store: the new head, with all blocks below `ancestors` kept."""
        ancestors = self.ancestors
        return replace(self._batch, ancestors=ancestors, nodes=(*self._batch.nodes, *self._certain))

    def _is_ours(self, node: Node) -> bool:
        stored = self._view.read_node(node.index)
        return stored is not None and stored.hash == node.hash

    def _descend(self) -> None:
        while self._differs is not None and (below := flat_tree.children(self._differs.index)):
            left, right = self._shown.get(below[0]), self._shown.get(below[1])
            if left is None or right is None:
                return
            self._differs = right if self._is_ours(left) else left
