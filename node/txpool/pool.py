"""The transaction pool: which transactions wait for a block, in which order, and what became of each.

Pure: the caller validates transactions against the best block, passes block numbers as time, and delivers the events
that every method returns. Rules and limits are those of Substrate's pool. A submission costs a few dictionary and heap
steps, however full the pool is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from node.txpool import events
from node.txpool.errors import AlreadyImported, CycleDetected, ImmediatelyDropped, TemporarilyBanned, TooLowPriority
from node.txpool.events import Happening, TransactionEvent
from node.txpool.queues import PooledTransaction, Queues, ReadyTransactions, WorstFirst
from runtime.errors import InvalidTransaction
from runtime.validity import TransactionValidity

Validate = Callable[[bytes], TransactionValidity]
"""Validates an extrinsic against the best block; raises InvalidTransaction."""

_SLACK_ENTRIES = 64


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """Everything that bounds the pool; times in blocks."""

    ready_transactions: int = 8_192
    ready_bytes: int = 20 * 1024 * 1024
    future_transactions: int = 512
    future_bytes: int = 1024 * 1024
    transactions_per_sender: int = 4_096
    watched_transactions: int = 8_192
    ban_blocks: int = 300
    banned_transactions: int = 4_096
    finality_timeout_blocks: int = 512
    revalidated_per_block: int = 64


@dataclass(frozen=True, slots=True)
class Included:
    """A transaction of a block: its hash, its position, the tags that it provides."""

    hash: bytes
    index: int
    provides: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """How full the pool is."""

    ready: int
    ready_bytes: int
    future: int
    future_bytes: int


class TransactionPool:
    """See the module."""

    def __init__(self, limits: PoolLimits | None = None) -> None:
        self.limits = limits or PoolLimits()
        self._queues = Queues()
        self._worst_ready = WorstFirst()
        self._worst_future = WorstFirst()
        self._arrivals = 0
        self._by_sender: dict[bytes, dict[int, PooledTransaction]] = {}
        self._banned_until: dict[bytes, int] = {}
        self._expiry: list[tuple[int, int, bytes]] = []
        self._to_revalidate: deque[bytes] = deque()
        self._watched: set[bytes] = set()
        self._included: dict[bytes, tuple[int, tuple[tuple[bytes, int], ...]]] = {}

    # What is in it

    def __contains__(self, transaction_hash: bytes) -> bool:
        return transaction_hash in self._queues

    def __len__(self) -> int:
        return len(self._queues.ready) + len(self._queues.future)

    def get(self, transaction_hash: bytes) -> PooledTransaction | None:
        """A transaction of the pool by hash."""
        return self._queues.get(transaction_hash)

    def status(self) -> PoolStatus:
        """How full the pool is."""
        queues = self._queues
        return PoolStatus(len(queues.ready), queues.ready_bytes, len(queues.future), queues.future_bytes)

    def ready(self) -> ReadyTransactions:
        """The transactions that may enter the next block, best first, each after those that it requires."""
        return self._queues.in_order()

    def transactions(self) -> list[PooledTransaction]:
        """All transactions, the ready ones first, in no order of inclusion."""
        return [*self._queues.ready.values(), *self._queues.future.values()]

    def next_nonce(self, sender: bytes, nonce: int) -> int:
        """The first nonce from the account's own `nonce` on that no ready transaction of the sender uses."""
        own = self._by_sender.get(sender, {})
        while (found := own.get(nonce)) is not None and found.is_ready:
            nonce += 1
        return nonce

    # Coming in

    def check_new(self, transaction_hash: bytes, now_block: int) -> None:
        """Refuse what need not be validated. Raises AlreadyImported, TemporarilyBanned."""
        if transaction_hash in self._queues:
            raise AlreadyImported(transaction_hash)
        until = self._banned_until.get(transaction_hash)
        if until is None:
            return
        if now_block < until:
            raise TemporarilyBanned(f"transaction 0x{transaction_hash.hex()} is banned until block {until}")
        del self._banned_until[transaction_hash]

    def submit(self, validity: TransactionValidity, extrinsic: bytes, now_block: int) -> list[Happening]:
        """Take a valid transaction. Raises AlreadyImported, TemporarilyBanned, TooLowPriority, CycleDetected,
        ImmediatelyDropped; then the pool is as before, except that a full pool may have lost worse transactions.
        """
        self.check_new(validity.hash, now_block)
        if not set(validity.requires).isdisjoint(validity.provides):
            raise CycleDetected(f"transaction 0x{validity.hash.hex()} requires a tag that it provides")
        replaced = self._queues.providers_of(validity.provides)
        worth = sum(one.validity.priority for one in replaced)
        if replaced and validity.priority <= worth:
            raise TooLowPriority(worth, validity.priority, replaced[0].hash)
        if not replaced and len(self._of_sender(validity)) >= self.limits.transactions_per_sender:
            raise ImmediatelyDropped(f"the sender has {self.limits.transactions_per_sender} transactions in the pool")
        happened: list[Happening] = []
        for one in replaced:
            self._forget(one)
            happened.append((one.hash, events.Usurped(validity.hash)))
            lost = [tag for tag in one.validity.provides if tag not in validity.provides]
            happened.extend(self._drop_requirers_of(lost))
        self._arrivals += 1
        transaction = PooledTransaction(extrinsic, validity, self._arrivals, now_block + validity.longevity)
        happened.extend(self._remember(transaction))
        happened.extend(self._enforce_limits())
        if transaction.hash not in self._queues:
            others = [what for what in happened if what[0] != transaction.hash]
            self._watched.discard(transaction.hash)
            raise ImmediatelyDropped("the pool is full of transactions with a higher priority", self._told(others))
        return self._told(happened)

    def ban(self, transaction_hash: bytes, now_block: int) -> None:
        """Do not look at a transaction again for a while: it was invalid, or is in a block.

        A block that is retracted lifts the ban of what it held.
        """
        self._banned_until.pop(transaction_hash, None)
        self._banned_until[transaction_hash] = now_block + self.limits.ban_blocks
        if len(self._banned_until) > self.limits.banned_transactions:
            oldest = list(self._banned_until)[: self.limits.banned_transactions // 2]
            for one in oldest:
                del self._banned_until[one]

    # Watching

    def watch(self, transaction_hash: bytes) -> None:
        """Follow a transaction into its block, until it is final. Raises ImmediatelyDropped when too many are."""
        if len(self._watched) >= self.limits.watched_transactions:
            raise ImmediatelyDropped(f"{self.limits.watched_transactions} transactions are watched already")
        self._watched.add(transaction_hash)

    def unwatch(self, transaction_hash: bytes) -> None:
        """Nobody wants to know any more."""
        self._watched.discard(transaction_hash)

    def broadcast(self, transaction_hash: bytes, peers: Sequence[str]) -> list[Happening]:
        """The network sent a transaction on."""
        return [(transaction_hash, events.Broadcast(tuple(peers)))] if transaction_hash in self._queues else []

    # The chain moves

    def on_block(self, number: int, block_hash: bytes, included: Iterable[Included]) -> list[Happening]:
        """A block joined the best chain: its transactions leave, what they provide is on chain."""
        happened: list[Happening] = []
        followed: list[tuple[bytes, int]] = []
        for one in included:
            if one.hash in self._queues or one.hash in self._watched:
                happened.append((one.hash, events.InBlock(block_hash, one.index)))
            if one.hash in self._watched:
                followed.append((one.hash, one.index))
            for provider in self._queues.providers_of(one.provides):
                self._forget(provider)
                if provider.hash != one.hash:
                    happened.append((provider.hash, events.Invalid()))
            for tag in one.provides:
                happened.extend(self._now_ready(self._queues.satisfy(tag)))
            self.ban(one.hash, number)
        if followed:
            self._included[block_hash] = (number, tuple(followed))
        happened.extend(self._expire(number))
        happened.extend(self._time_out(number))
        happened.extend(self._enforce_limits())
        return self._told(happened)

    def on_retracted(self, block_hash: bytes, hashes: Iterable[bytes]) -> list[Happening]:
        """A block left the best chain. The caller submits its transactions again, those of the new chain excepted."""
        for transaction_hash in hashes:
            self._banned_until.pop(transaction_hash, None)
        _, followed = self._included.pop(block_hash, (0, ()))
        return [(transaction_hash, events.Retracted(block_hash)) for transaction_hash, _ in followed]

    def on_finalized(self, block_hash: bytes) -> list[Happening]:
        """A block of the best chain became final; to be called for each block on the way."""
        _, followed = self._included.pop(block_hash, (0, ()))
        return self._told([(one, events.Finalized(block_hash, index)) for one, index in followed])

    def revalidate(self, validate: Validate, now_block: int) -> list[Happening]:
        """Check the next few transactions against the best block; in turn, all are checked."""
        happened: list[Happening] = []
        for _ in range(min(self.limits.revalidated_per_block, len(self._to_revalidate))):
            if not self._to_revalidate:
                break
            transaction_hash = self._to_revalidate.popleft()
            transaction = self._queues.get(transaction_hash)
            if transaction is None:
                continue
            try:
                validity = validate(transaction.extrinsic)
            except InvalidTransaction:
                happened.extend(self._remove_invalid(transaction, now_block))
                continue
            if validity.requires == transaction.validity.requires:
                self._to_revalidate.append(transaction_hash)
                continue
            happened.extend(self._requeue(transaction, validity, now_block))
        happened.extend(self._enforce_limits())
        return self._told(happened)

    def remove_invalid(self, hashes: Iterable[bytes], now_block: int) -> list[Happening]:
        """Building a block found these invalid: out with them and with what requires them."""
        happened: list[Happening] = []
        for transaction_hash in hashes:
            transaction = self._queues.get(transaction_hash)
            if transaction is not None:
                happened.extend(self._remove_invalid(transaction, now_block))
        return self._told(happened)

    # Parts

    def _of_sender(self, validity: TransactionValidity) -> dict[int, PooledTransaction]:
        """The transactions of the same sender by nonce; none for an unsigned one."""
        return {} if validity.sender is None else self._by_sender.get(validity.sender, {})

    def _remember(self, transaction: PooledTransaction) -> list[Happening]:
        promoted = self._queues.add(transaction)
        sender = transaction.validity.sender
        if sender is not None:
            self._by_sender.setdefault(sender, {})[transaction.validity.nonce] = transaction
        heappush(self._expiry, (transaction.valid_until, transaction.order, transaction.hash))
        self._to_revalidate.append(transaction.hash)
        if promoted:
            return self._now_ready(promoted)
        self._worst_future.add(transaction)
        return [(transaction.hash, events.Future())]

    def _now_ready(self, promoted: Iterable[PooledTransaction]) -> list[Happening]:
        happened: list[Happening] = []
        for one in promoted:
            self._worst_ready.add(one)
            happened.append((one.hash, events.Ready()))
        return happened

    def _forget(self, transaction: PooledTransaction) -> None:
        self._queues.remove(transaction)
        own, sender = self._of_sender(transaction.validity), transaction.validity.sender
        if own.get(transaction.validity.nonce) is transaction:
            del own[transaction.validity.nonce]
        if not own and sender is not None:
            del self._by_sender[sender]
        if len(self._to_revalidate) > 2 * len(self) + _SLACK_ENTRIES:
            self._to_revalidate = deque(one for one in self._to_revalidate if one in self._queues)
        if len(self._expiry) > 2 * len(self) + _SLACK_ENTRIES:
            self._expiry = sorted((one.valid_until, one.order, one.hash) for one in self.transactions())

    def _forget_with_dependents(self, transaction: PooledTransaction, event: TransactionEvent) -> list[Happening]:
        gone = [transaction, *self._queues.dependents(transaction)]
        for one in gone:
            self._forget(one)
        return [(one.hash, event) for one in gone]

    def _remove_invalid(self, transaction: PooledTransaction, now_block: int) -> list[Happening]:
        self.ban(transaction.hash, now_block)
        return self._forget_with_dependents(transaction, events.Invalid())

    def _drop_requirers_of(self, tags: Iterable[bytes]) -> list[Happening]:
        happened: list[Happening] = []
        for one in self._queues.requirers_of(tags):
            if one.hash in self._queues:
                happened.extend(self._forget_with_dependents(one, events.Dropped()))
        return happened

    def _requeue(self, old: PooledTransaction, validity: TransactionValidity, now_block: int) -> list[Happening]:
        """What a transaction requires has changed: find its queue again, and that of all that require it."""
        affected = [old] if old.is_ready and not validity.requires else [old, *self._queues.dependents(old)]
        was_ready = {one.hash: one.is_ready for one in affected}
        for one in affected:
            self._forget(one)
        happened: list[Happening] = []
        for one in affected:
            now_valid = validity if one is old else one.validity
            valid_until = now_block + validity.longevity if one is old else one.valid_until
            happened.extend(self._remember(PooledTransaction(one.extrinsic, now_valid, one.order, valid_until)))
        last = dict(happened)
        return [
            (one, event) for one, event in last.items() if was_ready.get(one) is not isinstance(event, events.Ready)
        ]

    def _enforce_limits(self) -> list[Happening]:
        happened: list[Happening] = []
        limits, queues = self.limits, self._queues
        while len(queues.ready) > limits.ready_transactions or queues.ready_bytes > limits.ready_bytes:
            worst = self._worst_ready.worst(queues.ready)
            happened.extend(self._forget_with_dependents(worst, events.Dropped()))
        while len(queues.future) > limits.future_transactions or queues.future_bytes > limits.future_bytes:
            worst = self._worst_future.worst(queues.future)
            happened.extend(self._forget_with_dependents(worst, events.Dropped()))
        return happened

    def _expire(self, number: int) -> list[Happening]:
        happened: list[Happening] = []
        while self._expiry and self._expiry[0][0] <= number:
            _, order, transaction_hash = heappop(self._expiry)
            transaction = self._queues.get(transaction_hash)
            if transaction is not None and transaction.order == order:
                happened.extend(self._remove_invalid(transaction, number))
        return happened

    def _time_out(self, number: int) -> list[Happening]:
        happened: list[Happening] = []
        while self._included:
            block_hash, (included_at, followed) = next(iter(self._included.items()))
            if included_at + self.limits.finality_timeout_blocks > number:
                break
            del self._included[block_hash]
            happened.extend((one, events.FinalityTimeout(block_hash)) for one, _ in followed)
        return happened

    def _told(self, happened: list[Happening]) -> list[Happening]:
        for transaction_hash, event in happened:
            if isinstance(event, events.LAST_EVENTS):
                self._watched.discard(transaction_hash)
        return happened
