"""One encrypted link over a trio stream, carrying the channels of many cores.

A reader task turns bytes into messages; a writer task asks every channel for what it has to say whenever the link has
room. Answers are made only then, so at most SEND_BYTES (and one block) a channel are in memory for a slow peer.

Both work in portions that begin small and double while there is more: requests that come together over a link with a
latency then do not stay together, and both ends work on some of them while the others are on their way.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Protocol

import trio

from hypercore.crypto import KeyPair
from hypercore.errors import HypercoreError, LocalProtocolError, RemoteProtocolError
from hypercore.messages import PROTOCOL, PROTOCOL_ALIAS
from hypercore.protomux import Channel, ChannelClosed, ChannelMessage, ChannelOpened, Event, OpenRequested, Protomux
from hypercore.replicate import Replicator
from hypercore.replicate_peer import ReplicationPeer
from hypercore.requests import ReplicatedCore
from hypercore.secret_stream import HEADER_BYTES, SecretStream

READ_BYTES = 256 * 1024
FIRST_SEND_BYTES = 4 * 1024
SEND_BYTES = 64 * 1024
FIRST_MESSAGES = 4
MESSAGES_IN_A_ROW = 32
KEEP_ALIVE_SECONDS = 5.0
HANDSHAKE_TIMEOUT_SECONDS = 15.0
SEND_TIMEOUT_SECONDS = 60.0

Lookup = Callable[[bytes], Replicator | None]


class Link(Protocol):
    """What turns bytes into messages and back: a SecretStream, or a BridgedLink whose encryption ends elsewhere."""

    @property
    def established(self) -> bool: ...
    @property
    def handshake_hash(self) -> bytes | None: ...
    @property
    def remote_public_key(self) -> bytes | None: ...
    def data_to_send(self) -> bytes: ...
    def send(self, plaintext: bytes, /) -> bytes: ...
    def keep_alive(self) -> bytes: ...
    def receive_bytes(self, data: bytes, /) -> list[bytes]: ...


def new_key_pair() -> KeyPair:
    """A fresh random Ed25519 key pair."""
    return KeyPair.from_seed(os.urandom(32))


class Session:
    """One link to one peer. `run` drives it until either side ends it.

    `key_pair` is our identity towards the peer (a fresh one by default). `lookup(discovery_key)` says which core to
    serve when the peer asks for one that was not passed to `replicate`; None refuses. `on_established` is called when
    the handshake is done. `link` stands in for the secret stream that is made otherwise. `error` says why the link
    ended, None for an ordinary end.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        is_initiator: bool,
        key_pair: KeyPair | None = None,
        lookup: Lookup | None = None,
        on_established: Callable[[], None] | None = None,
        link: Link | None = None,
    ) -> None:
        self.is_initiator = is_initiator
        self.error: HypercoreError | OSError | None = None
        self.established = trio.Event()
        self.ended = trio.Event()
        self._stream = stream
        self._lookup = lookup
        self._on_established = on_established
        self._scope = trio.CancelScope()
        self._secret: Link = link or SecretStream(
            is_initiator=is_initiator,
            static=key_pair or new_key_pair(),
            ephemeral=new_key_pair(),
            header=os.urandom(HEADER_BYTES),
        )
        self._mux = Protomux({PROTOCOL_ALIAS: PROTOCOL})
        self._replicators: dict[bytes, Replicator] = {}
        self._peers: dict[Channel, ReplicationPeer] = {}
        self._refused: set[bytes] = set()
        self._awake = trio.Event()
        self._writing = False
        self._wrote_at_seconds = 0.0
        self._keep_alive_due = False

    @property
    def remote_public_key(self) -> bytes | None:
        """The peer's identity, once it is proven."""
        return self._secret.remote_public_key

    @property
    def peers(self) -> list[ReplicationPeer]:
        """The cores that both sides replicate over this link now."""
        return [peer for peer in self._peers.values() if peer.is_open]

    def awaits_head(self, replicator: Replicator) -> bool:
        """True while the peer was offered a core and told neither its head nor that it does not have the core."""
        return any(peer.replicator is replicator and peer.remote is None for peer in self._peers.values())

    def has_refused(self, core: ReplicatedCore) -> bool:
        """True when the peer said, perhaps before the link ended, that it does not have a core that it was offered."""
        return core.discovery_key in self._refused

    def replicate(self, replicator: Replicator) -> None:
        """Offers a core to the peer and asks it for the same; may be called again after the peer refused."""
        self._replicators[replicator.core.discovery_key] = replicator
        if self._secret.established and not self.ended.is_set():
            self._open(replicator)

    def stop_replicating(self, replicator: Replicator) -> None:
        """Closes the core's channel."""
        self._replicators.pop(replicator.core.discovery_key, None)
        for channel, peer in list(self._peers.items()):
            if peer.replicator is replicator:
                self._mux.close(channel)
                self._drop(channel)
        self._wake()

    async def run(self) -> None:
        """Drives the link until it ends. Raises RemoteProtocolError when the peer broke the rules."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    for task in (self._read, self._write, self._watch):
                        nursery.start_soon(self._guard, task, nursery.cancel_scope)
        finally:
            for channel in list(self._peers):
                self._drop(channel)
            self.ended.set()
            await trio.aclose_forcefully(self._stream)
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Ends the link; `run` returns soon after."""
        self._scope.cancel()

    @property
    def closing(self) -> bool:
        """True once `close` was called or the link ended."""
        return self._scope.cancel_called or self.ended.is_set()

    async def _guard(self, task: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
        """Runs a task; when it ends, the link does."""
        try:
            await task()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        except (HypercoreError, OSError) as problem:
            self.error = self.error or problem
        scope.cancel()

    async def _watch(self) -> None:
        """Ends the link when the handshake or a write takes too long; has the peer hear from us when we are silent."""
        with trio.move_on_after(HANDSHAKE_TIMEOUT_SECONDS):
            await self.established.wait()
        if not self.established.is_set():
            raise RemoteProtocolError(f"no handshake within {HANDSHAKE_TIMEOUT_SECONDS:g} s")
        while True:
            silent_seconds = trio.current_time() - self._wrote_at_seconds
            if self._writing and silent_seconds >= SEND_TIMEOUT_SECONDS:
                raise RemoteProtocolError(f"the peer took no data for {SEND_TIMEOUT_SECONDS:g} s")
            if not self._writing and silent_seconds >= KEEP_ALIVE_SECONDS:
                self._keep_alive_due = True
                self._wake()
            rest_seconds = KEEP_ALIVE_SECONDS - silent_seconds
            await trio.sleep(rest_seconds if rest_seconds > 0 else KEEP_ALIVE_SECONDS)

    def _establish(self) -> None:
        if self._secret.established and not self.established.is_set():
            self.established.set()
            for replicator in self._replicators.values():
                self._open(replicator)
            if self._on_established is not None:
                self._on_established()

    async def _read(self) -> None:
        self._establish()
        while data := await self._stream.receive_some(READ_BYTES):
            handled, pause_after = 0, FIRST_MESSAGES
            for plaintext in self._secret.receive_bytes(data):
                self._mux.receive(plaintext)
                while (event := self._mux.next_event()) is not None:
                    self._handle(event)
                    handled += 1
                    if handled == pause_after:
                        handled, pause_after = 0, min(2 * pause_after, MESSAGES_IN_A_ROW)
                        await trio.lowlevel.checkpoint()
            self._establish()
            self._wake()

    async def _write(self) -> None:
        portion_bytes = FIRST_SEND_BYTES
        while True:
            self._awake = trio.Event()
            data = self._collect(portion_bytes)
            if not data and self._keep_alive_due:
                data = self._secret.keep_alive()
            self._keep_alive_due = False
            if data:
                self._writing, self._wrote_at_seconds = True, trio.current_time()
                await self._stream.send_all(data)
                self._writing = False
                portion_bytes = min(2 * portion_bytes, SEND_BYTES)
            else:
                portion_bytes = FIRST_SEND_BYTES
                await self._awake.wait()
                # Everybody whom the same message woke has a say before the next portion is put together.
                await trio.lowlevel.checkpoint()

    def _collect(self, portion_bytes: int) -> bytes:
        parts = [self._secret.data_to_send()]
        if self._secret.established:
            for channel, peer in list(self._peers.items()):
                for message in peer.take(portion_bytes):
                    self._mux.send(channel, message.type, message.encode())
                if peer.closing:
                    self._mux.close(channel)
                    self._drop(channel)
            parts += [self._secret.send(plaintext) for plaintext in self._mux.flush()]
        return b"".join(parts)

    def _handle(self, event: Event) -> None:
        match event:
            case ChannelMessage(channel=channel):
                self._peers[channel].receive(event.type, event.body)
            case ChannelOpened(channel=channel):
                if channel in self._peers:
                    self._peers[channel].opened(event.handshake)
            case ChannelClosed(channel=channel, rejected=rejected):
                if rejected:
                    self._refused.add(channel.id)
                self._drop(channel)
            case OpenRequested():
                self._answer_open(event)

    def _answer_open(self, event: OpenRequested) -> None:
        replicator = None
        if event.protocol == PROTOCOL:
            replicator = self._replicators.get(event.id)
            if replicator is None and self._lookup is not None:
                replicator = self._lookup(event.id)
        if replicator is None:
            self._mux.reject(event.protocol, event.id)
        else:
            self._open(replicator)

    def _open(self, replicator: Replicator) -> None:
        if any(peer.replicator is replicator for peer in self._peers.values()):
            return
        handshake_hash = self._secret.handshake_hash
        if handshake_hash is None:
            raise LocalProtocolError("the handshake is not complete")
        peer = ReplicationPeer(
            replicator, is_initiator=self.is_initiator, handshake_hash=handshake_hash, wake=self._wake
        )
        self._refused.discard(replicator.core.discovery_key)
        channel = self._mux.open(PROTOCOL, replicator.core.discovery_key, peer.handshake())
        self._peers[channel] = peer
        self._wake()

    def _drop(self, channel: Channel) -> None:
        peer = self._peers.pop(channel, None)
        if peer is not None:
            peer.closed()
            peer.replicator.peers_changed()

    def _wake(self) -> None:
        self._awake.set()
