"""Replication of cores with peers over TCP: one object that owns the links, shares out the work and waits for results.

    import sys, trio
    from hypercore.io.core import Core
    from hypercore.io.replication import open_replication

    async def main(key: str, host: str, port: str) -> None:
        core = Core.open(None, key)                                     # in memory; or a directory
        async with open_replication() as replication:
            replication.add(core)                                       # serve and fetch it, with every peer
            print("others may dial", await replication.listen())
            await replication.connect(host, int(port))
            await replication.update(core, timeout_seconds=10)          # hear of a longer log
            await replication.download(core)                            # every block of it
            print(core.length, await replication.get(core, 0))          # one block, from here or from a peer

    trio.run(main, *sys.argv[1:])

A JavaScript peer is `core.replicate(isInitiator)` piped to a plain socket: the side that dials is the initiator.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial

import trio

from hypercore.crypto import KeyPair
from hypercore.demand import Demand
from hypercore.errors import BlockNotAvailable, CoreFrozen, HeadUnconfirmed, HypercoreError, LocalProtocolError
from hypercore.io.core import Core
from hypercore.io.events import Closed, CoreEvent, tell_replicator
from hypercore.io.listening import open_listeners
from hypercore.io.session import Link, Session, new_key_pair
from hypercore.io.waiting import any_of, reason_to_give_up, until
from hypercore.replicate import Replicator
from hypercore.requests import ReplicatedCore

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 256
TICK_SECONDS = 1.0
DIAL_TIMEOUT_SECONDS = 15.0
HEAD_SECONDS = 5.0

Resolve = Callable[[bytes], Core | None]
SessionEnded = Callable[[Session], None]


class ReplicationTimeout(HypercoreError, TimeoutError):
    """What was waited for did not come in time; the message says which peers could have had it."""


class ConnectFailed(HypercoreError):
    """A peer could not be reached, or the link ended before its handshake."""


class Replication:
    """The links to peers and the cores replicated over them; made by `open_replication`."""

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        key_pair: KeyPair | None = None,
        resolve: Resolve | None = None,
        on_session_end: SessionEnded | None = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self.key_pair = key_pair or new_key_pair()
        self.sessions: list[Session] = []
        self.link_established = trio.Event()  # the next one; another event follows it
        self._nursery = nursery
        self._resolve = resolve
        self._on_session_end = on_session_end
        self._max_connections = max_connections
        self._replicators: dict[bytes, Replicator] = {}
        self._unsubscribe: dict[bytes, Callable[[], None]] = {}
        self._peer_told = trio.Event()

    def add(self, core: Core) -> Replicator:
        """Replicates `core` with every peer, present and future. Adding it again asks peers again that had refused.

        Raises `CoreFrozen` for a core of which two logs were signed, `LocalProtocolError` for a second one of its key.
        """
        replicator = self._replicator(core)
        for session in self.sessions:
            session.replicate(replicator)
        return replicator

    def remove(self, core: ReplicatedCore) -> None:
        """Stops replicating `core`, which stays open. A core that is closed is removed by itself."""
        replicator = self._replicators.pop(core.discovery_key, None)
        if replicator is not None:
            for session in self.sessions:
                session.stop_replicating(replicator)
            self._unsubscribe.pop(core.discovery_key)()

    def attach(self, stream: trio.abc.Stream, *, is_initiator: bool, link: Link | None = None) -> Session:
        """Replicates over any byte stream; exactly one of its two ends is the initiator."""
        session = Session(
            stream,
            is_initiator=is_initiator,
            key_pair=self.key_pair,
            lookup=self._lookup,
            on_established=self._tell_established,
            link=link,
        )
        for replicator in self._replicators.values():
            session.replicate(replicator)
        self.sessions.append(session)
        self._nursery.start_soon(self._run, session)
        return session

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Accepts peers on a TCP port (0: any free one) and returns it; raises `ListenFailed`."""
        listeners = await open_listeners(host, port)
        self._nursery.start_soon(trio.serve_listeners, self._accept, listeners)
        bound: int = listeners[0].socket.getsockname()[1]
        return bound

    async def connect(self, host: str, port: int) -> Session:
        """Dials a peer and returns once the handshake is done; raises ConnectFailed otherwise."""
        try:
            with trio.fail_after(DIAL_TIMEOUT_SECONDS):
                stream = await trio.open_tcp_stream(host, port)
        except (OSError, trio.TooSlowError) as problem:
            raise ConnectFailed(f"cannot connect to {host}:{port}: {problem}") from problem
        session = self.attach(stream, is_initiator=True)
        await any_of(session.established, session.ended)
        if not session.established.is_set():
            raise ConnectFailed(f"{host}:{port} ended the link before its handshake") from session.error
        return session

    async def update(self, core: Core, length: int | None = None, *, timeout_seconds: float | None = None) -> int:
        """Waits until the log is longer than now, or at least `length` blocks, and returns its length."""
        wanted = core.length + 1 if length is None else length
        self.add(core)
        await self._until(core, lambda: core.length >= wanted, timeout_seconds, f"a log of {wanted} blocks")
        return core.length

    async def catch_up(self, core: Core, *, timeout_seconds: float | None = None) -> int:
        """Waits for the newest log that the peers of now have, as far as `hear_of` hears of it; returns its length."""
        replicator = await self.hear_of(core)
        heads = [peer.remote for peer in replicator.peers if peer.remote is not None]
        fork, length = max(((head.fork, head.length) for head in heads), default=(0, 0))
        what = f"a log of {length} blocks of fork {fork}"
        await self._until(core, lambda: (core.fork, core.length) >= (fork, length), timeout_seconds, what)
        return core.length

    async def hear_of(self, core: Core) -> Replicator:
        """Waits until each peer of now has told its head of `core`, or refused it; at most HEAD_SECONDS."""
        replicator = self.add(core)
        with trio.move_on_after(HEAD_SECONDS):
            while any(session.awaits_head(replicator) for session in self.sessions):
                await self._peer_told.wait()
        return replicator

    async def download(
        self, core: Core, start: int = 0, end: int | None = None, *, timeout_seconds: float | None = None
    ) -> None:
        """Fetches the blocks [start, end) from all peers; `end` None is the log's present end."""
        stop = core.length if end is None else end
        position = start

        def complete() -> bool:
            nonlocal position
            position = core.bitfield.first_unset(position)
            return position >= stop

        if not complete():
            demand = self.add(core).want(start, stop)
            await self._fetch(core, demand, complete, timeout_seconds, f"blocks {start} to {stop - 1}")

    async def download_blocks(
        self, core: Core, indexes: Iterable[int], *, timeout_seconds: float | None = None
    ) -> None:
        """Fetches single blocks from all peers, and waits for the log to grow to those beyond its end."""
        missing = {index for index in indexes if not core.has(index)}

        def complete() -> bool:
            missing.difference_update([index for index in missing if core.has(index)])
            return not missing

        if not complete():
            demand = self.add(core).want_blocks(missing)
            await self._fetch(core, demand, complete, timeout_seconds, f"{len(missing)} blocks")

    async def seek(
        self, core: Core, byte_offset: int, *, padding: int = 0, timeout_seconds: float | None = None
    ) -> tuple[int, int]:
        """(block, offset in it) of a byte of the log; asks peers for the parts of its tree that are not here.

        Waits for a log that is still shorter. Blocks count as `padding` bytes smaller than they are.
        """
        try:
            return core.seek(byte_offset, padding)
        except (BlockNotAvailable, LocalProtocolError):
            if byte_offset < 0 or core.closed:
                raise
        found = trio.Event()
        replicator = self.add(core)
        seek = replicator.seek(byte_offset, padding, lambda block, offset: found.set())
        failure: HypercoreError | None = None

        def heard(event: CoreEvent) -> None:
            nonlocal failure
            failure = failure or reason_to_give_up(event)
            if failure is not None:
                found.set()
            else:
                replicator.look_again()

        unsubscribe = core.subscribe(heard)
        try:
            with trio.move_on_after(timeout_seconds if timeout_seconds is not None else float("inf")):
                await found.wait()
        finally:
            unsubscribe()
            replicator.release_seek(seek)
        if failure is not None:
            raise failure
        if seek.found is None:
            raise ReplicationTimeout(self._too_late(core, f"the block of byte {byte_offset}", timeout_seconds))
        return seek.found

    async def confirm_head(self, core: Core, *, minimum_peers: int = 1, timeout_seconds: float = 10.0) -> int:
        """Asks peers whether they have a longer log than this writer, takes it over, and allows appending.

        Returns the length. Raises `HeadUnconfirmed` when fewer than `minimum_peers` told their head in time, or when
        they have a longer log that could not be fetched: appending now would sign a second log.
        """
        replicator = self.add(core)

        def confirmed() -> bool:
            heads = [peer.remote for peer in replicator.peers if peer.remote is not None]
            newest = max(((head.fork, head.length) for head in heads), default=(0, 0))
            return len(heads) >= minimum_peers and newest <= (core.fork, core.length)

        with trio.move_on_after(timeout_seconds):
            while not confirmed():
                await self._peer_told.wait()
        if not confirmed():
            raise HeadUnconfirmed(self._too_late(core, "agreement of peers with this head", timeout_seconds))
        core.confirm_head()
        return core.length

    async def get(self, core: Core, index: int, *, timeout_seconds: float | None = None) -> bytes:
        """Block `index`, fetched from a peer unless it is here; waits for the log to grow that far."""
        if not core.has(index):
            replicator = self._replicators.get(core.discovery_key) or self.add(core)
            demand = replicator.want(index, index + 1, urgent=True)
            here = partial(core.has, index)
            await self._fetch(core, demand, here, timeout_seconds, f"block {index}", block=index)
        return core.get(index)

    @asynccontextmanager
    async def following(self, core: Core, start: int = 0) -> AsyncIterator[None]:
        """Keeps fetching every block from `start` on, also those appended later, while the block of code runs."""
        replicator = self.add(core)
        demand = replicator.want(start, None)
        try:
            yield
        finally:
            replicator.release(demand)

    async def _fetch(
        self,
        core: Core,
        demand: Demand,
        complete: Callable[[], bool],
        timeout_seconds: float | None,
        what: str,
        *,
        block: int | None = None,
    ) -> None:
        replicator = self._replicators[core.discovery_key]
        try:
            await self._until(core, complete, timeout_seconds, what, block=block)
        finally:
            replicator.release(demand)

    async def _until(
        self,
        core: Core,
        condition: Callable[[], bool],
        timeout_seconds: float | None,
        what: str,
        *,
        block: int | None = None,
    ) -> None:
        with trio.move_on_after(timeout_seconds if timeout_seconds is not None else float("inf")) as scope:
            await until(core, condition, block=block)
        if scope.cancelled_caught:
            raise ReplicationTimeout(self._too_late(core, what, timeout_seconds))

    def _too_late(self, core: Core, what: str, timeout_seconds: float | None) -> str:
        peers = self._replicators[core.discovery_key].peers if core.discovery_key in self._replicators else []
        longest = max((peer.remote.length for peer in peers if peer.remote), default=0)
        return (
            f"{what} did not arrive within {timeout_seconds} s: {len(self.sessions)} links, "
            f"{len(peers)} of them have this core, the longest with {longest} blocks; here are {core.length}"
        )

    def _replicator(self, core: Core) -> Replicator:
        replicator = self._replicators.get(core.discovery_key)
        if replicator is None:
            if core.frozen:
                raise CoreFrozen(f"the core is frozen: {core.conflict}")
            replicator = self._replicators[core.discovery_key] = Replicator(core, on_peer_state=self._tell)
            self._unsubscribe[core.discovery_key] = core.subscribe(partial(self._hear, replicator))
        elif replicator.core is not core:
            raise LocalProtocolError("another Core of the same key is replicated already: use that one, or `remove` it")
        return replicator

    def _hear(self, replicator: Replicator, event: CoreEvent) -> None:
        if isinstance(event, Closed):
            self.remove(replicator.core)
        tell_replicator(replicator, event)

    def _tell_established(self) -> None:
        self.link_established.set()
        self.link_established = trio.Event()

    def _tell(self) -> None:
        self._peer_told.set()
        self._peer_told = trio.Event()

    def _lookup(self, discovery_key: bytes) -> Replicator | None:
        replicator = self._replicators.get(discovery_key)
        if replicator is None and self._resolve is not None:
            core = self._resolve(discovery_key)
            replicator = self._replicator(core) if core is not None and not core.frozen else None
        return replicator

    @property
    def is_full(self) -> bool:
        """True while no further peer is accepted."""
        return len(self.sessions) >= self._max_connections

    async def _accept(self, stream: trio.SocketStream) -> None:
        if self.is_full:
            await trio.aclose_forcefully(stream)
            return
        await self.attach(stream, is_initiator=False).ended.wait()

    async def _run(self, session: Session) -> None:
        try:
            await session.run()
        except (HypercoreError, OSError):
            pass  # kept as session.error: one bad peer must not end the others
        except Exception:
            log.exception("a link failed unexpectedly")  # our fault, but still one link's and not the others'
        finally:
            self.sessions.remove(session)
        if self._on_session_end is not None:
            self._on_session_end(session)

    async def tick(self) -> None:
        """Passes the time to the schedulers for ever."""
        while True:
            await trio.sleep(TICK_SECONDS)
            for replicator in list(self._replicators.values()):
                replicator.tick(trio.current_time())


@asynccontextmanager
async def open_replication(
    *,
    key_pair: KeyPair | None = None,
    resolve: Resolve | None = None,
    on_session_end: SessionEnded | None = None,
    max_connections: int = MAX_CONNECTIONS,
) -> AsyncIterator[Replication]:
    """Replication while the block of code runs; all links end with it.

    `key_pair` is our identity on every link, `resolve(discovery_key)` finds cores that peers ask for and that were not
    added, `on_session_end(session)` hears of each ended link (`session.error` says why, None for an ordinary end).
    """
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        replication = Replication(
            nursery,
            key_pair=key_pair,
            resolve=resolve,
            on_session_end=on_session_end,
            max_connections=max_connections,
        )
        nursery.start_soon(replication.tick)
        try:
            yield replication
        except Exception as problem:  # raised again below, outside of the nursery, which would wrap it in a group
            failure = problem
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
