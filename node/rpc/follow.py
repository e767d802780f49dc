"""What one `chainHead_v1_follow` knows: the blocks told to its client, those the client holds, operations under way."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import trio

from node.chain.events import BestChanged, BlockImported, ChainEvent, Finalized
from node.rpc.backend import Backend, ChainEvents
from node.rpc.json import hexadecimal
from node.rpc.limits import MAX_LAG_BLOCKS, MAX_PIN_SECONDS, MAX_PINNED_BLOCKS
from node.rpc.session import Subscription
from runtime.header import Header
from runtime.version import CODE_KEY, RuntimeVersion

Event = dict[str, Any]


class FollowStopped(Exception):
    """The follow cannot go on without a gap or within its limits: the client is told `stop` and starts anew."""


@dataclass
class Operation:
    """A body, call or storage operation; `resume` is there while it waits for `chainHead_v1_continue`."""

    id: str
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    resume: trio.Event | None = None

    async def wait_for_continue(self) -> None:
        """Sleeps until the client asks for more."""
        self.resume = trio.Event()
        await self.resume.wait()
        self.resume = None


class Pins:
    """The blocks that clients hold, counted over the whole node."""

    def __init__(self) -> None:
        self._holders: dict[bytes, int] = {}
        self._follows: list[Follow] = []

    def __len__(self) -> int:
        return len(self._holders)

    def join(self, follow: "Follow") -> None:
        """A follow begins."""
        self._follows.append(follow)

    def leave(self, follow: "Follow") -> None:
        """A follow has ended; what it held is free."""
        self._follows = [one for one in self._follows if one is not follow]
        for block_hash in list(follow.pinned):
            self.unpin(follow, block_hash)

    def pin(self, follow: "Follow", header: Header) -> None:
        """Holds a block for a follow. When the node's pins are used up, follows that held one too long are stopped.

        Raises FollowStopped if this is one of them, or if that did not help.
        """
        if len(self) >= MAX_PINNED_BLOCKS and header.hash not in self._holders:
            oldest = trio.current_time() - MAX_PIN_SECONDS
            for other in list(self._follows):
                if other.held_since() < oldest:
                    self.leave(other)
                    other.stop()
            if follow.stopped or len(self) >= MAX_PINNED_BLOCKS:
                raise FollowStopped
        self._holders[header.hash] = self._holders.get(header.hash, 0) + 1
        follow.pinned[header.hash] = (header, trio.current_time())

    def unpin(self, follow: "Follow", block_hash: bytes) -> None:
        """Gives a block free."""
        del follow.pinned[block_hash]
        self._holders[block_hash] -= 1
        if not self._holders[block_hash]:
            del self._holders[block_hash]


class Follow:
    """One follow. `begin` and `react` give the events for the client and pin the blocks that they name."""

    def __init__(
        self,
        backend: Backend,
        pins: Pins,
        subscription: Subscription,
        chain_events: ChainEvents,
        with_runtime: bool,
    ) -> None:
        self.pinned: dict[bytes, tuple[Header, float]] = {}
        self.operations: dict[str, Operation] = {}
        self.operations_begun = 0
        self.with_runtime = with_runtime
        self.subscription = subscription
        self.stopped = False
        self._backend = backend
        self._pins = pins
        self._chain_events = chain_events
        self._finalized = backend.chain.finalized
        self._above: dict[bytes, Header] = {}

    def held_since(self) -> float:
        """When the block that is held longest was pinned, in trio's time."""
        return min((since for _, since in self.pinned.values()), default=trio.current_time())

    def stop(self) -> None:
        """Ends the follow from outside; its generator wakes up and says `stop`."""
        self.stopped = True
        self._chain_events.close()
        for operation in self.operations.values():
            operation.scope.cancel()

    def begin(self) -> Iterator[Event]:
        """The finalized block, what is known above it, and the best block. Raises FollowStopped."""
        store = self._backend.chain.store
        self._pins.pin(self, self._finalized)
        initialized: Event = {
            "event": "initialized",
            "finalizedBlockHashes": [hexadecimal(self._finalized.hash)],
        }
        if self.with_runtime:
            initialized["finalizedBlockRuntime"] = runtime_json(self._backend.runtime_at(self._finalized.hash).version)
        yield initialized
        self._check_lag(store.best)
        for leaf in reversed(store.leaves()):
            route = store.route(self._finalized.hash, leaf.hash)
            if route.common.hash == self._finalized.hash:
                for header in route.enacted:
                    if store.envelope(header.hash) is not None:  # else it is being written: its import will tell
                        yield from self._new_block(header)
        yield {"event": "bestBlockChanged", "bestBlockHash": hexadecimal(store.best.hash)}

    def react(self, event: ChainEvent) -> Iterator[Event]:
        """What an event of the chain means for the client. Raises FollowStopped."""
        if self.stopped:  # with this event already on its way
            raise FollowStopped
        if isinstance(event, BlockImported):
            yield from self._new_block(event.header)
        elif isinstance(event, BestChanged):
            if event.header.hash not in self._above and event.header.hash != self._finalized.hash:
                raise FollowStopped  # the head was set back below what the client holds for final
            self._check_lag(event.header)
            yield {"event": "bestBlockChanged", "bestBlockHash": hexadecimal(event.header.hash)}
        elif isinstance(event, Finalized):
            yield self._finalize(event.header)

    def _new_block(self, header: Header) -> Iterator[Event]:
        if header.hash in self._above or header.number <= self._finalized.number:
            return
        if header.parent_hash not in self._above and header.parent_hash != self._finalized.hash:
            return  # on a fork below the finalized block: it can never matter to the client
        self._pins.pin(self, header)
        self._above[header.hash] = header
        event: Event = {
            "event": "newBlock",
            "blockHash": hexadecimal(header.hash),
            "parentBlockHash": hexadecimal(header.parent_hash),
        }
        if self.with_runtime:
            changed = CODE_KEY in self._backend.chain.store.written_keys(header.hash)
            event["newRuntime"] = runtime_json(self._backend.runtime_at(header.hash).version) if changed else None
        yield event

    def _finalize(self, header: Header) -> Event:
        line: list[bytes] = []
        block_hash = header.hash
        while block_hash != self._finalized.hash:
            if block_hash not in self._above:
                raise FollowStopped
            line.append(block_hash)
            block_hash = self._above[block_hash].parent_hash
        kept = {header.hash}
        for one in sorted(self._above.values(), key=lambda block: block.number):
            if one.parent_hash in kept:
                kept.add(one.hash)
        pruned = [one for one in self._above if one not in kept and one not in line]
        self._above = {one: self._above[one] for one in self._above if one in kept and one != header.hash}
        self._finalized = header
        return {
            "event": "finalized",
            "finalizedBlockHashes": [hexadecimal(one) for one in reversed(line)],
            "prunedBlockHashes": [hexadecimal(one) for one in pruned],
        }

    def _check_lag(self, best: Header) -> None:
        if best.number - self._finalized.number > MAX_LAG_BLOCKS:
            raise FollowStopped


def runtime_json(version: RuntimeVersion) -> Any:
    """A runtime as the newer methods show it; `apis` is a map here."""
    return {
        "type": "valid",
        "spec": {
            "specName": version.spec_name,
            "implName": version.impl_name,
            "specVersion": version.spec_version,
            "implVersion": version.impl_version,
            "transactionVersion": version.transaction_version,
            "apis": {hexadecimal(api): number for api, number in version.apis},
        },
    }
