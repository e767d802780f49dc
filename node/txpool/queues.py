"""Transactions linked by the tags that they require and provide, sorted into ready and future.

A tag is whatever orders transactions, usually (sender, nonce). A transaction is ready when each tag that it requires is
provided by a ready transaction or by the chain, else it is future. Nothing here takes time that grows with the pool.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from runtime.validity import TransactionValidity


@dataclass(eq=False, slots=True)
class PooledTransaction:
    """One transaction and its place in the pool."""

    extrinsic: bytes
    validity: TransactionValidity
    order: int
    """Its number in the order of arrival."""
    valid_until: int
    """The block number after which it expires."""
    is_ready: bool = False
    missing: set[bytes] = field(default_factory=set)
    """Required tags that nothing provides (future transactions only)."""
    waits_for: int = 0
    """How many of its required tags ready transactions provide (ready transactions only)."""

    @property
    def hash(self) -> bytes:
        """BLAKE2b-256 of the extrinsic."""
        return self.validity.hash

    def rank(self) -> tuple[int, int, int]:
        """Sorts the better first: higher priority, sooner expiry, earlier arrival."""
        return (-self.validity.priority, self.valid_until, self.order)


class WorstFirst:
    """Finds the transaction to drop: of the lowest priority, the newest. Entries of removed ones are skipped lazily."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, bytes]] = []

    def add(self, transaction: PooledTransaction) -> None:
        """Make a transaction a candidate."""
        heappush(self._heap, (transaction.validity.priority, -transaction.order, transaction.hash))

    def worst(self, members: dict[bytes, PooledTransaction]) -> PooledTransaction:
        """The worst of `members`, which is not empty and whose transactions were all added."""
        if len(self._heap) > 2 * len(members) + 64:
            self._heap = [(one.validity.priority, -one.order, one.hash) for one in members.values()]
            heapify(self._heap)
        while True:
            priority, negative_order, transaction_hash = self._heap[0]
            found = members.get(transaction_hash)
            if found is not None and (found.validity.priority, -found.order) == (priority, negative_order):
                return found
            heappop(self._heap)


class Queues:
    """The ready and the future transactions and the tags between them; it does not know limits or events."""

    def __init__(self) -> None:
        self.ready: dict[bytes, PooledTransaction] = {}
        self.future: dict[bytes, PooledTransaction] = {}
        self.ready_bytes = 0
        self.future_bytes = 0
        self._providers: dict[bytes, PooledTransaction] = {}
        self._requirers: dict[bytes, dict[bytes, PooledTransaction]] = {}
        self._heads: dict[bytes, PooledTransaction] = {}

    def get(self, transaction_hash: bytes) -> PooledTransaction | None:
        """A transaction of either queue."""
        return self.ready.get(transaction_hash) or self.future.get(transaction_hash)

    def __contains__(self, transaction_hash: bytes) -> bool:
        return transaction_hash in self.ready or transaction_hash in self.future

    def providers_of(self, tags: Iterable[bytes]) -> list[PooledTransaction]:
        """The transactions that provide any of the tags, each once, in the order of the tags."""
        found = {one.hash: one for tag in tags if (one := self._providers.get(tag)) is not None}
        return list(found.values())

    def requirers_of(self, tags: Iterable[bytes]) -> list[PooledTransaction]:
        """The transactions that require any of the tags, each once."""
        found = {one.hash: one for tag in tags for one in self._requirers.get(tag, {}).values()}
        return list(found.values())

    def dependents(self, transaction: PooledTransaction) -> list[PooledTransaction]:
        """All transactions that, step by step, require what this one provides; without itself."""
        found: dict[bytes, PooledTransaction] = {}
        open_tags = list(transaction.validity.provides)
        while open_tags:
            for one in self._requirers.get(open_tags.pop(), {}).values():
                if one.hash not in found and one is not transaction:
                    found[one.hash] = one
                    open_tags.extend(one.validity.provides)
        return list(found.values())

    def add(self, transaction: PooledTransaction) -> list[PooledTransaction]:
        """Put a transaction whose tags nobody provides into its queue; returns those that became ready, in order."""
        for tag in transaction.validity.requires:
            self._requirers.setdefault(tag, {})[transaction.hash] = transaction
            provider = self._providers.get(tag)
            if provider is None or not provider.is_ready:
                transaction.missing.add(tag)
        for tag in transaction.validity.provides:
            self._providers[tag] = transaction
        if transaction.missing:
            self.future[transaction.hash] = transaction
            self.future_bytes += len(transaction.extrinsic)
            return []
        return self._make_ready(transaction)

    def remove(self, transaction: PooledTransaction) -> None:
        """Take a transaction out. Its ready dependents stay ready: the caller knows who provides its tags now."""
        for tag in transaction.validity.requires:
            requirers = self._requirers[tag]
            requirers.pop(transaction.hash, None)
            if not requirers:
                del self._requirers[tag]
        for tag in transaction.validity.provides:
            if self._providers.get(tag) is transaction:
                del self._providers[tag]
        if not transaction.is_ready:
            del self.future[transaction.hash]
            self.future_bytes -= len(transaction.extrinsic)
            return
        del self.ready[transaction.hash]
        self.ready_bytes -= len(transaction.extrinsic)
        self._heads.pop(transaction.hash, None)
        for tag in transaction.validity.provides:
            for one in self._requirers.get(tag, {}).values():
                if one.is_ready:
                    one.waits_for -= 1
                    if one.waits_for == 0:
                        self._heads[one.hash] = one

    def satisfy(self, tag: bytes) -> list[PooledTransaction]:
        """The chain provides a tag; returns the future transactions that became ready, in order."""
        promoted: list[PooledTransaction] = []
        for one in list(self._requirers.get(tag, {}).values()):
            promoted.extend(self._provide(tag, one))
        return promoted

    def in_order(self) -> ReadyTransactions:
        """The ready transactions, best first, each after those that it requires."""
        return ReadyTransactions(self.ready, self._heads, self._requirers)

    def _make_ready(self, transaction: PooledTransaction) -> list[PooledTransaction]:
        """Move a transaction into the ready queue, and after it those that only waited for it."""
        promoted: list[PooledTransaction] = []
        pending = [transaction]
        for one in pending:
            one.is_ready = True
            self.ready[one.hash] = one
            self.ready_bytes += len(one.extrinsic)
            providers = [self._providers.get(tag) for tag in one.validity.requires]
            one.waits_for = sum(1 for provider in providers if provider is not None and provider.is_ready)
            if one.waits_for == 0:
                self._heads[one.hash] = one
            promoted.append(one)
            for tag in one.validity.provides:
                for other in self._requirers.get(tag, {}).values():
                    if other.is_ready:
                        other.waits_for += 1
                        self._heads.pop(other.hash, None)
                    elif self._drop_missing(tag, other):
                        pending.append(other)
        return promoted

    def _provide(self, tag: bytes, transaction: PooledTransaction) -> list[PooledTransaction]:
        if transaction.is_ready or not self._drop_missing(tag, transaction):
            return []
        return self._make_ready(transaction)

    def _drop_missing(self, tag: bytes, transaction: PooledTransaction) -> bool:
        """Note that a future transaction's tag is provided; True if that took it out of the future queue."""
        transaction.missing.discard(tag)
        if transaction.missing or transaction.hash not in self.future:
            return False
        del self.future[transaction.hash]
        self.future_bytes -= len(transaction.extrinsic)
        return True


class ReadyTransactions(Iterator[PooledTransaction]):
    """One pass over the ready transactions.

    The pool may change meanwhile: what left it is passed over with all that requires it, what came may or may not come.
    """

    def __init__(
        self,
        ready: dict[bytes, PooledTransaction],
        heads: dict[bytes, PooledTransaction],
        requirers: dict[bytes, dict[bytes, PooledTransaction]],
    ) -> None:
        self._ready = ready
        self._requirers = requirers
        self._heap = [(one.rank(), one) for one in heads.values()]
        heapify(self._heap)
        self._waits: dict[bytes, int] = {}
        self._last: PooledTransaction | None = None

    def __next__(self) -> PooledTransaction:
        if self._last is not None:
            self._unlock(self._last)
        while self._heap:
            self._last = heappop(self._heap)[1]
            if self._ready.get(self._last.hash) is self._last:
                return self._last
        self._last = None
        raise StopIteration

    def skip_dependents(self) -> None:
        """The last transaction will not be in the block, so nothing that requires it can be."""
        self._last = None

    def _unlock(self, transaction: PooledTransaction) -> None:
        for tag in transaction.validity.provides:
            for one in self._requirers.get(tag, {}).values():
                if not one.is_ready:
                    continue
                left = self._waits.get(one.hash, one.waits_for) - 1
                self._waits[one.hash] = left
                if left == 0:
                    heappush(self._heap, (one.rank(), one))
