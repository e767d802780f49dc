"""Finding the last block that two chains share, by doubling back and then bisecting."""

from __future__ import annotations

from node.sync.types import BlockRef, LocalChain


class NoCommonAncestor(Exception):
    """The chains differ at the finalized block already."""


class AncestorSearch:
    """The search with one peer: ask it for the hash of block `probe`, pass the answer to `answered`, repeat.

    Needs about 2 log2(fork length) questions; one when the peer's chain extends ours.
    """

    def __init__(self, local: LocalChain, peer_best_number: int) -> None:
        self._local = local
        self._step = 1
        self._common: BlockRef | None = None
        self._lowest_different: int | None = None
        self.floor = local.finalized.number
        self.probe = max(self.floor, min(peer_best_number, local.best.number))

    def answered(self, peer_hash: bytes) -> BlockRef | None:
        """Take the peer's hash of block `probe`. Returns the common ancestor when it is found, else None.

        Raises NoCommonAncestor when even the finalized block differs.
        """
        if peer_hash == self._local.hash_at(self.probe):
            self._common = BlockRef(self.probe, peer_hash)
        else:
            self._lowest_different = self.probe
        return self._next_probe()

    def _next_probe(self) -> BlockRef | None:
        if self._lowest_different is None:
            return self._common
        if self._common is None:
            if self._lowest_different <= self.floor:
                raise NoCommonAncestor(f"the chains differ at the finalized block {self.floor}")
            self.probe = max(self.floor, self._lowest_different - self._step)
            self._step *= 2
            return None
        if self._lowest_different - self._common.number <= 1:
            return self._common
        self.probe = (self._lowest_different + self._common.number) // 2
        return None
