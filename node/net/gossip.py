"""Notification streams: one long-lived stream per peer, direction and kind of message, and flooding over them.

A message is an opaque item of bytes of a kind. Each host opens a stream per kind to each peer and sends batches of
items down it; everything that is queued for a peer goes out in one write. What arrives for the first time is judged by
the kind's validator, and what it accepts is passed on to every other peer, once.
"""

from __future__ import annotations

import enum
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

import trio

from node import limits
from node.net.cbor import InvalidMessage, decode, encode
from node.net.frames import FrameStream, FrameTooLarge
from node.net.host import Host
from node.net.messages import Batch, chain_protocol
from node.net.peers import Offence
from node.net.rate import TokenBucket
from node.net.session import Session, Sessions

BATCH_FRAMING_BYTES = 16  # generous for the map, the list and the length of the first item
ITEM_FRAMING_BYTES = 5


class Verdict(enum.Enum):
    """What a validator thinks of an item."""

    ACCEPT = "pass it on"
    IGNORE = "neither pass it on nor blame the sender"
    REJECT = "it can never be valid: an offence of the sender"


Validator = Callable[[list[bytes], str], Awaitable[Sequence[Verdict]]]


@dataclass(frozen=True)
class Kind:
    """A kind of message: its name in the protocol id, its bounds, and its judge.

    `validate(items, peer_id)` gets the new items of one batch and returns a verdict for each.
    """

    name: str
    validate: Validator
    max_queued_items: int
    items_per_second: float
    burst_items: float


class SeenCache:
    """Remembers the last so many messages by hash."""

    def __init__(self, max_messages: int = limits.MAX_SEEN_MESSAGES) -> None:
        self._max_messages = max_messages
        self._seen: dict[bytes, None] = {}

    def add(self, kind: str, item: bytes) -> bool:
        """Remember an item. Returns False when it is remembered already."""
        digest = hashlib.blake2b(item, digest_size=16, person=kind.encode()[:16]).digest()
        if digest in self._seen:
            return False
        if len(self._seen) >= self._max_messages:
            del self._seen[next(iter(self._seen))]
        self._seen[digest] = None
        return True


class Outbox:
    """The items that wait for one peer; when full, the oldest go first and are counted."""

    def __init__(self, max_items: int, max_bytes: int = limits.MAX_QUEUED_BYTES) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._items: deque[bytes] = deque()
        self._bytes = 0
        self._filled = trio.Event()
        self.dropped = 0

    def put(self, items: Iterable[bytes]) -> None:
        """Queue items, at the price of the oldest when there is no room."""
        for item in items:
            self._items.append(item)
            self._bytes += len(item)
        while len(self._items) > self._max_items or self._bytes > self._max_bytes:
            self._bytes -= len(self._items.popleft())
            self.dropped += 1
        if self._items:
            self._filled.set()

    async def take(self) -> list[bytes]:
        """Wait until something is queued and return everything, as encoded batches of bounded size."""
        await self._filled.wait()
        self._filled = trio.Event()
        frames: list[bytes] = []
        batch: list[bytes] = []
        size = BATCH_FRAMING_BYTES
        for item in self._items:
            cost = len(item) + ITEM_FRAMING_BYTES
            if batch and (size + cost > limits.MAX_BATCH_BYTES or len(batch) >= limits.MAX_BATCH_ITEMS):
                frames.append(encode(Batch(tuple(batch))))
                batch, size = [], BATCH_FRAMING_BYTES
            batch.append(item)
            size += cost
        frames.append(encode(Batch(tuple(batch))))
        self._items.clear()
        self._bytes = 0
        return frames


class Gossip:
    """Sends, receives, judges and passes on messages of a fixed set of kinds on one host."""

    def __init__(
        self,
        host: Host,
        genesis_hash: bytes,
        kinds: Sequence[Kind],
        sessions: Sessions,
        offend: Callable[[str, Offence, str], None],
    ) -> None:
        self._host = host
        self._genesis_hash = genesis_hash
        self._kinds = {kind.name: kind for kind in kinds}
        self._sessions = sessions
        self._offend = offend
        self._seen = SeenCache()
        self._outboxes: dict[str, dict[str, Outbox]] = {}
        for kind in kinds:
            host.handle(self._protocol(kind), self._reader_of(kind))

    def begin(self, session: Session) -> None:
        """Start queueing for a peer, before its streams are open."""
        self._outboxes[session.peer_id] = {kind.name: Outbox(kind.max_queued_items) for kind in self._kinds.values()}

    def end(self, session: Session) -> None:
        """Forget what waits for a peer."""
        self._outboxes.pop(session.peer_id, None)

    def broadcast(self, kind: str, items: Sequence[bytes], *, not_to: str | None = None) -> None:
        """Queue items for every peer but one. They count as seen, so an echo is not passed on again."""
        for item in items:
            self._seen.add(kind, item)
        for peer_id, outboxes in self._outboxes.items():
            if peer_id != not_to:
                outboxes[kind].put(items)

    def send(self, kind: str, items: Sequence[bytes], peer_id: str) -> None:
        """Queue items for one peer; does nothing when it is gone."""
        outboxes = self._outboxes.get(peer_id)
        if outboxes is not None:
            outboxes[kind].put(items)

    async def serve(self, session: Session) -> None:
        """Open the streams to a peer and write what is queued for it, until one of them breaks (PeerGone)."""
        outboxes = self._outboxes[session.peer_id]
        async with trio.open_nursery() as nursery:
            for kind in self._kinds.values():
                nursery.start_soon(self._write, session.peer_id, kind, outboxes[kind.name])

    async def _write(self, peer_id: str, kind: Kind, outbox: Outbox) -> None:
        stream = await self._host.open_stream(peer_id, self._protocol(kind))
        async with stream:
            while True:
                await stream.send_many(await outbox.take())

    def _reader_of(self, kind: Kind) -> Callable[[FrameStream, str], Awaitable[None]]:
        async def read(stream: FrameStream, peer_id: str) -> None:
            if await self._sessions.wait_for(peer_id) is None:
                return
            bucket = TokenBucket(kind.items_per_second, kind.burst_items, trio.current_time())
            while True:
                try:
                    frame = await stream.receive()
                except FrameTooLarge as error:
                    self._offend(peer_id, Offence.FrameTooLarge, str(error))
                    raise  # resets the stream: its writer must not wait for a reader that has left
                try:
                    batch = decode(Batch, frame)
                except InvalidMessage as error:
                    self._offend(peer_id, Offence.Undecodable, f"{kind.name}: {error}")
                    continue
                if bucket.take(max(1, len(batch.items)), trio.current_time()):
                    await self._receive(kind, batch.items, peer_id)
                else:
                    self._offend(peer_id, Offence.Flood, f"{kind.name}: over {kind.items_per_second} a second")

        return read

    async def _receive(self, kind: Kind, items: Sequence[bytes], peer_id: str) -> None:
        fresh = [item for item in items if self._seen.add(kind.name, item)]
        if not fresh:
            return
        verdicts = await kind.validate(fresh, peer_id)
        accepted = [item for item, verdict in zip(fresh, verdicts, strict=True) if verdict is Verdict.ACCEPT]
        if accepted:
            self.broadcast(kind.name, accepted, not_to=peer_id)
        rejected = sum(verdict is Verdict.REJECT for verdict in verdicts)
        for _ in range(rejected):
            self._offend(peer_id, Offence.RejectedItem, kind.name)

    def _protocol(self, kind: Kind) -> str:
        return chain_protocol(self._genesis_hash, kind.name)
