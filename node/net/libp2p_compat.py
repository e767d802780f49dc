"""Everything that py-libp2p 0.8.1 needs from us, in one room: its construction, its quirks, and our patches.

Nothing here imports libp2p before `build_host` or `apply_patches` is called, because that import takes a second; each
patched name is held to account by a test, and the library is pinned to the version that was read.

What is patched, and why:

- Yamux streams give credit back in batches and grow their window once, instead of sending a frame per read; writers
  wait longer than five seconds for a busy reader; unread bytes of a stream are bounded even when the peer ignores
  flow control; a cancelled write ends the connection instead of leaving the cipher out of step.
- An inbound connection frees its slot when it closes; the library keeps slot and task until the host stops.
- An inbound stream beyond the bound is reset, and a failing handler ends its stream, never its connection.
- The signed address that every gossip message carries is made once per half minute.
- The protocol id of a service, where the library fixed it, can be another one on each host (`RenamedProtocol`).
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Sequence
from typing import Any

import trio

from node import limits

log = logging.getLogger(__name__)

SIGNED_RECORD_LIFETIME_SECONDS = 30.0
PUBSUB_QUEUE_LENGTH = 512
NOISE_PAYLOAD_BYTES = 65_535 - 16  # one Yamux frame fits one Noise message
_QUIET_LOGGERS = ("libp2p", "libp2p.network.auto_connector", "multiaddr", "zeroconf")
_applied = False


def build_host(seed: bytes, listen: Sequence[Any]) -> Any:
    """Return a py-libp2p host that speaks TCP, Noise and Yamux and nothing else.

    `seed` is the 32-byte ed25519 seed of the identity, `listen` a list of multiaddrs. The library's resource manager,
    automatic dialling, pruning and outbound identify are left out: `node.net.host` bounds connections itself, and an
    offer of plaintext or SECIO would let unauthenticated peers in.
    """
    apply_patches()
    from libp2p import new_swarm
    from libp2p.crypto.ed25519 import create_new_key_pair
    from libp2p.crypto.x25519 import create_new_key_pair as create_x25519_key_pair
    from libp2p.host.basic_host import BasicHost
    from libp2p.network.config import ConnectionConfig, RetryConfig
    from libp2p.security.noise.transport import PROTOCOL_ID, Transport

    key_pair = create_new_key_pair(seed)
    config = ConnectionConfig(
        max_connections=limits.MAX_CONNECTIONS,
        min_connections=0,
        low_watermark=0,
        high_watermark=limits.MAX_CONNECTIONS,
        # One: the dial then returns as soon as it succeeded instead of waiting out the 250 ms happy-eyeballs delay.
        max_connections_per_peer=1,
        dial_timeout=limits.DIAL_TIMEOUT_SECONDS,
    )
    swarm = new_swarm(
        key_pair=key_pair,
        muxer_preference="YAMUX",
        sec_opt={PROTOCOL_ID: Transport(libp2p_keypair=key_pair, noise_privkey=create_x25519_key_pair().private_key)},
        listen_addrs=list(listen),
        connection_config=config,
        retry_config=RetryConfig(max_retries=0),  # redialling is node.net.peers' work
    )
    swarm.set_resource_manager(None)
    # It would dial every peer that it ever heard of, whatever the watermarks say.
    swarm.auto_connector.maybe_connect = _do_not_connect
    host = BasicHost(network=swarm, disable_identify_address_discovery=True)
    # Identify would cost a stream in each direction per connection and run outside the nursery; nothing here reads it.
    host._schedule_identify = _do_not_identify
    return host


async def _do_not_connect() -> None:
    """Stand in for the library's automatic dialling."""


def _do_not_identify(peer_id: Any, *, reason: str) -> None:
    """Stand in for the host's outbound identify; the host still answers the identify requests of others."""


def forget_failed_dial(host: Any, peer_id: Any) -> None:
    """Let `peer_id` be dialled again at once; the library refuses it for 60 s after a failure."""
    host.get_network()._negative_peer_cache.evict(str(peer_id))


def build_mesh(host: Any, heartbeat_seconds: int) -> tuple[Any, Any]:
    """Return `(pubsub, router)`, a GossipSub 1.1 mesh over `host` with the library's harmful defaults switched off."""
    apply_patches()
    import hashlib
    import time

    from libp2p.custom_types import TProtocol
    from libp2p.pubsub.gossipsub import GossipSub
    from libp2p.pubsub.pubsub import Pubsub

    router = GossipSub(
        protocols=[TProtocol("/meshsub/1.1.0")],  # 1.2 would add an IDONTWANT frame per message
        degree=6,
        degree_low=4,
        degree_high=12,
        heartbeat_initial_delay=0.1,
        heartbeat_interval=heartbeat_seconds,
        adaptive_gossip_enabled=False,
        spam_protection_enabled=False,
        eclipse_protection_enabled=False,
    )
    pubsub = Pubsub(
        host,
        router,
        # Raw digests of the content: equal messages are one message, and no id looks like hexadecimal text.
        msg_id_constructor=lambda message: hashlib.blake2b(
            message.topicIDs[0].encode() + message.data, digest_size=20
        ).digest(),
        max_inbound_rpc_size=limits.MAX_FRAME_BYTES,
    )
    pubsub.counter = time.time_ns()  # sequence numbers must never repeat across restarts
    return pubsub, router


class RenamedProtocol:
    """A host as one of the library's services sees it: a protocol id that the library fixed goes by another name."""

    def __init__(self, host: Any, fixed: str, name: str) -> None:
        self._host = host
        self._names = {fixed: name}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    def set_stream_handler(self, protocol: str, handler: Any) -> None:
        """Answer streams of a protocol."""
        self._host.set_stream_handler(self._names.get(protocol, protocol), handler)

    def remove_stream_handler(self, protocol: str) -> None:
        """Answer streams of a protocol no more."""
        self._host.remove_stream_handler(self._names.get(protocol, protocol))

    async def new_stream(self, peer_id: Any, protocols: Sequence[str]) -> Any:
        """Open a stream of the first of these protocols that the peer knows."""
        return await self._host.new_stream(peer_id, [self._names.get(one, one) for one in protocols])


def apply_patches() -> None:
    """Patch the imported library, once per process."""
    global _applied
    if _applied:
        return
    _applied = True
    _patch_yamux()
    _patch_swarm()
    _patch_pubsub()
    for name in _QUIET_LOGGERS:  # after the imports, one of which sets the level again
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _patch_yamux() -> None:
    from libp2p.stream_muxer.yamux import yamux

    yamux.bytearray = BoundedBuffer
    yamux.YamuxStream.read = _read_with_batched_credit
    yamux.YamuxStream.write = _write_within_credit
    yamux.Yamux._write_frame = _write_frame_whole


def _patch_swarm() -> None:
    from libp2p.network.connection.swarm_connection import SwarmConn
    from libp2p.network.swarm import Swarm

    handle_stream = SwarmConn._handle_muxed_stream

    async def handle_bounded_stream(self: Any, muxed_stream: Any) -> None:
        if len(self.streams) >= limits.MAX_STREAMS_PER_CONNECTION:
            await muxed_stream.reset()
            return
        try:
            await handle_stream(self, muxed_stream)
        except Exception as error:  # the library lets one stream's failure end the whole connection
            log.debug("inbound stream ended: %s", error)

    SwarmConn._handle_muxed_stream = handle_bounded_stream
    Swarm._do_handle_inbound_connection = _serve_inbound_connection


def _patch_pubsub() -> None:
    from libp2p.peer import peerstore
    from libp2p.pubsub import gossipsub, pubsub, rpc_queue

    pubsub.SUBSCRIPTION_CHANNEL_SIZE = PUBSUB_QUEUE_LENGTH
    # Both are bound as default arguments: the queue's length first, the largest message second.
    rpc_queue.RpcQueue.__init__.__defaults__ = (PUBSUB_QUEUE_LENGTH, rpc_queue.DefaultMaxMessageSize)
    make_record = peerstore.env_to_send_in_RPC
    made: dict[str, tuple[float, Any]] = {}

    def cached_record(host: Any) -> Any:
        key = str(host.get_id())
        now = trio.current_time()
        at, record = made.get(key, (float("-inf"), None))
        if not 0 <= now - at < SIGNED_RECORD_LIFETIME_SECONDS:
            record = make_record(host)
            if len(made) >= limits.MAX_CONNECTIONS:
                made.clear()
            made[key] = (now, record)
        return record

    pubsub.env_to_send_in_RPC = cached_record
    gossipsub.env_to_send_in_RPC = cached_record


class BoundedBuffer(bytearray):
    """The receive buffer of one Yamux stream; refuses to grow beyond what flow control could ever have allowed."""

    def extend(self, data: Any) -> None:
        """Append `data`. Raises MuxedStreamError when the peer ignored its window."""
        if len(self) + len(data) > limits.MAX_STREAM_BUFFER_BYTES:
            from libp2p.stream_muxer.exceptions import MuxedStreamError

            raise MuxedStreamError("the peer sent more than its receive window allows")
        super().extend(data)


async def _read_with_batched_credit(self: Any, n: int | None = -1) -> bytes:
    """Read up to `n` bytes (all that is there when negative), giving credit back a quarter of a window at a time.

    Credit goes out before the wait for data, so that a cancelled read never loses bytes that it already took.
    """
    if self._pending_recv_release >= self.target_recv_window // 4:
        credit = self._pending_recv_release
        self._pending_recv_release = 0
        if self.target_recv_window < limits.STREAM_WINDOW_BYTES:
            credit += limits.STREAM_WINDOW_BYTES - self.target_recv_window
            self.target_recv_window = limits.STREAM_WINDOW_BYTES
        self.recv_window += credit
        await self.send_window_update(credit)
    data: bytes = await self.conn.read_stream(self.stream_id, -1 if n is None else n)
    self._pending_recv_release += len(data)
    return data


async def _write_within_credit(self: Any, data: bytes) -> None:
    """Write all of `data` in frames, waiting for credit up to the named stall time."""
    from libp2p.stream_muxer.exceptions import MuxedStreamError
    from libp2p.stream_muxer.yamux import yamux

    view = memoryview(data)
    deadline = trio.current_time() + limits.STREAM_STALL_SECONDS
    while view:
        if self.send_closed or self.closed:
            raise MuxedStreamError("the stream is closed for sending")
        size = min(self.send_window, NOISE_PAYLOAD_BYTES - yamux.HEADER_SIZE, len(view))
        if size <= 0:
            if trio.current_time() > deadline:
                raise MuxedStreamError("the reader gave no credit in time")
            await trio.sleep(0.005)
            continue
        self.send_window -= size
        header = struct.pack(yamux.YAMUX_HEADER_FORMAT, 0, yamux.TYPE_DATA, 0, self.stream_id, size)
        await self.conn._write_frame(header + bytes(view[:size]))
        view = view[size:]
        deadline = trio.current_time() + limits.STREAM_STALL_SECONDS


async def _write_frame_whole(self: Any, data: bytes) -> None:
    """Write one Yamux frame; a write that is cancelled half way ends the connection, whose cipher is out of step."""
    async with self._write_lock:
        try:
            await self.secured_conn.write(data)
        except trio.Cancelled:
            self.event_shutting_down.set()
            if self._nursery is not None:
                self._nursery.cancel_scope.cancel()
            raise


async def _serve_inbound_connection(self: Any, stream: Any, listener_address: Any, failure_event: Any) -> None:
    """Upgrade an accepted TCP stream and stay until that connection is closed."""
    from libp2p.network.connection.raw_connection import RawConnection

    raw_connection = RawConnection(stream, False)
    try:
        muxed_connection = await self.upgrade_inbound_raw_conn(raw_connection, listener_address)
        await muxed_connection.event_closed.wait()
    except Exception as error:
        log.debug("inbound connection refused: %s", error)
        await raw_connection.close()
