"""Finding peers: who else has a core, and links to them, kept alive.

    from hypercore.io.core import Core
    from hypercore.io.replication import open_replication
    from hypercore.io.swarm import StaticPeers, open_swarm

    core = Core.create()
    core.append([b"hello"])
    copy = Core.open(None, core.key)
    async with open_replication() as here, open_replication() as there:
        here.add(core)
        peers = StaticPeers([("127.0.0.1", await here.listen())])   # also `open_lan()`, or a discovery of your own
        async with open_swarm(there, [peers]) as swarm:
            swarm.find(copy)
            await there.update(copy)
            assert await there.get(copy, 0) == b"hello"

What a discovery says is only ever dialled: whoever answers must prove that it knows the core's key, and its blocks must
prove that the author signed them. So a lie costs a dial and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import trio

from hypercore.errors import HypercoreError, LocalProtocolError
from hypercore.io.core import Core
from hypercore.io.replication import ConnectFailed, Replication
from hypercore.io.session import Session
from hypercore.io.waiting import any_of

log = logging.getLogger(__name__)

MAX_DIALLED = 64
MAX_CANDIDATES = 1024
MAX_SERVED = 4096
MAX_FOUND = 256
MAX_ENDPOINTS_PER_LOOKUP = 256
LOOKUP_FIRST_PAUSE_SECONDS = 2.0
LOOKUP_LARGEST_PAUSE_SECONDS = 60.0
LOOKUP_TIMEOUT_SECONDS = 60.0
DIAL_FIRST_PAUSE_SECONDS = 1.0
DIAL_LARGEST_PAUSE_SECONDS = 300.0
PROVE_SECONDS = 20.0
"""A peer that shares no core with us after so long gives its place to another."""

ANNOUNCE_TIMEOUT_SECONDS = 60.0
ANNOUNCE_RETRY_SECONDS = 15.0


class Endpoint(NamedTuple):
    """A TCP port where somebody replicates hypercores."""

    host: str
    port: int


class DiscoveryFailed(HypercoreError):
    """A discovery could not be asked or told now; trying again later may succeed."""


class Discovery(Protocol):
    """A way of finding out who replicates a core; cores are named by discovery key, which does not reveal their key."""

    async def announce(self, discovery_key: bytes, port: int) -> float:
        """Tells others that our TCP `port` replicates the core; returns after how many seconds to tell them again.

        Raises DiscoveryFailed.
        """

    def withdraw(self, discovery_key: bytes, port: int) -> None:
        """Stops telling; what others remember fades."""

    def lookup(self, discovery_key: bytes) -> AsyncIterator[Endpoint]:
        """The endpoints that are known or can be found within some seconds; raises DiscoveryFailed."""


class StaticPeers:
    """A fixed list of endpoints, for every core; what is announced is told to nobody."""

    def __init__(self, endpoints: Iterable[tuple[str, int]]) -> None:
        self._endpoints = tuple(Endpoint(*endpoint) for endpoint in endpoints)

    async def announce(self, discovery_key: bytes, port: int) -> float:
        """Does nothing."""
        await trio.lowlevel.checkpoint()
        return float("inf")

    def withdraw(self, discovery_key: bytes, port: int) -> None:
        """Does nothing."""

    async def lookup(self, discovery_key: bytes) -> AsyncIterator[Endpoint]:
        """Every endpoint."""
        for endpoint in self._endpoints:
            await trio.lowlevel.checkpoint()
            yield endpoint


@dataclass
class _Candidate:
    failures: int = 0
    next_dial_seconds: float = 0.0
    public_key: bytes | None = None
    dialled: bool = False


class Swarm:
    """Announces the cores we serve and keeps links to peers of those that we want; made by `open_swarm`."""

    def __init__(
        self,
        nursery: trio.Nursery,
        replication: Replication,
        discoveries: Sequence[Discovery],
        port: int | None,
        max_dialled: int,
    ) -> None:
        self.dialled = 0
        self._nursery = nursery
        self._replication = replication
        self._discoveries = tuple(discoveries)
        self._port = port
        self._max_dialled = max_dialled
        self._served: dict[bytes, None] = {}
        self._served_changed = trio.Event()
        self._found: dict[bytes, trio.CancelScope] = {}
        self._candidates: dict[Endpoint, _Candidate] = {}
        self._link_ended = trio.Event()
        if port is not None:
            for discovery in self._discoveries:
                nursery.start_soon(self._keep_announced, discovery, port)

    def serve(self, discovery_key: bytes) -> None:
        """Announces that our port replicates a core, until `stop_serving`; at most MAX_SERVED cores."""
        if self._port is None:
            raise LocalProtocolError("this swarm has no port to announce")
        if len(self._served) >= MAX_SERVED and discovery_key not in self._served:
            raise LocalProtocolError(f"more than {MAX_SERVED} cores to announce")
        self._served[discovery_key] = None
        self._tell_served_changed()

    def stop_serving(self, discovery_key: bytes) -> None:
        """Announces a core no longer."""
        self._served.pop(discovery_key, None)
        self._tell_served_changed()

    def serve_only(self, discovery_keys: Iterable[bytes]) -> None:
        """Announces exactly these cores from now on; those beyond MAX_SERVED are left out and the log says so."""
        wanted = dict.fromkeys(discovery_keys)
        if wanted.keys() == self._served.keys():
            return
        if len(wanted) > MAX_SERVED:
            log.warning("%d cores are served, only %d of them are announced", len(wanted), MAX_SERVED)
        self._served = dict.fromkeys(list(wanted)[:MAX_SERVED])
        self._tell_served_changed()

    def find(self, core: Core) -> None:
        """Looks for peers of a core and replicates it with them, until `stop_finding`."""
        if core.discovery_key in self._found:
            return
        if len(self._found) >= MAX_FOUND:
            raise LocalProtocolError(f"more than {MAX_FOUND} cores to look for")
        self._replication.add(core)
        scope = self._found[core.discovery_key] = trio.CancelScope()
        self._nursery.start_soon(self._keep_looking, core.discovery_key, scope)

    def stop_finding(self, core: Core) -> None:
        """Looks for further peers of a core no longer; links stay."""
        scope = self._found.pop(core.discovery_key, None)
        if scope is not None:
            scope.cancel()

    # ---- announcing

    def _tell_served_changed(self) -> None:
        self._served_changed.set()
        self._served_changed = trio.Event()

    async def _keep_announced(self, discovery: Discovery, port: int) -> None:
        due: dict[bytes, float] = {}
        try:
            while True:
                changed = self._served_changed
                for key in [key for key in due if key not in self._served]:
                    del due[key]
                    discovery.withdraw(key, port)
                for key in self._served:
                    due.setdefault(key, trio.current_time())
                first = min(due, key=due.__getitem__, default=None)
                if first is not None and due[first] <= trio.current_time():
                    due[first] = trio.current_time() + await _announce(discovery, first, port)
                    continue
                with trio.move_on_at(due[first] if first is not None else float("inf")):
                    await changed.wait()
        finally:
            for key in due:
                discovery.withdraw(key, port)

    # ---- looking and dialling

    async def _keep_looking(self, discovery_key: bytes, scope: trio.CancelScope) -> None:
        pause = LOOKUP_FIRST_PAUSE_SECONDS
        with scope:
            while True:
                link_ended = self._link_ended
                async with trio.open_nursery() as nursery:
                    for discovery in self._discoveries:
                        nursery.start_soon(self._look, discovery, discovery_key)
                with trio.move_on_after(pause):
                    await link_ended.wait()
                    await trio.sleep(LOOKUP_FIRST_PAUSE_SECONDS)
                    pause = LOOKUP_FIRST_PAUSE_SECONDS
                pause = min(2 * pause, LOOKUP_LARGEST_PAUSE_SECONDS)

    async def _look(self, discovery: Discovery, discovery_key: bytes) -> None:
        count = 0
        try:
            with trio.move_on_after(LOOKUP_TIMEOUT_SECONDS):
                async with aclosing(discovery.lookup(discovery_key)) as endpoints:  # type: ignore[type-var]
                    async for endpoint in endpoints:
                        self._consider(endpoint)
                        count += 1
                        if count >= MAX_ENDPOINTS_PER_LOOKUP:
                            return
        except (DiscoveryFailed, OSError) as error:
            log.debug("a lookup failed: %s", error)

    def _consider(self, endpoint: Endpoint) -> None:
        candidate = self._candidates.get(endpoint)
        if candidate is None:
            if len(self._candidates) >= MAX_CANDIDATES and not self._forget_one_candidate():
                return
            candidate = self._candidates[endpoint] = _Candidate()
        if (
            not candidate.dialled
            and candidate.next_dial_seconds <= trio.current_time()
            and self.dialled < self._max_dialled
            and not self._is_linked(candidate.public_key)
        ):
            candidate.dialled = True
            self.dialled += 1
            self._nursery.start_soon(self._keep_link, endpoint, candidate)

    def _forget_one_candidate(self) -> bool:
        idle = ((one.failures, endpoint) for endpoint, one in self._candidates.items() if not one.dialled)
        worst = max(idle, default=None)
        if worst is not None:
            del self._candidates[worst[1]]
        return worst is not None

    def _is_linked(self, public_key: bytes | None) -> bool:
        if public_key is None:
            return False
        sessions = self._replication.sessions
        return any(session.remote_public_key == public_key and not session.closing for session in sessions)

    async def _keep_link(self, endpoint: Endpoint, candidate: _Candidate) -> None:
        with self._holding(candidate):
            try:
                session = await self._replication.connect(*endpoint)
            except ConnectFailed as error:
                log.debug("%s", error)
                self._postpone(candidate)
                return
            candidate.public_key = session.remote_public_key
            if candidate.public_key == self._replication.key_pair.public_key:
                candidate.next_dial_seconds = float("inf")  # it is ourselves
                session.close()
                return
            surplus = False
            with trio.move_on_after(PROVE_SECONDS):
                surplus = await self._ends_as_surplus(session)
            if surplus:
                return
            if not session.peers:
                session.close()
                self._postpone(candidate)
                return
            candidate.failures = 0
            if not await self._ends_as_surplus(session):
                self._link_ended.set()
                self._link_ended = trio.Event()

    async def _ends_as_surplus(self, session: Session) -> bool:
        """Returns once a link ended: True when we ended it, which we do as soon as another with the peer is kept.

        Two peers that dial each other at once learn who the other is only after both links are dialled.
        """
        while not session.ended.is_set():
            established = self._replication.link_established
            if not session.closing and self._is_surplus(session):
                session.close()
                return True
            await any_of(established, session.ended)
        return False

    @contextmanager
    def _holding(self, candidate: _Candidate) -> Iterator[None]:
        try:
            yield
        finally:
            candidate.dialled = False
            self.dialled -= 1

    @staticmethod
    def _postpone(candidate: _Candidate) -> None:
        pause = DIAL_FIRST_PAUSE_SECONDS * 2 ** min(candidate.failures, 16)
        candidate.failures += 1
        candidate.next_dial_seconds = trio.current_time() + min(pause, DIAL_LARGEST_PAUSE_SECONDS)

    def _is_surplus(self, session: Session) -> bool:
        """Of two links with one peer both sides keep the one that the smaller public key began; closes the other.

        Of two that we began the older one is kept.
        """
        key, own = session.remote_public_key, self._replication.key_pair.public_key
        assert key is not None
        sessions = self._replication.sessions
        for position, other in enumerate(sessions):
            if other is session or other.closing or other.remote_public_key != key:
                continue
            if other.is_initiator:
                if position < sessions.index(session):
                    return True
            elif key < own:
                return True
            else:
                other.close()
        return False


async def _announce(discovery: Discovery, discovery_key: bytes, port: int) -> float:
    try:
        with trio.fail_after(ANNOUNCE_TIMEOUT_SECONDS):
            return await discovery.announce(discovery_key, port)
    except (DiscoveryFailed, OSError, trio.TooSlowError) as error:
        log.debug("an announcement failed: %s", error)
        return ANNOUNCE_RETRY_SECONDS


@asynccontextmanager
async def open_swarm(
    replication: Replication,
    discoveries: Sequence[Discovery],
    *,
    port: int | None = None,
    max_dialled: int = MAX_DIALLED,
) -> AsyncIterator[Swarm]:
    """A swarm over `replication` while the block of code runs; `port` is the TCP port it listens on, to be announced.

    At most `max_dialled` links are dialled; those that peers dial are bounded by the replication.
    """
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        try:
            yield Swarm(nursery, replication, discoveries, port, max_dialled)
        except Exception as problem:  # raised again below, outside of the nursery, which would wrap it in a group
            failure = problem
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
