"""The chain: the only writer of the store. Blocks come in here, from peers and from our own author."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol, cast

import trio

from node.chain.clock import Clock
from node.chain.events import (
    BestChanged,
    BlockImported,
    ChainEvent,
    Equivocated,
    Finalized,
    ImportResult,
    ImportStatus,
    Lagged,
)
from node.consensus import aura, fork_choice
from node.consensus.finality import BuiltByTwoThirds, FinalityGadget
from node.consensus.fork_choice import TreeRoute
from node.store.chain_store import ChainStore
from pallets.aura import Aura
from runtime.construct import Runtime
from runtime.crypto import verify_sr25519
from runtime.errors import InvalidBlock
from runtime.header import Block, Header
from runtime.state import StateView
from runtime.transition import ExecutedBlock, execute_block
from runtime.version import CODE_KEY

MAX_SUBSCRIBERS: Final = 4_096
SUBSCRIBER_EVENTS: Final = 256
"""Events that a subscriber may be behind before it is dropped."""

MAX_UNFOLDED_BLOCKS: Final = 2_048
"""Blocks whose change sets are held in memory; beyond it, blocks that do not extend the longest chain must wait."""

MAX_RUNTIMES: Final = 16
"""Runtimes held at a time: a development chain gets a new one with every edit."""

REMEMBERED_AUTHORS: Final = 1_024
REMEMBERED_EQUIVOCATIONS: Final = 64


class ChainFollower(Protocol):
    """What must follow the chain without gaps, before anybody else hears of a block: the transaction pool."""

    def best_changed(self, route: TreeRoute) -> None:
        """The best chain moved."""
        ...

    def finalized(self, headers: Sequence[Header]) -> None:
        """These blocks became final, oldest first."""
        ...

    def runtime_changed(self, runtime: Runtime) -> None:
        """From the best block on, another runtime is in force."""
        ...


class TooManySubscribers(Exception):
    """The chain has MAX_SUBSCRIBERS subscribers."""


class Chain:
    """See the module. One import runs at a time; its execution is synchronous, only the store's write is awaited."""

    def __init__(
        self,
        store: ChainStore,
        runtime: Runtime,
        clock: Clock,
        *,
        finality: FinalityGadget | None = None,
    ) -> None:
        self.store = store
        self.runtime = runtime
        self._runtimes = {runtime.code: runtime}
        self.clock = clock
        self.follower: ChainFollower | None = None
        self.equivocations: list[aura.Equivocation] = []
        self._finality = finality or BuiltByTwoThirds(store.required_header, self.author_of)
        self._watch = aura.EquivocationWatch()
        self._authors: dict[bytes, bytes] = {}
        self._one_at_a_time = trio.Lock()
        self._subscribers: list[trio.MemorySendChannel[ChainEvent]] = []

    @property
    def best(self) -> Header:
        """The tip of the best chain."""
        return self.store.best

    @property
    def finalized(self) -> Header:
        """The last finalized block."""
        return self.store.finalized

    @property
    def slot_duration_ms(self) -> int:
        """The length of a slot."""
        return self._aura.config.slot_duration

    def current_slot(self) -> int:
        """The slot of now."""
        return aura.slot_at(self.clock.now_ms(), self.slot_duration_ms)

    # Runtimes

    def offer_runtime(self, runtime: Runtime) -> None:
        """Make a runtime known: it is in force from the block on that puts its code under `:code`.

        One of the code that is in force already takes the place of the other.
        """
        self._runtimes.pop(runtime.code, None)
        self._runtimes[runtime.code] = runtime
        while len(self._runtimes) > MAX_RUNTIMES:
            del self._runtimes[next(iter(self._runtimes))]
        self._follow_code()

    def runtime_at(self, view: StateView) -> Runtime:
        """The runtime that executes children of the block with this state; the newest for one that is not at hand."""
        return self._runtimes.get(view.get(CODE_KEY) or b"", self.runtime)

    def runtime_of(self, header: Header) -> Runtime:
        """The runtime that executed a block and encoded its events; the newest when that can no longer be told."""
        known = self.store.has_state(header.parent_hash)
        return self.runtime_at(self.store.state(header.parent_hash)) if known else self.runtime

    # Authorities

    def authorities(self, view: StateView) -> tuple[bytes, ...]:
        """Who authors the children of the block with this state."""
        with self.runtime.at(view):
            return self._aura.authorities()

    def author_of(self, header: Header) -> bytes | None:
        """Who sealed a stored block; None when that can no longer be told."""
        known = self._authors.get(header.hash)
        if known is not None or header.number == 0 or not self.store.has_state(header.parent_hash):
            return known
        authorities = self.authorities(self.store.state(header.parent_hash))
        author = aura.author_of_slot(aura.slot_of(header), authorities)
        self._remember_author(header, author)
        return author

    # Blocks in

    async def import_block(self, block: Block, origin: str) -> ImportResult:
        """Check, execute and store a block that `origin` (a peer, or a word for ourselves) sent.

        Every refusal is a result that names the rule. What is raised is our own fault and must stop the node.
        """
        async with self._one_at_a_time:
            header = block.header
            if self.store.header(header.hash) is not None:
                return ImportResult(ImportStatus.KNOWN)
            parent = self.store.header(header.parent_hash)
            if parent is None:
                return ImportResult(ImportStatus.UNKNOWN_PARENT, f"no parent 0x{header.parent_hash.hex()}")
            if not self.store.has_state(parent.hash):
                return ImportResult(ImportStatus.TOO_OLD, f"it forks off at block {parent.number}, from {origin}")
            if self.store.unfolded_blocks >= MAX_UNFOLDED_BLOCKS and header.number <= self.best.number:
                return ImportResult(ImportStatus.TOO_EARLY, f"{MAX_UNFOLDED_BLOCKS} blocks of forks are held already")
            try:
                executed = self._check_and_execute(block, parent)
            except (aura.SlotInFuture, aura.TooManyEquivocations) as error:
                return ImportResult(ImportStatus.TOO_EARLY, str(error))
            except (aura.HeaderRejected, InvalidBlock) as error:
                return ImportResult(ImportStatus.INVALID, str(error))
            return await self._commit(executed)

    async def extend(
        self, build: Callable[[Header, StateView], Awaitable[ExecutedBlock | None]]
    ) -> ExecutedBlock | None:
        """Put a block of our own on the best one: `build` makes and seals it, nothing else is imported meanwhile."""
        async with self._one_at_a_time:
            parent = self.best
            executed = await build(parent, self.store.state(parent.hash))
            if executed is not None:
                await self._commit(executed)
            return executed

    async def finalize(self, block_hash: bytes) -> None:
        """Move finality to a block of the best chain, as a finality protocol decided."""
        async with self._one_at_a_time:
            before = self.finalized
            await self.store.finalize(block_hash)
            self._tell_finalized(before)

    async def set_head(self, block_hash: bytes) -> None:
        """Build on another block from now on: it becomes best and finalized, what was above it a fork.

        For development chains only: finality is given up. Raises UnknownBlock, StateUnavailable.
        """
        async with self._one_at_a_time:
            route = self.store.route(self.best.hash, block_hash)
            await self.store.set_best(block_hash, finalized=block_hash)
            if self.follower is not None:
                self.follower.best_changed(route)
            self._follow_code()
            self._publish_best(route)

    def _check_and_execute(self, block: Block, parent: Header) -> ExecutedBlock:
        header = block.header
        view = self.store.state(parent.hash)
        with self.store.reading():
            authorities = self.authorities(view)
            now = self.current_slot()
            authored = aura.check_header(header, parent, authorities, now, _verify_seal)
            proof = self._watch.check(authored, header, now)
            if proof is not None:
                self.equivocations = [*self.equivocations, proof][-REMEMBERED_EQUIVOCATIONS:]
                self._publish(Equivocated(proof))
            executed = execute_block(self.runtime_at(view), parent, view, block, self.store.get_node)
        self._remember_author(header, authored.author)
        return replace(executed, header=header)

    async def _commit(self, executed: ExecutedBlock) -> ImportResult:
        """Store an executed, sealed block; then tell the follower, then the subscribers."""
        header, old_best, old_finalized = executed.header, self.best, self.finalized
        route = fork_choice.tree_route(self.store.required_header, old_best, header)
        is_best = fork_choice.is_better(route, header, old_best, old_finalized)
        final = None
        if is_best:
            authorities = self.authorities(self.store.state(header.parent_hash))
            final = self._finality.best_changed(header, old_finalized, authorities)
        await self.store.commit(executed, best=is_best, finalized=None if final is None else final.hash)
        if is_best and self.follower is not None:
            self.follower.best_changed(route)
        if is_best:
            self._follow_code()
        self._publish(BlockImported(header, is_best, executed.events))
        if is_best:
            self._publish_best(route)
            self._tell_finalized(old_finalized)
        return ImportResult(ImportStatus.IMPORTED, is_best=is_best)

    def _publish_best(self, route: TreeRoute) -> None:
        retracted, enacted = (tuple(one.hash for one in line) for line in (route.retracted, route.enacted))
        self._publish(BestChanged(self.best, retracted, enacted))

    def _follow_code(self) -> None:
        """Take up the runtime that the best block asks for, before anybody hears of that block."""
        runtime = self.runtime_at(self.store.state(self.best.hash))
        if runtime is not self.runtime:
            self.runtime = runtime
            if self.follower is not None:
                self.follower.runtime_changed(runtime)

    def _tell_finalized(self, before: Header) -> None:
        now = self.finalized
        if now.hash == before.hash:
            return
        if self.follower is not None:
            self.follower.finalized(self.store.route(before.hash, now.hash).enacted)
        self._publish(Finalized(now))

    def _remember_author(self, header: Header, author: bytes) -> None:
        self._authors[header.hash] = author
        if len(self._authors) > REMEMBERED_AUTHORS:
            del self._authors[next(iter(self._authors))]

    # Events out

    def subscribe(self) -> trio.MemoryReceiveChannel[ChainEvent]:
        """Events from now on, until the subscriber closes the channel or falls SUBSCRIBER_EVENTS behind (`Lagged`)."""
        if len(self._subscribers) >= MAX_SUBSCRIBERS:
            raise TooManySubscribers(f"the chain has {MAX_SUBSCRIBERS} subscribers")
        send, receive = trio.open_memory_channel[ChainEvent](SUBSCRIBER_EVENTS + 1)
        self._subscribers.append(send)
        return receive

    def _publish(self, event: ChainEvent) -> None:
        staying = []
        for channel in self._subscribers:
            lagging = channel.statistics().current_buffer_used >= SUBSCRIBER_EVENTS
            try:
                channel.send_nowait(Lagged() if lagging else event)
            except trio.BrokenResourceError:
                lagging = True
            if lagging:
                channel.close()
            else:
                staying.append(channel)
        self._subscribers = staying

    @property
    def _aura(self) -> Aura:
        return cast("Aura", self.runtime.pallet(Aura.name))


def _verify_seal(author: bytes, message: bytes, signature: bytes) -> bool:
    return verify_sr25519(signature, message, author)
