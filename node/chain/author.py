"""The author: fills a block from the pool when it is our turn, seals it and puts it on the best chain."""

from __future__ import annotations

import enum
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol, cast

import structlog
import trio

from node.chain.chain import Chain
from node.chain.transactions import Transactions
from node.consensus import aura
from node.txpool.queues import PooledTransaction
from pallets.randomness import OnionLayers, Randomness
from pallets.randomness.types import onion_item
from pallets.timestamp import Timestamp
from runtime.call import RuntimeCall
from runtime.errors import InvalidTransaction, Validity
from runtime.header import Header
from runtime.state import StateView
from runtime.transition import BlockExecution, ExecutedBlock
from runtime.version import CODE_KEY

BUILD_SHARE: Final = (2, 3)
"""The share of a slot that filling a block may take."""

TRANSACTIONS_AT_A_STRETCH: Final = 50
"""Transactions applied before everybody else in the node gets a turn, lest clients wait for the whole block."""

MAX_TOO_LARGE: Final = 8
"""Transactions that do not fit before the block counts as full."""

REMEMBERED_ONIONS: Final = 8

log = structlog.get_logger(__name__)


class AuthorKey(Protocol):
    """An authority's key: an sr25519 pair whose public key is its account, and the 32-byte seed of its onions."""

    @property
    def account_id(self) -> bytes:
        """The public key."""
        ...

    @property
    def scheme(self) -> str:
        """Always "sr25519" for authorities."""
        ...

    @property
    def onion_seed(self) -> bytes:
        """From which the onion of every epoch is derived."""
        ...

    def sign(self, message: bytes) -> bytes:
        """A 64-byte signature."""
        ...


class AuthoringMode(enum.Enum):
    """When blocks are made."""

    INTERVAL = "interval"
    """In every slot that is ours."""
    INSTANT = "instant"
    """As soon as a transaction is ready; slots run ahead of the clock when they must."""
    MANUAL = "manual"
    """When `author_block` is called."""


class WrongAuthorKey(ValueError):
    """The key cannot seal blocks."""


class Author:
    """Makes blocks with the keys that we hold. `may_author` says whether to (no while the node is catching up).

    A bug of the runtime stops the node, before it writes. With `on_bug`, for runtimes that are being written, it is
    told instead, and the transaction that ran into it is dropped; a bug in a hook leaves the slot without a block.
    """

    def __init__(
        self,
        chain: Chain,
        transactions: Transactions,
        keys: Sequence[AuthorKey],
        *,
        mode: AuthoringMode = AuthoringMode.INTERVAL,
        may_author: Callable[[], bool] = lambda: True,
        on_bug: Callable[[Exception], None] | None = None,
    ) -> None:
        self._chain = chain
        self._transactions = transactions
        self._keys: dict[bytes, AuthorKey] = {}
        for key in keys:
            self.add_key(key)
        self._mode = mode
        self._may_author = may_author
        self._on_bug = on_bug
        self._onions: OrderedDict[tuple[bytes, int], OnionLayers] = OrderedDict()
        self._wake = trio.Event()
        self._runtime_refused = False

    def add_key(self, key: AuthorKey) -> None:
        """Make blocks with this key, too, in the slots that are its own. Raises WrongAuthorKey."""
        if key.scheme != "sr25519":
            raise WrongAuthorKey(f"blocks are sealed with sr25519 keys, 0x{key.account_id.hex()} is {key.scheme}")
        self._keys[key.account_id] = key

    async def run(self) -> None:
        """Author for ever, in the mode that was chosen."""
        if self._mode is AuthoringMode.INTERVAL:
            await self._run_slots()
        elif self._mode is AuthoringMode.INSTANT:
            self._transactions.on_ready(lambda _: self._wake.set())
            await self._run_arrivals()
        else:
            await trio.sleep_forever()

    async def author_block(self) -> Header | None:
        """Make a block now, in the first slot after the parent's that is ours; None if none is or we may not author.

        The slot may lie in the future: its time, not ours, is the time of the block.
        """
        now_ms = self._chain.clock.now_ms()
        made = await self._author(self._next_slot_of_ours, now_ms + self._build_time_ms())
        return None if made is None else made.header

    async def author_slot(self, slot: int) -> Header | None:
        """Make the block of a slot; None if it is not ours or has passed on the best chain."""

        def only(parent: Header, authorities: Sequence[bytes]) -> int | None:
            author = aura.author_of_slot(slot, authorities)
            return slot if author in self._keys and slot > _slot_of_parent(parent) else None

        start_ms = aura.slot_start_ms(slot, self._chain.slot_duration_ms)
        made = await self._author(only, start_ms + self._build_time_ms())
        return None if made is None else made.header

    async def _run_slots(self) -> None:
        duration_ms = self._chain.slot_duration_ms
        while True:
            slot = self._chain.current_slot()
            start_ms = aura.slot_start_ms(slot, duration_ms)
            if self._chain.clock.now_ms() < start_ms + self._build_time_ms():
                await self.author_slot(slot)
            next_ms = aura.slot_start_ms(slot + 1, duration_ms)
            await self._chain.clock.sleep_ms(max(next_ms - self._chain.clock.now_ms(), 1))

    async def _run_arrivals(self) -> None:
        inherents = len(self._chain.runtime.inherents)
        while True:
            while self._transactions.pool.status().ready:
                made = await self._author(self._next_slot_of_ours, self._chain.clock.now_ms() + self._build_time_ms())
                if made is None or len(made.extrinsics) == inherents:
                    break
            await self._wake.wait()
            self._wake = trio.Event()

    async def _author(
        self, choose_slot: Callable[[Header, Sequence[bytes]], int | None], deadline_ms: int
    ) -> ExecutedBlock | None:
        refused: list[bytes] = []

        async def build(parent: Header, view: StateView) -> ExecutedBlock | None:
            if not self._may_author() or not self._has_right_runtime(view):
                return None
            authorities = self._chain.authorities(view)
            slot = choose_slot(parent, authorities)
            if slot is None:
                return None
            key = self._keys[aura.author_of_slot(slot, authorities)]
            try:
                return await self._build(parent, view, slot, key, deadline_ms, refused)
            except Exception as error:
                if self._on_bug is None:
                    raise
                self._on_bug(error)
                return None

        made = await self._chain.extend(build)
        self._transactions.remove_invalid(refused)
        return made

    async def _build(
        self, parent: Header, view: StateView, slot: int, key: AuthorKey, deadline_ms: int, refused: list[bytes]
    ) -> ExecutedBlock:
        runtime = self._chain.runtime
        with runtime.at(view):
            timestamp_ms = self._timestamp_ms(slot)
            randomness = cast("Randomness", runtime.pallet(Randomness.name))
            reveal = randomness.prepare(key.account_id, slot, lambda epoch: self._onion(key, epoch))
        digest = (aura.slot_item(slot), onion_item(reveal))
        execution = BlockExecution(runtime, parent, view, digest, self._chain.store.get_node)
        with self._chain.store.reading():
            execution.initialize()
            execution.apply(runtime.extrinsic_codec.encode_bare(RuntimeCall("Timestamp", "set", {"now": timestamp_ms})))
        await self._fill(execution, deadline_ms, refused)
        with self._chain.store.reading():
            executed = execution.finalize()
        header = executed.header
        seal = aura.seal_item(key.sign(aura.seal_message(header)))
        return replace(executed, header=replace(header, digest=(*header.digest, seal)))

    async def _fill(self, execution: BlockExecution, deadline_ms: int, refused: list[bytes]) -> None:
        too_large = 0
        ready = self._transactions.pool.ready()
        for number, transaction in enumerate(ready, 1):
            if number % TRANSACTIONS_AT_A_STRETCH == 0:
                await trio.lowlevel.checkpoint()
            if self._chain.clock.now_ms() >= deadline_ms:
                return
            try:
                with self._chain.store.reading():
                    execution.apply(transaction.extrinsic)
            except InvalidTransaction as error:
                ready.skip_dependents()
                if error.kind is Validity.EXHAUSTS_RESOURCES:
                    too_large += 1
                    if too_large == MAX_TOO_LARGE:
                        return
                elif error.kind is not Validity.FUTURE:
                    self._note_refused(transaction, error, refused)
            except Exception as error:
                if self._on_bug is None:
                    raise
                self._on_bug(error)
                ready.skip_dependents()
                refused.append(transaction.hash)

    def _note_refused(self, transaction: PooledTransaction, error: InvalidTransaction, refused: list[bytes]) -> None:
        log.debug("transaction refused while authoring", transaction=transaction.hash.hex(), reason=str(error))
        refused.append(transaction.hash)

    def _next_slot_of_ours(self, parent: Header, authorities: Sequence[bytes]) -> int | None:
        first = max(self._chain.current_slot(), _slot_of_parent(parent) + 1)
        for slot in range(first, first + len(authorities)):
            if aura.author_of_slot(slot, authorities) in self._keys:
                return slot
        return None

    def _timestamp_ms(self, slot: int) -> int:
        """The time for a block of the slot: now if that lies in it, and far enough from the parent's."""
        duration_ms = self._chain.slot_duration_ms
        start_ms = aura.slot_start_ms(slot, duration_ms)
        timestamp = cast("Timestamp", self._chain.runtime.pallet(Timestamp.name))
        earliest_ms = max(start_ms, timestamp.now_ms() + timestamp.config.minimum_period)
        return max(earliest_ms, min(self._chain.clock.now_ms(), start_ms + duration_ms - 1))

    def _onion(self, key: AuthorKey, epoch: int) -> OnionLayers:
        name = (key.account_id, epoch)
        if name not in self._onions:
            randomness = cast("Randomness", self._chain.runtime.pallet(Randomness.name))
            self._onions[name] = OnionLayers(key.onion_seed, epoch, randomness.config.epoch_slots)
            if len(self._onions) > max(REMEMBERED_ONIONS, 2 * len(self._keys)):
                self._onions.popitem(last=False)
        return self._onions[name]

    def _has_right_runtime(self, view: StateView) -> bool:
        """Whether our runtime is the one that the chain asks for; a block by another one would split the chain."""
        wanted, ours = view.get(CODE_KEY), self._chain.runtime.code
        if wanted != ours and not self._runtime_refused:
            log.error(
                "not authoring: the chain asks for another runtime",
                wanted=(wanted or b"").hex(),
                ours=ours.hex(),
                our_spec_version=self._chain.runtime.version.spec_version,
            )
        self._runtime_refused = wanted != ours
        return wanted == ours

    def _build_time_ms(self) -> int:
        part, whole = BUILD_SHARE
        return self._chain.slot_duration_ms * part // whole


def _slot_of_parent(parent: Header) -> int:
    return aura.slot_of(parent) if parent.number > 0 else -1
