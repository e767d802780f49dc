"""Sessions: one per peer, from a handshake to the end of the control stream, with pings in between.

Of two connected hosts the one with the smaller peer id opens the control stream, so that there is exactly one however
the connection came about. Everything that runs for a peer runs in its session's nursery and ends with it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from node import limits
from node.net.cbor import InvalidMessage, decode, encode
from node.net.frames import FrameStream, FrameTooLarge, PeerGone
from node.net.host import Host
from node.net.messages import CONTROL_PROTOCOL, Control, Handshake
from node.net.peers import Offence
from node.net.rate import TokenBucket

log = logging.getLogger(__name__)


class SessionRefused(Exception):
    """The peer cannot be talked to; the text says why. It is not an offence."""


@dataclass(eq=False)
class Session:
    """A peer that shook hands. `best_number` and `best_hash` follow its announcements."""

    peer_id: str
    role: str
    addresses: tuple[str, ...]
    best_number: int
    best_hash: bytes
    cancel_scope: trio.CancelScope = field(default_factory=trio.CancelScope, repr=False)
    over: trio.Event = field(default_factory=trio.Event, repr=False)


class PingMonitor:
    """Counts the pings that were not answered. Time enters as the caller's calls, one per interval."""

    def __init__(self) -> None:
        self._nonce = 0
        self._answered = True
        self.missed = 0

    def next_ping(self) -> int | None:
        """Return the nonce of the ping that is due, None when the peer missed too many."""
        self.missed = 0 if self._answered else self.missed + 1
        if self.missed >= limits.MAX_MISSED_PINGS:
            return None
        self._nonce += 1
        self._answered = False
        return self._nonce

    def pong(self, nonce: int) -> None:
        """Take an answer; only that to the last ping counts."""
        if nonce == self._nonce:
            self._answered = True


PeerTask = Callable[[Session], Awaitable[None]]


class Sessions:
    """Opens, accepts and ends sessions on one host."""

    def __init__(
        self,
        host: Host,
        nursery: trio.Nursery,
        local_handshake: Callable[[], Handshake],
        offend: Callable[[str, Offence, str], None],
        is_permanent: Callable[[str], bool],
    ) -> None:
        self._host = host
        self._nursery = nursery
        self._local_handshake = local_handshake
        self._offend = offend
        self._is_permanent = is_permanent
        self._ready: dict[str, trio.Event] = {}
        self._opening: set[str] = set()
        self._newest: dict[str, FrameStream] = {}  # the control stream that speaks for a peer
        self.peer_tasks: list[PeerTask] = []
        self.on_began: Callable[[Session], None] = lambda session: None
        self.on_ended: Callable[[Session], None] = lambda session: None
        self.on_refused: Callable[[str, str], None] = lambda peer_id, reason: None
        self.live: dict[str, Session] = {}
        host.handle(CONTROL_PROTOCOL, self._accept, max_frame_bytes=limits.MAX_HANDSHAKE_BYTES)
        host.on_connected(self._connected)

    async def wait_for(self, peer_id: str) -> Session | None:
        """Return the session with a peer whose handshake may still be under way, None when there is none in time."""
        if peer_id not in self.live:
            with trio.move_on_after(limits.HANDSHAKE_TIMEOUT_SECONDS):
                await self._ready.setdefault(peer_id, trio.Event()).wait()
            if len(self._ready) > 2 * limits.MAX_CONNECTIONS:
                self._ready.clear()
        return self.live.get(peer_id)

    def end(self, peer_id: str) -> None:
        """End the session with a peer, if there is one."""
        session = self.live.get(peer_id)
        if session is not None:
            session.cancel_scope.cancel()

    def _connected(self, peer_id: str) -> None:
        # Two hosts that dial each other at once have two connections, but the first control stream speaks for both.
        if self._host.peer_id < peer_id and peer_id not in self._opening and peer_id not in self._newest:
            self._opening.add(peer_id)
            self._nursery.start_soon(self._open, peer_id)

    async def _open(self, peer_id: str) -> None:
        try:
            stream = await self._host.open_stream(peer_id, CONTROL_PROTOCOL, max_frame_bytes=limits.MAX_HANDSHAKE_BYTES)
        except PeerGone as error:
            # Hosts without sessions (the lanes of a provider) connect too; only a dialler wants to hear of it.
            self.on_refused(peer_id, str(error))
            return
        finally:
            self._opening.discard(peer_id)
        async with stream:
            await self._run(stream, peer_id, opener=True)

    async def _accept(self, stream: FrameStream, peer_id: str) -> None:
        if self._host.peer_id < peer_id:
            self._offend(peer_id, Offence.BadHandshake, "opened a control stream that is ours to open")
            return
        await self._run(stream, peer_id, opener=False)

    async def _run(self, stream: FrameStream, peer_id: str, *, opener: bool) -> None:
        reason = "the handshake took too long"
        self._newest[peer_id] = stream
        try:
            theirs: Handshake | None = None
            with trio.move_on_after(limits.HANDSHAKE_TIMEOUT_SECONDS):
                theirs = await self._shake_hands(stream, peer_id, opener=opener)
            if theirs is not None:
                reason = await self._live(stream, peer_id, theirs)
        except SessionRefused as error:
            reason = str(error)
            self.on_refused(peer_id, reason)
        except PeerGone as error:
            reason = str(error)
        except (InvalidMessage, FrameTooLarge) as error:
            reason = str(error)
            self._offend(peer_id, Offence.BadHandshake, reason)
        log.info("session with %s is over: %s", peer_id, reason)
        if self._newest.get(peer_id) is stream:
            del self._newest[peer_id]
            await self._host.disconnect(peer_id)

    async def _shake_hands(self, stream: FrameStream, peer_id: str, *, opener: bool) -> Handshake:
        ours = self._local_handshake()
        if opener:
            await stream.send(encode(ours))
        theirs = decode(Handshake, await stream.receive(), limits.MAX_HANDSHAKE_BYTES)
        if not opener:
            await stream.send(encode(ours))
        if theirs.genesis != ours.genesis:
            if not opener:
                await self._linger(stream)
            raise SessionRefused(
                f"other genesis: it is on {theirs.genesis.hex()[:16]}…, we are on {ours.genesis.hex()[:16]}…"
            )
        if len(self.live) >= limits.MAX_PEERS - limits.RESERVED_PEER_SLOTS and (
            not self._is_permanent(peer_id) or len(self.live) >= limits.MAX_PEERS
        ):
            await stream.send(encode(Control("bye", 0, "no free slot")))
            await self._linger(stream)
            raise SessionRefused("no free slot for it")
        return theirs

    @staticmethod
    async def _linger(stream: FrameStream) -> None:
        """Give the peer time to read why it is refused before the connection goes."""
        await stream.close()
        with trio.move_on_after(limits.CLOSE_TIMEOUT_SECONDS):
            try:
                await stream.receive()
            except (PeerGone, FrameTooLarge):
                return

    async def _live(self, stream: FrameStream, peer_id: str, theirs: Handshake) -> str:
        earlier = self.live.get(peer_id)
        if earlier is not None:  # it has not noticed its end
            earlier.cancel_scope.cancel()
            await earlier.over.wait()
        session = Session(peer_id, theirs.role, theirs.addresses, theirs.best_number, theirs.best_hash)
        monitor = PingMonitor()
        reasons = ["ended by us"]

        async def guarded(task: Callable[[], Awaitable[str]]) -> None:
            try:
                reasons.append(await task())
            except* (PeerGone, FrameTooLarge, InvalidMessage) as group:
                reasons.append(str(_first_leaf(group)))
            session.cancel_scope.cancel()

        async def peer_task(task: PeerTask) -> str:
            await task(session)
            return "one of its streams ended"

        self.live[peer_id] = session
        log.info("session with %s (%s, best block %d)", peer_id, session.role, session.best_number)
        try:
            with session.cancel_scope:
                self.on_began(session)
                self._ready.setdefault(peer_id, trio.Event()).set()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(guarded, lambda: self._read_control(stream, monitor))
                    nursery.start_soon(guarded, lambda: self._ping(stream, monitor))
                    for task in self.peer_tasks:
                        nursery.start_soon(guarded, lambda task=task: peer_task(task))
        finally:
            del self.live[peer_id]
            self._ready.pop(peer_id, None)
            self.on_ended(session)
            session.over.set()
        return reasons[min(1, len(reasons) - 1)]

    async def _read_control(self, stream: FrameStream, monitor: PingMonitor) -> str:
        rate = limits.MAX_CONTROL_FRAMES_PER_SECOND
        bucket = TokenBucket(rate, 2 * rate, trio.current_time())
        while True:
            control = decode(Control, await stream.receive(), limits.MAX_HANDSHAKE_BYTES)
            if not bucket.take(1, trio.current_time()):
                self._offend(stream.peer_id, Offence.Flood, "control frames")
                return "it floods the control stream"
            if control.kind == "ping":
                await stream.send(encode(Control("pong", control.nonce, "")))
            elif control.kind == "pong":
                monitor.pong(control.nonce)
            else:
                self.on_refused(stream.peer_id, control.reason)
                return f"it said: {control.reason}"

    async def _ping(self, stream: FrameStream, monitor: PingMonitor) -> str:
        while True:
            await trio.sleep(limits.PING_INTERVAL_SECONDS)
            nonce = monitor.next_ping()
            if nonce is None:
                return f"it did not answer {limits.MAX_MISSED_PINGS} pings"
            with trio.move_on_after(limits.PING_INTERVAL_SECONDS) as sending:
                await stream.send(encode(Control("ping", nonce, "")))
            if sending.cancelled_caught:
                return "it takes no more bytes"


def _first_leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
