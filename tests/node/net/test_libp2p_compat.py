from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import trio
import trio.testing

from node import limits
from node.net import libp2p_compat
from node.net.frames import FrameStream, PeerGone
from node.net.host import DialFailed, Host

from .support import LOOPBACK, connected_hosts, seed, until

PROTOCOL = "/test/echo/1"


async def echo(stream: FrameStream, peer_id: str) -> None:
    while True:
        await stream.send(await stream.receive())


def test_importing_the_network_does_not_import_libp2p() -> None:
    script = "import sys, node.net.service, node.net.mesh; sys.exit('libp2p' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_library_is_the_version_that_the_patches_were_written_for() -> None:
    from importlib.metadata import version

    assert version("libp2p") == "0.8.1"


def test_every_patched_name_exists_and_is_patched() -> None:
    libp2p_compat.apply_patches()
    from libp2p.network.connection.swarm_connection import SwarmConn
    from libp2p.network.swarm import Swarm
    from libp2p.pubsub import gossipsub, pubsub, rpc_queue
    from libp2p.stream_muxer.yamux import yamux

    assert yamux.YamuxStream.read is libp2p_compat._read_with_batched_credit
    assert yamux.YamuxStream.write is libp2p_compat._write_within_credit
    assert yamux.Yamux._write_frame is libp2p_compat._write_frame_whole
    assert Swarm._do_handle_inbound_connection is libp2p_compat._serve_inbound_connection
    assert SwarmConn._handle_muxed_stream.__module__ == libp2p_compat.__name__
    assert pubsub.env_to_send_in_RPC is gossipsub.env_to_send_in_RPC
    assert pubsub.SUBSCRIPTION_CHANNEL_SIZE == libp2p_compat.PUBSUB_QUEUE_LENGTH
    queue = rpc_queue.RpcQueue()
    pushed = [queue.push(rpc_queue.rpc_pb2.RPC()) for _ in range(libp2p_compat.PUBSUB_QUEUE_LENGTH + 1)]
    assert pushed == [True] * libp2p_compat.PUBSUB_QUEUE_LENGTH + [False]
    assert queue.max_message_size == rpc_queue.DefaultMaxMessageSize


def test_the_names_that_are_used_underneath_exist() -> None:
    from libp2p.network.swarm import Swarm, _NegativePeerCache
    from libp2p.stream_muxer.yamux import yamux

    assert {"evict", "is_blocked"} <= set(dir(_NegativePeerCache))
    assert {"get_connections", "set_resource_manager", "upgrade_inbound_raw_conn"} <= set(dir(Swarm))
    assert {"send_window_update"} <= set(dir(yamux.YamuxStream))
    assert {"read_stream"} <= set(dir(yamux.Yamux))


def test_a_stream_buffer_refuses_what_flow_control_never_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    from libp2p.stream_muxer.exceptions import MuxedStreamError

    monkeypatch.setattr(limits, "MAX_STREAM_BUFFER_BYTES", 10)
    buffer = libp2p_compat.BoundedBuffer()
    buffer.extend(bytes(10))
    with pytest.raises(MuxedStreamError, match="window"):
        buffer.extend(b"x")
    assert len(buffer) == 10
    del buffer[:5]
    buffer.extend(bytes(5))


async def test_yamux_keeps_received_bytes_in_the_bounded_buffer() -> None:
    async with connected_hosts("a", "b") as (a, b):
        b.handle(PROTOCOL, echo)
        stream = await a.open_stream(b.peer_id, PROTOCOL)
        (connection,) = a.library_host.get_network().get_connections()
        buffers = connection.muxed_conn.stream_buffers.values()
        assert buffers
        assert all(isinstance(buffer, libp2p_compat.BoundedBuffer) for buffer in buffers)
        await stream.close()


async def test_a_dial_does_not_wait_for_a_second_address(monkeypatch: pytest.MonkeyPatch) -> None:
    libp2p_compat.apply_patches()
    import libp2p.network.swarm as swarm

    monkeypatch.setattr(swarm, "_HAPPY_EYEBALLS_DELAY", 3600.0)
    async with Host.start(seed("a"), LOOPBACK) as a, Host.start(seed("b"), LOOPBACK) as b:
        with trio.fail_after(20):
            await a.connect(b.addresses[0])


async def test_a_peer_that_could_not_be_reached_may_be_dialled_again_at_once() -> None:
    async with Host.start(seed("a"), LOOPBACK) as a:
        async with Host.start(seed("b"), LOOPBACK) as b:
            address = b.addresses[0]
        with pytest.raises(DialFailed):
            await a.connect(address)
        async with Host.start(seed("b"), ("127.0.0.1", int(address.split("/")[4]))):
            await a.connect(address)


async def test_credit_is_given_back_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    libp2p_compat.apply_patches()
    from libp2p.stream_muxer.yamux.yamux import YamuxStream

    given: list[int] = []
    original = YamuxStream.send_window_update

    async def counted(self: Any, increment: int, skip_lock: bool = False) -> None:
        given.append(increment)
        await original(self, increment, skip_lock)

    monkeypatch.setattr(YamuxStream, "send_window_update", counted)
    async with connected_hosts("a", "b") as (a, b):
        b.handle(PROTOCOL, echo)
        stream = await a.open_stream(b.peer_id, PROTOCOL)
        for _ in range(300):
            await stream.send(bytes(1000))
            await stream.receive()
    assert 2 <= len(given) < 20


async def test_a_window_grows_and_megabytes_pass_while_the_reader_reads() -> None:
    async with connected_hosts("a", "b") as (a, b):
        received: list[int] = []

        async def count(stream: FrameStream, peer_id: str) -> None:
            while True:
                received.append(len(await stream.receive()))

        b.handle(PROTOCOL, count)
        stream = await a.open_stream(b.peer_id, PROTOCOL)
        for _ in range(5):
            await stream.send(bytes(limits.MAX_FRAME_BYTES))
        await until(lambda: received == [limits.MAX_FRAME_BYTES] * 5)


async def test_a_writer_whose_reader_stops_reading_loses_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STREAM_STALL_SECONDS", 0.05)
    async with connected_hosts("a", "b") as (a, b):
        stopped = trio.Event()

        async def idle(stream: FrameStream, peer_id: str) -> None:
            await stopped.wait()

        b.handle(PROTOCOL, idle)
        stream = await a.open_stream(b.peer_id, PROTOCOL)
        with pytest.raises(PeerGone, match="credit"):
            await stream.send(bytes(limits.MAX_FRAME_BYTES))
        stopped.set()


async def test_a_cancelled_frame_ends_the_connection() -> None:
    class Conn:
        """As much of a Yamux connection as writing a frame uses."""

        def __init__(self) -> None:
            self._write_lock = trio.Lock()
            self.secured_conn = self
            self.event_shutting_down = trio.Event()
            self._nursery = None

        async def write(self, data: bytes) -> None:
            await trio.sleep_forever()

    connection = Conn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(libp2p_compat._write_frame_whole, connection, b"frame")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert connection.event_shutting_down.is_set()


async def test_streams_over_the_bound_are_reset_and_the_connection_lives_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_STREAMS_PER_CONNECTION", 3)
    async with connected_hosts("a", "b") as (a, b):
        b.handle(PROTOCOL, echo)
        streams = [await a.open_stream(b.peer_id, PROTOCOL) for _ in range(3)]
        with pytest.raises(PeerGone):
            await a.open_stream(b.peer_id, PROTOCOL)
        await streams[0].reset()
        await until(lambda: b.open_streams(a.peer_id) == 2)
        again = await a.open_stream(b.peer_id, PROTOCOL)
        await again.send(b"still here")
        assert await again.receive() == b"still here"


async def test_an_inbound_connection_frees_its_slot_when_it_closes() -> None:
    async with connected_hosts("a", "b") as (a, b):
        limiter = a.library_host.get_network()._inbound_limiter
        assert limiter.borrowed_tokens == 1
        await b.disconnect(a.peer_id)
        await until(lambda: limiter.borrowed_tokens == 0)


async def test_a_peer_that_offers_no_noise_is_refused() -> None:
    from libp2p import new_host
    from libp2p.crypto.ed25519 import create_new_key_pair
    from libp2p.peer.peerinfo import info_from_p2p_addr
    from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport
    from multiaddr import Multiaddr

    key_pair = create_new_key_pair(seed("plain"))
    plain = new_host(key_pair=key_pair, sec_opt={PLAINTEXT_PROTOCOL_ID: InsecureTransport(key_pair)})
    async with Host.start(seed("a"), LOOPBACK) as a, plain.run(listen_addrs=[Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        with pytest.raises(Exception, match="unable to connect"):
            await plain.connect(info_from_p2p_addr(Multiaddr(a.addresses[0])))
        assert a.connected_peers == ()
        with pytest.raises(DialFailed):
            await a.connect(f"{plain.get_addrs()[0]}")


async def test_the_signed_record_is_made_once_per_half_minute(monkeypatch: pytest.MonkeyPatch, mock_clock: Any) -> None:
    libp2p_compat.apply_patches()
    from libp2p.pubsub import pubsub

    host = libp2p_compat.build_host(seed("a"), [])
    first = pubsub.env_to_send_in_RPC(host)
    mock_clock.jump(libp2p_compat.SIGNED_RECORD_LIFETIME_SECONDS - 1)
    assert pubsub.env_to_send_in_RPC(host) is first
    mock_clock.jump(1)
    assert pubsub.env_to_send_in_RPC(host) is not first
