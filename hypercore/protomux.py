"""Many channels over one message stream: Hypercore's Protomux, as a machine without IO.

Plaintext messages of the secret stream go in through `receive`, events come out of `next_event`, and what is to be sent
collects until `flush` hands it back as plaintext messages. A channel is named by (protocol, id); it is open once both
sides sent an "open" for that name, in either order.

    channel 0, type 0   batch:  channel id, then per item its length and bytes; length 0 switches the channel
    channel 0, type 1   open:   sender's channel id, protocol, id, handshake
    channel 0, type 2   reject: receiver's channel id
    channel 0, type 3   close:  sender's channel id
    channel n, type t   a message of that channel

Source: protomux 3 as used by Hypercore 11.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from hypercore.encoding import Reader, Writer, encode_uint
from hypercore.errors import LocalProtocolError, RemoteProtocolError

MAX_CHANNELS = 4096
MAX_UNANSWERED_BYTES = 32 * 1024
MAX_NAME_BYTES = 1024
BATCH_BYTES = 256 * 1024
BATCH_ITEM_BYTES = 16 * 1024

_CONTROL = 0
_BATCH, _OPEN, _REJECT, _CLOSE = range(4)
_BATCH_PREFIX = bytes((_CONTROL, _BATCH))

Name = tuple[str, bytes]


@dataclass(eq=False, slots=True)
class Channel:
    """One channel as we see it; `opened` once both sides want it, `closed` for good after a close or reject."""

    protocol: str
    id: bytes
    local_id: int
    remote_id: int = 0
    closed: bool = False
    closed_here: bool = False

    @property
    def opened(self) -> bool:
        """True while messages flow both ways."""
        return self.remote_id != 0 and not self.closed


@dataclass(frozen=True, slots=True)
class OpenRequested:
    """The peer wants a channel that we did not open: answer with `Protomux.open` or `Protomux.reject`."""

    protocol: str
    id: bytes


@dataclass(frozen=True, slots=True)
class ChannelOpened:
    """Both sides opened the channel; `handshake` is what the peer put into its open."""

    channel: Channel
    handshake: bytes


@dataclass(frozen=True, slots=True)
class ChannelMessage:
    """A message of an open channel."""

    channel: Channel
    type: int
    body: bytes


@dataclass(frozen=True, slots=True)
class ChannelClosed:
    """The peer closed (`rejected` False) or refused to open (`rejected` True) the channel."""

    channel: Channel
    rejected: bool


Event = OpenRequested | ChannelOpened | ChannelMessage | ChannelClosed


@dataclass(eq=False, slots=True)
class _RemoteOpen:
    """A channel id of the peer: either paired with a channel of ours, or unanswered with its messages kept."""

    name: Name
    handshake: bytes
    channel: Channel | None = None
    waiting: list[tuple[int, bytes]] = field(default_factory=list)


class Protomux:
    """The channel tables of both sides of one stream. After a RemoteProtocolError the stream is unusable.

    `aliases` maps other names under which a peer may open a protocol to the name that we use.
    """

    def __init__(self, aliases: Mapping[str, str] | None = None, max_channels: int = MAX_CHANNELS) -> None:
        self._aliases = dict(aliases or {})
        self._max_channels = max_channels
        self._local: dict[int, Channel] = {}
        self._by_name: dict[Name, Channel] = {}
        self._remote: dict[int, _RemoteOpen] = {}
        self._unanswered: dict[Name, int] = {}
        self._awaiting: dict[Name, deque[int]] = {}
        self._free: list[int] = []
        self._next_local_id = 1
        self._highest_remote_id = 0
        self._unanswered_bytes = 0
        self._events: deque[Event] = deque()
        self._outgoing: list[tuple[int, bytes]] = []

    def open(self, protocol: str, id: bytes, handshake: bytes = b"") -> Channel:
        """Opens our half of a channel; pairs at once when the peer asked for it before."""
        name = (protocol, id)
        if name in self._by_name:
            raise LocalProtocolError(f"channel {protocol!r} with this id is already open")
        if len(self._local) >= self._max_channels:
            raise LocalProtocolError(f"more than {self._max_channels} channels on one stream")
        channel = Channel(protocol, id, self._take_local_id())
        self._local[channel.local_id] = channel
        self._by_name[name] = channel
        body = Writer().uint(channel.local_id).string(protocol).optional_buffer(id).raw(handshake).finish()
        self._control(_OPEN, body)
        remote_id = self._unanswered.pop(name, 0)
        if remote_id:
            self._pair(channel, remote_id, self._remote[remote_id])
        else:
            self._awaiting.setdefault(name, deque()).append(channel.local_id)
        return channel

    def reject(self, protocol: str, id: bytes) -> None:
        """Refuses a channel that the peer asked for."""
        remote_id = self._unanswered.pop((protocol, id), 0)
        if not remote_id:
            raise LocalProtocolError(f"the peer did not ask for channel {protocol!r} with this id")
        self._forget_remote(remote_id)
        self._control(_REJECT, encode_uint(remote_id))

    def close(self, channel: Channel) -> None:
        """Ends a channel for both sides; a second close does nothing."""
        if channel.closed:
            return
        self._control(_CLOSE, encode_uint(channel.local_id))
        channel.closed_here = True
        self._end(channel)

    def send(self, channel: Channel, type: int, body: bytes) -> None:
        """Queues a message until the next `flush`; dropped when the channel is closed."""
        if channel.closed:
            return
        if not channel.opened:
            raise LocalProtocolError("the peer has not opened the channel")
        self._outgoing.append((channel.local_id, encode_uint(type) + body))

    def flush(self) -> list[bytes]:
        """What was queued, as plaintext messages in order; small neighbours travel in one batch."""
        messages: list[bytes] = []
        batch: list[tuple[int, bytes]] = []
        size = 0
        for local_id, payload in self._outgoing:
            large = len(payload) > BATCH_ITEM_BYTES
            if batch and (large or size + len(payload) > BATCH_BYTES):
                messages.append(_encode_batch(batch))
                batch, size = [], 0
            if large:
                messages.append(encode_uint(local_id) + payload)
            else:
                batch.append((local_id, payload))
                size += len(payload)
        if batch:
            messages.append(_encode_batch(batch))
        self._outgoing.clear()
        return messages

    def receive(self, message: bytes) -> None:
        """Takes one plaintext message; its effects are read with `next_event`."""
        reader = Reader(message)
        self._receive_one(reader.uint(), reader)

    def next_event(self) -> Event | None:
        """The oldest event not read yet, without what has no meaning any more.

        That is a message of a channel that we have closed since, and a request that the peer has taken back.
        """
        while self._events:
            event = self._events.popleft()
            match event:
                case ChannelMessage(channel=channel) if channel.closed_here:
                    continue
                case OpenRequested(protocol=protocol, id=id) if (protocol, id) not in self._unanswered:
                    continue
            return event
        return None

    def _receive_one(self, remote_id: int, reader: Reader) -> None:
        type = reader.uint()
        if remote_id == _CONTROL:
            self._receive_control(type, reader)
            return
        remote = self._remote.get(remote_id)
        if remote is None:
            return
        body = reader.rest()
        if remote.channel is not None:
            self._events.append(ChannelMessage(remote.channel, type, body))
            return
        remote.waiting.append((type, body))
        self._unanswered_bytes += 1 + len(body)
        if self._unanswered_bytes > MAX_UNANSWERED_BYTES:
            raise RemoteProtocolError(f"over {MAX_UNANSWERED_BYTES} bytes of messages for channels not answered yet")

    def _receive_control(self, type: int, reader: Reader) -> None:
        if type == _BATCH:
            self._receive_batch(reader)
        elif type == _OPEN:
            self._receive_open(reader)
        elif type == _REJECT:
            self._receive_reject(reader.uint())
        elif type == _CLOSE:
            self._receive_close(reader.uint())

    def _receive_batch(self, reader: Reader) -> None:
        remote_id = reader.uint()
        while not reader.at_end:
            item = reader.buffer()
            if not item:
                remote_id = reader.uint()
            elif remote_id == _CONTROL and item[0] == _BATCH:
                raise RemoteProtocolError("a batch inside a batch")
            else:
                self._receive_one(remote_id, Reader(item))

    def _receive_open(self, reader: Reader) -> None:
        remote_id = reader.uint()
        protocol = reader.string(MAX_NAME_BYTES)
        id = reader.optional_buffer(MAX_NAME_BYTES) or b""
        name = (self._aliases.get(protocol, protocol), id)
        if remote_id == _CONTROL:
            self._control(_REJECT, encode_uint(_CONTROL))
            return
        if remote_id > self._highest_remote_id + 1:
            raise RemoteProtocolError(f"channel id {remote_id} skips {self._highest_remote_id + 1}")
        if remote_id in self._remote:
            raise RemoteProtocolError(f"channel id {remote_id} is opened twice")
        if len(self._remote) >= self._max_channels:
            raise RemoteProtocolError(f"more than {self._max_channels} channels on one stream")
        self._highest_remote_id = max(self._highest_remote_id, remote_id)
        local_id = self._answered(name)
        channel = self._local.get(local_id)
        if local_id and channel is None:
            # JavaScript has ignored our close, since its half was not open then.
            self._control(_CLOSE, encode_uint(local_id))
            self._free.append(local_id)
            return
        if channel is None and (name in self._by_name or name in self._unanswered):
            self._control(_REJECT, encode_uint(remote_id))
            return
        remote = self._remote[remote_id] = _RemoteOpen(name, reader.rest())
        if channel is not None:
            self._pair(channel, remote_id, remote)
        else:
            self._unanswered[name] = remote_id
            self._events.append(OpenRequested(*name))

    def _receive_reject(self, local_id: int) -> None:
        name = next((name for name, awaiting in self._awaiting.items() if local_id in awaiting), None)
        if name is None:
            raise RemoteProtocolError(f"the peer rejects channel {local_id}, which is not waiting for an answer")
        self._answered(name, local_id)
        self._free.append(local_id)
        channel = self._local.get(local_id)
        if channel is not None:
            self._end(channel)
            self._events.append(ChannelClosed(channel, rejected=True))

    def _receive_close(self, remote_id: int) -> None:
        remote = self._remote.get(remote_id)
        if remote is None:
            return
        if remote.channel is not None:
            self._end(remote.channel)
            self._events.append(ChannelClosed(remote.channel, rejected=False))
        else:
            self.reject(*remote.name)  # each open gets an answer, or the peer takes the next one for it

    def _answered(self, name: Name, local_id: int | None = None) -> int:
        """Takes the number of the open that the peer's answer belongs to, the oldest unless it is told; 0 for none."""
        awaiting = self._awaiting.get(name)
        if awaiting is None:
            return 0
        local_id = local_id or awaiting[0]
        awaiting.remove(local_id)
        if not awaiting:
            del self._awaiting[name]
        return local_id

    def _pair(self, channel: Channel, remote_id: int, remote: _RemoteOpen) -> None:
        channel.remote_id = remote_id
        remote.channel = channel
        self._events.append(ChannelOpened(channel, remote.handshake))
        for type, body in remote.waiting:
            self._unanswered_bytes -= 1 + len(body)
            self._events.append(ChannelMessage(channel, type, body))
        remote.waiting = []

    def _end(self, channel: Channel) -> None:
        channel.closed = True
        del self._local[channel.local_id]
        del self._by_name[(channel.protocol, channel.id)]
        if channel.remote_id:
            self._forget_remote(channel.remote_id)
            self._free.append(channel.local_id)

    def _forget_remote(self, remote_id: int) -> None:
        remote = self._remote.pop(remote_id)
        self._unanswered_bytes -= sum(1 + len(body) for _, body in remote.waiting)

    def _take_local_id(self) -> int:
        if self._free:
            return self._free.pop()
        self._next_local_id += 1
        return self._next_local_id - 1

    def _control(self, type: int, body: bytes) -> None:
        self._outgoing.append((_CONTROL, encode_uint(type) + body))


def _encode_batch(items: list[tuple[int, bytes]]) -> bytes:
    if len(items) == 1:
        return encode_uint(items[0][0]) + items[0][1]
    current = items[0][0]
    parts = [_BATCH_PREFIX, encode_uint(current)]
    for local_id, payload in items:
        if local_id != current:
            current = local_id
            parts += (b"\x00", encode_uint(current))
        parts += (encode_uint(len(payload)), payload)
    return b"".join(parts)
