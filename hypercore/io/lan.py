"""Finding peers on the local network: questions and answers over UDP multicast, never routed further.

    packet      magic (6: "hclan" and version 1), kind (1), sender (8 random bytes of the process), count (1), items
    question    items are discovery keys (32 bytes); sent to the group, repeated for as long as a lookup lasts
    answer      items are a discovery key and the TCP port (2, little endian) that replicates it; sent to whoever asked,
                and to the group when a core is announced

The host of an endpoint is the address that the packet came from, so an answer can only ever point to its own sender.
Nothing in a packet is believed beyond that: a wrong peer fails at the proof that it knows the core's key.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import IntEnum

import trio

from hypercore.io.swarm import DiscoveryFailed, Endpoint

log = logging.getLogger(__name__)

GROUP = "239.255.104.99"
PORT = 49_731
LOOPBACK = "127.0.0.1"
ANY = "0.0.0.0"
"""As an interface: the one that the system picks for multicast."""

MAGIC = b"hclan\x01"
KEY_BYTES = 32
SENDER_BYTES = 8
MAX_ITEMS = 16
MAX_PACKET_BYTES = 1024
MAX_ANNOUNCED = 8192
MAX_LOOKUPS = 256
MAX_WAITING_ANSWERS = 64
MAX_PACKETS_PER_SECOND = 500
ANNOUNCE_SECONDS = 60.0
QUESTION_SECONDS = (0.0, 0.5, 1.0)
LOOKUP_SECONDS = 2.0

_HEADER = struct.Struct(f"<{len(MAGIC)}sB{SENDER_BYTES}sB")
_IP_MULTICAST_ALL = 49  # Linux; without it a socket hears groups that other sockets joined, on other interfaces


class Kind(IntEnum):
    """What a packet is."""

    QUESTION = 1
    ANSWER = 2


@dataclass(frozen=True, slots=True)
class Packet:
    """A question (`ports` empty) or an answer (as many ports as keys)."""

    kind: Kind
    sender: bytes
    keys: tuple[bytes, ...]
    ports: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """The bytes of the packet."""
        parts = [_HEADER.pack(MAGIC, self.kind, self.sender, len(self.keys))]
        if self.kind is Kind.QUESTION:
            parts += self.keys
        else:
            parts += [key + port.to_bytes(2, "little") for key, port in zip(self.keys, self.ports, strict=True)]
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> Packet | None:
        """Inverse of `encode`; None for anything else."""
        if len(data) < _HEADER.size:
            return None
        magic, kind, sender, count = _HEADER.unpack_from(data)
        if magic != MAGIC or kind not in (Kind.QUESTION, Kind.ANSWER) or not 0 < count <= MAX_ITEMS:
            return None
        size = KEY_BYTES if kind == Kind.QUESTION else KEY_BYTES + 2
        if len(data) != _HEADER.size + count * size:
            return None
        items = [data[start : start + size] for start in range(_HEADER.size, len(data), size)]
        keys = tuple(item[:KEY_BYTES] for item in items)
        ports = tuple(int.from_bytes(item[KEY_BYTES:], "little") for item in items if kind == Kind.ANSWER)
        return None if 0 in ports else cls(Kind(kind), sender, keys, ports)


class LanDiscovery:
    """Announces and finds cores on the local network; made by `open_lan`. Up to MAX_ANNOUNCED announcements."""

    def __init__(self, group_socket: trio.socket.SocketType, senders: dict[str, trio.socket.SocketType]) -> None:
        self.port: int = group_socket.getsockname()[1]
        self._group_socket = group_socket
        self._senders = senders
        self._id = os.urandom(SENDER_BYTES)
        self._announced: dict[bytes, dict[int, None]] = {}
        self._lookups: dict[bytes, list[trio.MemorySendChannel[Endpoint]]] = {}
        self._second = 0.0
        self._packets_this_second = 0

    async def announce(self, discovery_key: bytes, port: int) -> float:
        """Tells the group once, and answers questions from now on until `withdraw`."""
        ports = self._announced.setdefault(discovery_key, {})
        if port not in ports and sum(map(len, self._announced.values())) >= MAX_ANNOUNCED:
            raise DiscoveryFailed(f"more than {MAX_ANNOUNCED} announcements on the local network")
        ports[port] = None
        await self._tell_group(Packet(Kind.ANSWER, self._id, (discovery_key,), (port,)))
        return ANNOUNCE_SECONDS

    def withdraw(self, discovery_key: bytes, port: int) -> None:
        """Answers no more."""
        ports = self._announced.get(discovery_key, {})
        ports.pop(port, None)
        if not ports:
            self._announced.pop(discovery_key, None)

    async def lookup(self, discovery_key: bytes) -> AsyncIterator[Endpoint]:
        """What others answer within LOOKUP_SECONDS, each endpoint once."""
        if sum(map(len, self._lookups.values())) >= MAX_LOOKUPS:
            raise DiscoveryFailed(f"more than {MAX_LOOKUPS} lookups at once")
        send, receive = trio.open_memory_channel[Endpoint](MAX_WAITING_ANSWERS)
        self._lookups.setdefault(discovery_key, []).append(send)
        question = Packet(Kind.QUESTION, self._id, (discovery_key,))
        began = trio.current_time()
        seen: set[Endpoint] = set()
        try:
            for after, until in zip(QUESTION_SECONDS, (*QUESTION_SECONDS[1:], LOOKUP_SECONDS), strict=True):
                await trio.sleep_until(began + after)
                await self._tell_group(question)
                while (endpoint := await _next_before(receive, began + until)) is not None:
                    if endpoint not in seen:
                        seen.add(endpoint)
                        yield endpoint
        finally:
            self._lookups[discovery_key].remove(send)
            if not self._lookups[discovery_key]:
                del self._lookups[discovery_key]

    async def _tell_group(self, packet: Packet) -> None:
        problems = []
        for sender in self._senders.values():
            try:
                await sender.sendto(packet.encode(), (GROUP, self.port))
            except OSError as error:  # no route: a machine without a network still finds what runs on itself
                problems.append(error)
        if len(problems) == len(self._senders):
            raise DiscoveryFailed(f"no packet can be sent on the local network: {problems[0]}") from problems[0]

    async def _listen(self, source: trio.socket.SocketType) -> None:
        while True:
            try:
                data, (host, port) = await source.recvfrom(MAX_PACKET_BYTES)
            except ConnectionError:  # an answer of ours met a closed port
                continue
            packet = Packet.decode(data)
            if packet is None or packet.sender == self._id or not self._may_take_packet():
                continue
            if packet.kind is Kind.ANSWER:
                self._take_answer(packet, host)
            else:
                await self._answer(packet, host, port)

    def _may_take_packet(self) -> bool:
        now = trio.current_time()
        if now - self._second >= 1:
            self._second, self._packets_this_second = now, 0
        self._packets_this_second += 1
        return self._packets_this_second <= MAX_PACKETS_PER_SECOND

    def _take_answer(self, packet: Packet, host: str) -> None:
        for key, port in zip(packet.keys, packet.ports, strict=True):
            for waiting in self._lookups.get(key, ()):
                try:
                    waiting.send_nowait(Endpoint(host, port))
                except trio.WouldBlock:
                    log.debug("more answers than are waited for")

    async def _answer(self, question: Packet, host: str, port: int) -> None:
        """Sends at most MAX_ITEMS items, so that a forged sender address does not make us a loudspeaker."""
        found = [(key, one) for key in question.keys for one in self._announced.get(key, ())][:MAX_ITEMS]
        if not found:
            return
        answer = Packet(Kind.ANSWER, self._id, tuple(key for key, _ in found), tuple(one for _, one in found))
        loopback = host.startswith("127.")
        for interface, sender in self._senders.items():
            if (interface == LOOPBACK) == loopback:
                try:
                    await sender.sendto(answer.encode(), (host, port))
                except OSError as error:
                    log.debug("an answer to %s could not be sent: %s", host, error)
                return


async def _next_before(receive: trio.MemoryReceiveChannel[Endpoint], deadline: float) -> Endpoint | None:
    with trio.move_on_at(deadline) as waiting:
        endpoint = await receive.receive()
    return None if waiting.cancelled_caught else endpoint


def interfaces_of(listen_host: str) -> tuple[str, ...]:
    """Where a TCP port that listens on `listen_host` can be reached: loopback, one address, or all of the machine."""
    if listen_host in ("", ANY, "::"):
        return (LOOPBACK, ANY)
    try:
        packed = socket.inet_aton(listen_host)
    except OSError:
        return (LOOPBACK,)
    return (LOOPBACK,) if packed[0] == 127 else (listen_host,)


@asynccontextmanager
async def open_lan(interfaces: Sequence[str] = (LOOPBACK, ANY), *, port: int = PORT) -> AsyncIterator[LanDiscovery]:
    """Discovery on the networks of these interfaces (IPv4 addresses of ours) while the block of code runs.

    `port` is the UDP port of the group, the same for all who are to find each other; 0 picks one, see `.port`.
    Raises DiscoveryFailed when multicast works on none of the interfaces.
    """
    sockets: list[trio.socket.SocketType] = []
    failure: Exception | None = None
    try:
        group_socket = _group_socket(sockets)
        try:
            await group_socket.bind((GROUP if sys.platform != "win32" else ANY, port))
        except OSError as error:
            raise DiscoveryFailed(f"UDP port {port} cannot be used for local discovery: {error}") from error
        senders = {}
        for interface in interfaces:
            try:
                senders[interface] = await _sender_socket(sockets, group_socket, interface)
            except OSError as error:
                log.debug("no local discovery on %s: %s", interface, error)
        if not senders:
            raise DiscoveryFailed(f"multicast works on none of {', '.join(interfaces)}")
        async with trio.open_nursery() as nursery:
            lan = LanDiscovery(group_socket, senders)
            for one in (group_socket, *senders.values()):
                nursery.start_soon(lan._listen, one)
            try:
                yield lan
            except Exception as problem:  # raised again below, outside of the nursery, which would wrap it in a group
                failure = problem
            nursery.cancel_scope.cancel()
    finally:
        for one in sockets:
            one.close()
    if failure is not None:
        raise failure


def _group_socket(sockets: list[trio.socket.SocketType]) -> trio.socket.SocketType:
    group_socket = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sockets.append(group_socket)
    group_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sys.platform == "linux":
        group_socket.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
    elif reuse_port := getattr(socket, "SO_REUSEPORT", None):
        group_socket.setsockopt(socket.SOL_SOCKET, reuse_port, 1)
    return group_socket


async def _sender_socket(
    sockets: list[trio.socket.SocketType], group_socket: trio.socket.SocketType, interface: str
) -> trio.socket.SocketType:
    address = socket.inet_aton(interface)
    group_socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + address)
    sender = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sockets.append(sender)
    await sender.bind((interface, 0))
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 1)
    if interface != ANY:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, address)
    return sender
