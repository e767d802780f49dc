from __future__ import annotations

import pytest
import trio

from node.net.frames import FrameStream, FrameTooLarge, PeerGone
from node.net.host import DialFailed, Host, ListenFailed
from node.net.identity import noise_key_of, peer_id_of

from .support import LOOPBACK, connected_hosts, seed, until

PROTOCOL = "/test/echo/1"


async def echo(stream: FrameStream, peer_id: str) -> None:
    while True:
        await stream.send(await stream.receive())


async def test_the_identity_is_the_seed_and_the_peer_id_is_the_noise_key() -> None:
    async with Host.start(seed("a"), LOOPBACK) as first:
        peer_id = first.peer_id
        assert peer_id_of(first.noise_key) == peer_id
        assert first.addresses[0].endswith(f"/p2p/{peer_id}")
    async with Host.start(seed("a"), LOOPBACK) as second:
        assert second.peer_id == peer_id
        assert noise_key_of(peer_id) == second.noise_key


async def test_frames_go_both_ways_and_the_handler_knows_who_speaks() -> None:
    callers: list[str] = []

    async def greet(stream: FrameStream, peer_id: str) -> None:
        callers.append(peer_id)
        await stream.send(b"hello " + await stream.receive())

    async with connected_hosts("a", "b") as (a, b):
        b.handle(PROTOCOL, greet)
        async with await a.open_stream(b.peer_id, PROTOCOL) as stream:
            await stream.send(b"world")
            assert await stream.receive() == b"hello world"
        assert callers == [a.peer_id]


async def test_either_side_of_a_connection_opens_streams() -> None:
    async with connected_hosts("a", "b") as (a, b):
        for host, other in ((a, b), (b, a)):
            other.handle(PROTOCOL, echo)
            stream = await host.open_stream(other.peer_id, PROTOCOL)
            await stream.send(b"x")
            assert await stream.receive() == b"x"


async def test_a_protocol_that_nobody_handles_is_peer_gone_and_the_connection_stays() -> None:
    async with connected_hosts("a", "b") as (a, b):
        with pytest.raises(PeerGone, match="/no/such/1"):
            await a.open_stream(b.peer_id, "/no/such/1")
        assert a.is_connected(b.peer_id)


async def test_a_stream_to_a_stranger_is_peer_gone() -> None:
    async with Host.start(seed("a"), LOOPBACK) as a:
        with pytest.raises(PeerGone, match="not connected"):
            await a.open_stream(peer_id_of(bytes(32)), PROTOCOL)


async def test_the_end_of_a_handler_ends_the_stream() -> None:
    async def leave(stream: FrameStream, peer_id: str) -> None:
        await stream.receive()

    async with connected_hosts("a", "b") as (a, b):
        b.handle(PROTOCOL, leave)
        stream = await a.open_stream(b.peer_id, PROTOCOL)
        await stream.send(b"x")
        with pytest.raises(PeerGone):
            await stream.receive()


async def test_a_failing_handler_ends_its_stream_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(stream: FrameStream, peer_id: str) -> None:
        raise KeyError("a bug")

    async with connected_hosts("a", "b") as (a, b):
        b.handle(PROTOCOL, echo)
        b.handle("/test/fail/1", fail)
        good = await a.open_stream(b.peer_id, PROTOCOL)
        bad = await a.open_stream(b.peer_id, "/test/fail/1")
        with pytest.raises(PeerGone):
            await bad.receive()
        await good.send(b"x")
        assert await good.receive() == b"x"
        assert "handler of /test/fail/1 failed" in caplog.text


async def test_an_oversized_frame_is_refused_by_the_receiver() -> None:
    refused: list[str] = []

    async def strict(stream: FrameStream, peer_id: str) -> None:
        try:
            await stream.receive()
        except FrameTooLarge as error:
            refused.append(str(error))

    async with connected_hosts("a", "b") as (a, b):
        b.handle(PROTOCOL, strict, max_frame_bytes=100)
        stream = await a.open_stream(b.peer_id, PROTOCOL)
        await stream.send(bytes(101))
        with pytest.raises(PeerGone):
            await stream.receive()
    assert "101 bytes" in refused[0]


async def test_both_sides_hear_of_the_connection_and_of_its_end() -> None:
    heard: list[tuple[str, str]] = []
    async with Host.start(seed("a"), LOOPBACK) as a, Host.start(seed("b"), LOOPBACK) as b:
        for name, host in (("a", a), ("b", b)):
            host.on_connected(lambda peer_id, name=name: heard.append((name, "connected")))
            host.on_disconnected(lambda peer_id, name=name: heard.append((name, "disconnected")))
        await a.connect(b.addresses[0])
        await until(lambda: len(heard) == 2)
        await a.disconnect(b.peer_id)
        await until(lambda: len(heard) == 4)
    assert sorted(heard[:2]) == [("a", "connected"), ("b", "connected")]
    assert sorted(heard[2:]) == [("a", "disconnected"), ("b", "disconnected")]


async def test_the_end_of_a_connection_ends_its_streams() -> None:
    async with connected_hosts("a", "b") as (a, b):
        b.handle(PROTOCOL, echo)
        stream = await a.open_stream(b.peer_id, PROTOCOL)
        async with trio.open_nursery() as nursery:

            async def wait_for_end() -> None:
                with pytest.raises(PeerGone):
                    await stream.receive()

            nursery.start_soon(wait_for_end)
            await b.disconnect(a.peer_id)


async def test_a_banned_peer_is_cut_off_and_cannot_come_back_until_it_is_unbanned() -> None:
    async with connected_hosts("a", "b") as (a, b):
        a.handle(PROTOCOL, echo)
        await a.ban(b.peer_id)
        await until(lambda: not b.is_connected(a.peer_id))
        with pytest.raises(DialFailed, match="banned"):
            await a.connect(b.addresses[0])
        try:
            await b.connect(a.addresses[0])
            stream = await b.open_stream(a.peer_id, PROTOCOL)
            await stream.send(b"x")
            answer = await stream.receive()
        except (DialFailed, PeerGone):
            answer = b"refused"
        assert answer == b"refused"
        await until(lambda: not b.is_connected(a.peer_id))
        a.unban(b.peer_id)
        await b.connect(a.addresses[0])
        assert await (await b.open_stream(a.peer_id, PROTOCOL)).close() is None


async def test_a_host_that_is_not_who_the_address_says_is_refused() -> None:
    async with Host.start(seed("a"), LOOPBACK) as a, Host.start(seed("b"), LOOPBACK) as b:
        impostor = b.addresses[0].replace(b.peer_id, peer_id_of(bytes([7]) * 32))
        with pytest.raises(DialFailed):
            await a.connect(impostor)


@pytest.mark.parametrize("address", ["", "nonsense", "/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1/p2p/abc"])
async def test_an_address_that_names_no_peer_cannot_be_dialled(address: str) -> None:
    async with Host.start(seed("a"), LOOPBACK) as a:
        with pytest.raises(DialFailed):
            await a.connect(address)


async def test_a_host_does_not_dial_itself() -> None:
    async with Host.start(seed("a"), LOOPBACK) as a:
        with pytest.raises(DialFailed, match="itself"):
            await a.connect(a.addresses[0])


async def test_connecting_twice_is_one_connection() -> None:
    async with connected_hosts("a", "b") as (a, b):
        assert await a.connect(b.addresses[0]) == b.peer_id
        assert a.connected_peers == (b.peer_id,)


async def test_a_port_in_use_is_refused() -> None:
    async with Host.start(seed("a"), LOOPBACK) as a:
        port = int(a.addresses[0].split("/")[4])
        with pytest.raises(ListenFailed, match=str(port)):
            async with Host.start(seed("b"), ("127.0.0.1", port)):
                pass


@pytest.mark.parametrize("listen", [("203.0.113.7", 0), ("127.0.0.1", 70_000)])
async def test_an_address_that_is_not_ours_is_refused(listen: tuple[str, int]) -> None:
    with pytest.raises(ListenFailed):
        async with Host.start(seed("a"), listen):
            pass


async def test_nine_hosts_in_one_process_talk_to_each_other() -> None:
    async with connected_hosts("hub", *(f"host{index}" for index in range(8))) as (hub, *others):
        hub.handle(PROTOCOL, echo)
        for host in others:
            stream = await host.open_stream(hub.peer_id, PROTOCOL)
            await stream.send(host.noise_key)
            assert await stream.receive() == host.noise_key
