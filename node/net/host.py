"""A libp2p host with one identity: who it is, whom it is connected to, and streams of frames between them.

The rest of the node sees peers as base58 peer ids (`str`) and addresses as multiaddr text; py-libp2p stays behind this
module and `libp2p_compat`, and is imported when the first host starts.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from node import limits
from node.net.frames import FrameStream, FrameTooLarge, PeerGone, root_cause
from node.net.identity import InvalidPeerId, noise_key_of, peer_id_of

__all__ = [
    "DialFailed",
    "FrameStream",
    "FrameTooLarge",
    "Host",
    "InvalidPeerId",
    "ListenFailed",
    "PeerGone",
    "noise_key_of",
    "peer_id_of",
]

log = logging.getLogger(__name__)

Handler = Callable[[FrameStream, str], Awaitable[None]]
PeerCallback = Callable[[str], None]


class ListenFailed(Exception):
    """The host cannot listen on the address that it was given."""


class DialFailed(Exception):
    """A peer could not be reached, did not prove its identity, or is banned."""


class Host:
    """One libp2p identity on one TCP port. Made by `Host.start`."""

    def __init__(self, seed: bytes, listen: tuple[str, int]) -> None:
        from multiaddr import Multiaddr

        from node.net import libp2p_compat

        name, port = listen
        family = "ip6" if ":" in name else "ip4"
        self._listen = Multiaddr(f"/{family}/{name}/tcp/{port}")
        self._host = libp2p_compat.build_host(seed, [self._listen])
        self.peer_id: str = str(self._host.get_id())
        self.noise_key: bytes = noise_key_of(self.peer_id)
        self._banned: set[str] = set()
        self._on_connected: list[PeerCallback] = []
        self._on_disconnected: list[PeerCallback] = []

    @classmethod
    @asynccontextmanager
    async def start(cls, seed: bytes, listen: tuple[str, int]) -> AsyncIterator[Host]:
        """Run a host with the ed25519 `seed` (32 bytes) listening on `listen` (host, port; port 0 picks one).

        Raises ListenFailed when the port is taken or the address is not ours.
        """
        _check_port_is_free(listen)
        host = cls(seed, listen)
        host._host.get_network().register_notifee(_Notifee(host))
        async with host._host.run(listen_addrs=[host._listen]):
            if not host.addresses:
                raise ListenFailed(f"cannot listen on {listen[0]}:{listen[1]}")
            try:
                yield host
            finally:
                await host._close()

    @property
    def library_host(self) -> Any:
        """The py-libp2p host underneath, for `node.net.mesh` only."""
        return self._host

    @property
    def addresses(self) -> tuple[str, ...]:
        """The multiaddrs on which this host listens, each ending in `/p2p/<peer id>`."""
        listeners = self._host.get_network().listeners.values()
        found = {str(address) for listener in listeners for address in listener.get_addrs()}
        return tuple(f"{address}/p2p/{self.peer_id}" for address in sorted(found))

    @property
    def connected_peers(self) -> tuple[str, ...]:
        """The peer ids with a live connection, in order of connection."""
        return tuple(str(peer) for peer, connections in self._host.get_network().connections.items() if connections)

    def is_connected(self, peer_id: str) -> bool:
        """Say whether there is a live connection to `peer_id`."""
        return bool(self._host.get_network().connections.get(_peer_object(peer_id)))

    def open_streams(self, peer_id: str) -> int:
        """Count the streams in use with `peer_id`, in both directions."""
        connections = self._host.get_network().connections.get(_peer_object(peer_id), ())
        return sum(len(connection.get_streams()) for connection in connections)

    def on_connected(self, callback: PeerCallback) -> None:
        """Call `callback(peer_id)` whenever a connection, inbound or outbound, is ready for streams."""
        self._on_connected.append(callback)

    def on_disconnected(self, callback: PeerCallback) -> None:
        """Call `callback(peer_id)` whenever the last connection to a peer is gone."""
        self._on_disconnected.append(callback)

    async def connect(self, address: str) -> str:
        """Connect to a multiaddr ending in `/p2p/<peer id>` and return that peer id. Does nothing when connected.

        Raises DialFailed; a multiaddr or peer id that cannot be read is a DialFailed too.
        """
        from libp2p.peer.peerinfo import info_from_p2p_addr
        from multiaddr import Multiaddr

        from node.net import libp2p_compat

        try:
            info = info_from_p2p_addr(Multiaddr(address))
        except Exception as error:
            raise DialFailed(f"not a multiaddr of a peer: {address[:200]!r}") from error
        peer_id = str(info.peer_id)
        if peer_id == self.peer_id:
            raise DialFailed(f"{address} is this host itself")
        if peer_id in self._banned:
            raise DialFailed(f"{peer_id} is banned")
        libp2p_compat.forget_failed_dial(self._host, info.peer_id)
        peerstore = self._host.get_peerstore()
        if not self.is_connected(peer_id) and info.peer_id in peerstore.peer_ids():
            peerstore.clear_addrs(info.peer_id)  # an old address must not be dialled in place of this one
        try:
            with trio.fail_after(limits.DIAL_TIMEOUT_SECONDS):
                await self._host.connect(info)
        except (Exception, trio.TooSlowError) as error:
            raise DialFailed(f"cannot reach {address}: {root_cause(error)}") from error
        return peer_id

    async def open_stream(
        self, peer_id: str, protocol: str, *, max_frame_bytes: int = limits.MAX_FRAME_BYTES
    ) -> FrameStream:
        """Open a stream of frames to a connected peer. Raises PeerGone when it is gone or does not speak `protocol`."""
        from libp2p.custom_types import TProtocol

        if not self.is_connected(peer_id):
            raise PeerGone(f"not connected to {peer_id}")
        try:
            with trio.fail_after(limits.OPEN_STREAM_TIMEOUT_SECONDS):
                stream = await self._host.new_stream(_peer_object(peer_id), [TProtocol(protocol)])
        except (Exception, trio.TooSlowError) as error:
            raise PeerGone(f"{peer_id} does not open {protocol}: {root_cause(error)}") from error
        return FrameStream(stream, peer_id, max_frame_bytes)

    def handle(self, protocol: str, handler: Handler, *, max_frame_bytes: int = limits.MAX_FRAME_BYTES) -> None:
        """Call `handler(stream, remote_peer_id)` in a task of its own for each stream that a peer opens.

        The stream is closed when the handler returns and reset when it raises; PeerGone and FrameTooLarge are expected,
        everything else is logged as our error. The task ends with the connection.
        """
        from libp2p.custom_types import TProtocol

        async def serve(raw: Any) -> None:
            peer_id = str(raw.muxed_conn.peer_id)
            stream = FrameStream(raw, peer_id, max_frame_bytes)
            if peer_id in self._banned:
                await stream.reset()
                return
            try:
                async with stream:
                    await handler(stream, peer_id)
            except* (PeerGone, FrameTooLarge) as group:
                log.debug("%s with %s ended: %s", protocol, peer_id, group.exceptions)
            except* Exception:
                log.exception("handler of %s failed", protocol)

        self._host.set_stream_handler(TProtocol(protocol), serve)

    async def disconnect(self, peer_id: str) -> None:
        """Close every connection to `peer_id`. Never raises."""
        with trio.move_on_after(limits.CLOSE_TIMEOUT_SECONDS) as scope:
            scope.shield = True
            try:
                await self._host.disconnect(_peer_object(peer_id))
            except Exception as error:
                log.debug("disconnecting %s: %s", peer_id, error)

    async def ban(self, peer_id: str) -> None:
        """Disconnect `peer_id` and refuse it until `unban`."""
        self._banned.add(peer_id)
        await self.disconnect(peer_id)

    def unban(self, peer_id: str) -> None:
        """Let a banned peer come back."""
        self._banned.discard(peer_id)

    async def _close(self) -> None:
        # Peers all at once: the library closes one after the other and pauses after each. Then the listener, which it
        # leaves open when its task is cancelled.
        with trio.move_on_after(limits.CLOSE_TIMEOUT_SECONDS) as scope:
            scope.shield = True
            async with trio.open_nursery() as nursery:
                for peer_id in self.connected_peers:
                    nursery.start_soon(self.disconnect, peer_id)
            await self._host.close()


class _Notifee:
    """Turns the library's connection notices into the host's callbacks."""

    def __init__(self, host: Host) -> None:
        self._owner = host

    async def connected(self, network: Any, connection: Any) -> None:
        peer_id = str(connection.muxed_conn.peer_id)
        if peer_id in self._owner._banned:
            await self._owner.disconnect(peer_id)
            return
        for callback in self._owner._on_connected:
            callback(peer_id)

    async def disconnected(self, network: Any, connection: Any) -> None:
        peer_id = str(connection.muxed_conn.peer_id)
        if not self._owner.is_connected(peer_id):
            for callback in self._owner._on_disconnected:
                callback(peer_id)

    async def opened_stream(self, network: Any, stream: Any) -> None: ...

    async def closed_stream(self, network: Any, stream: Any) -> None: ...

    async def listen(self, network: Any, address: Any) -> None: ...

    async def listen_close(self, network: Any, address: Any) -> None: ...


def _check_port_is_free(listen: tuple[str, int]) -> None:
    # The library listens with SO_REUSEPORT and would silently share a port with another node.
    name, port = listen
    with socket.socket(socket.AF_INET6 if ":" in name else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((name, port))
        except (OSError, OverflowError) as error:
            raise ListenFailed(f"cannot listen on {name}:{port}: {error}") from error


def _peer_object(peer_id: str) -> Any:
    from libp2p.peer.id import ID

    return ID.from_base58(peer_id)
