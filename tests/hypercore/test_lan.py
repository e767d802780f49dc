"""Discovery on the local network, confined to loopback: packets, bounds, and what forged ones cannot do."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from hypercore.io import lan as lan_module
from hypercore.io.lan import (
    ANNOUNCE_SECONDS,
    ANY,
    GROUP,
    LOOPBACK,
    MAGIC,
    MAX_ITEMS,
    MAX_PACKET_BYTES,
    MAX_PACKETS_PER_SECOND,
    Kind,
    LanDiscovery,
    Packet,
    interfaces_of,
    open_lan,
)
from hypercore.io.swarm import DiscoveryFailed, Endpoint

PATIENCE_SECONDS = 30
KEY, OTHER_KEY = bytes(32), bytes(range(32))
SENDER = b"somebody"

keys = st.binary(min_size=32, max_size=32)
ports = st.integers(1, 65_535)
packets = st.one_of(
    st.lists(keys, min_size=1, max_size=MAX_ITEMS).map(lambda found: Packet(Kind.QUESTION, SENDER, tuple(found))),
    st.lists(st.tuples(keys, ports), min_size=1, max_size=MAX_ITEMS).map(
        lambda found: Packet(Kind.ANSWER, SENDER, tuple(k for k, _ in found), tuple(p for _, p in found))
    ),
)


@asynccontextmanager
async def two_on_loopback() -> AsyncIterator[tuple[LanDiscovery, LanDiscovery]]:
    with trio.fail_after(PATIENCE_SECONDS):
        async with open_lan([LOOPBACK], port=0) as left, open_lan([LOOPBACK], port=left.port) as right:
            yield left, right


@pytest.fixture
def short_lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that wait a lookup out."""
    monkeypatch.setattr(lan_module, "QUESTION_SECONDS", (0.0,))
    monkeypatch.setattr(lan_module, "LOOKUP_SECONDS", 0.1)


async def found(lan: LanDiscovery, key: bytes = KEY, count: int = 100) -> list[Endpoint]:
    """What a lookup finds; it ends early after `count` endpoints."""
    endpoints: list[Endpoint] = []
    async with aclosing(lan.lookup(key)) as lookup:  # type: ignore[type-var]
        async for endpoint in lookup:
            endpoints.append(endpoint)
            if len(endpoints) == count:
                break
    return endpoints


def stranger() -> trio.socket.SocketType:
    return trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


@given(packets)
def test_packets_are_read_as_they_were_written_and_fit_the_bound(packet: Packet) -> None:
    assert Packet.decode(packet.encode()) == packet
    assert len(packet.encode()) <= MAX_PACKET_BYTES


@given(st.binary(max_size=200))
def test_other_bytes_are_no_packet_or_exactly_what_they_say(data: bytes) -> None:
    packet = Packet.decode(data)
    assert packet is None or packet.encode() == data


QUESTION = Packet(Kind.QUESTION, SENDER, (KEY,)).encode()
ANSWER = Packet(Kind.ANSWER, SENDER, (KEY,), (4000,)).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        QUESTION[:-1],
        QUESTION + b"\x00",
        ANSWER[:-1],
        ANSWER + b"\x00",
        b"xxxxxx" + QUESTION[len(MAGIC) :],
        QUESTION[: len(MAGIC)] + b"\x03" + QUESTION[len(MAGIC) + 1 :],
        QUESTION[: len(MAGIC)] + b"\x02" + QUESTION[len(MAGIC) + 1 :],
        Packet(Kind.QUESTION, SENDER, ()).encode(),
        Packet(Kind.QUESTION, SENDER, (KEY,) * (MAX_ITEMS + 1)).encode(),
        Packet(Kind.ANSWER, SENDER, (KEY,), (0,)).encode(),
    ],
    ids=["empty", "short", "long", "short answer", "long answer", "magic", "kind", "no port", "none", "many", "port 0"],
)
def test_a_packet_of_another_form_is_none(data: bytes) -> None:
    assert Packet.decode(data) is None


async def test_what_is_announced_is_found_at_the_address_it_came_from() -> None:
    async with two_on_loopback() as (left, right):
        assert await left.announce(KEY, 4000) == ANNOUNCE_SECONDS
        await left.announce(KEY, 4001)
        assert set(await found(right, count=2)) == {("127.0.0.1", 4000), ("127.0.0.1", 4001)}


@pytest.mark.usefixtures("short_lookups")
async def test_a_core_that_nobody_announced_is_not_found() -> None:
    async with two_on_loopback() as (left, right):
        await left.announce(KEY, 4000)
        assert await found(right, OTHER_KEY) == []


async def test_an_announcement_reaches_a_lookup_that_is_under_way() -> None:
    async with two_on_loopback() as (left, right), trio.open_nursery() as nursery:
        results: list[Endpoint] = []

        async def look() -> None:
            results.extend(await found(right, count=1))

        nursery.start_soon(look)
        while not right._lookups:
            await trio.lowlevel.checkpoint()
        await left._tell_group(Packet(Kind.ANSWER, SENDER, (KEY,), (4000,)))
    assert results == [("127.0.0.1", 4000)]


@pytest.mark.usefixtures("short_lookups")
async def test_own_announcements_and_withdrawn_ones_are_not_found() -> None:
    async with two_on_loopback() as (left, right):
        await left.announce(KEY, 4000)
        assert await found(left) == []
        left.withdraw(KEY, 4000)
        left.withdraw(OTHER_KEY, 1)
        assert await found(right) == []


async def test_noise_on_the_port_does_not_disturb() -> None:
    async with two_on_loopback() as (left, right):
        await left.announce(KEY, 4000)
        with stranger() as noise:
            await noise.bind((LOOPBACK, 0))
            noise.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOOPBACK))
            for data in (b"", b"noise", QUESTION[:-1], bytes(1400)):
                await noise.sendto(data, (GROUP, left.port))
        assert await found(right, count=1) == [("127.0.0.1", 4000)]


async def test_a_flood_is_cut_off_for_the_rest_of_the_second(autojump_clock: trio.testing.MockClock) -> None:
    async with open_lan([LOOPBACK], port=0) as lan:
        assert sum(lan._may_take_packet() for _ in range(10 * MAX_PACKETS_PER_SECOND)) == MAX_PACKETS_PER_SECOND
        await trio.sleep(1.5)
        assert lan._may_take_packet()


async def test_an_answer_is_no_longer_than_the_bound_however_much_is_served() -> None:
    async with two_on_loopback() as (left, _):
        for port in range(1, 100):
            left._announced.setdefault(KEY, {})[port] = None
        with stranger() as asking:
            await asking.bind((LOOPBACK, 0))
            await left._answer(Packet(Kind.QUESTION, SENDER, (KEY,) * MAX_ITEMS), *asking.getsockname())
            data = await asking.recv(65_536)
        packet = Packet.decode(data)
        assert packet is not None
        assert len(packet.keys) == MAX_ITEMS


async def test_the_bounds_of_announcements_and_lookups_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lan_module, "MAX_ANNOUNCED", 1)
    monkeypatch.setattr(lan_module, "MAX_LOOKUPS", 0)
    async with open_lan([LOOPBACK], port=0) as lan:
        await lan.announce(KEY, 1)
        with pytest.raises(DiscoveryFailed, match="more than 1 announcements"):
            await lan.announce(OTHER_KEY, 1)
        with pytest.raises(DiscoveryFailed, match="more than 0 lookups"):
            await found(lan)


@pytest.mark.usefixtures("short_lookups")
async def test_answers_beyond_what_a_lookup_takes_are_dropped() -> None:
    async with two_on_loopback() as (left, right):
        async with trio.open_nursery() as nursery:
            results: list[Endpoint] = []

            async def look() -> None:
                results.extend(await found(right))

            nursery.start_soon(look)
            while not right._lookups:
                await trio.lowlevel.checkpoint()
            for port in range(1, 20 * MAX_ITEMS, MAX_ITEMS):
                many = tuple(range(port, port + MAX_ITEMS))
                right._take_answer(Packet(Kind.ANSWER, SENDER, (KEY,) * MAX_ITEMS, many), LOOPBACK)
        assert 0 < len(results) <= lan_module.MAX_WAITING_ANSWERS + 1
        assert left._lookups == right._lookups == {}


async def test_an_interface_that_is_not_ours_is_refused_with_a_sentence() -> None:
    with pytest.raises(DiscoveryFailed, match=r"works on none of 203\.0\.113\.1"):
        async with open_lan(["203.0.113.1"], port=0):
            raise AssertionError("multicast on a foreign address")


async def test_a_port_that_somebody_holds_alone_is_refused_with_a_sentence() -> None:
    with stranger() as holder:
        await holder.bind(("0.0.0.0", 0))
        with pytest.raises(DiscoveryFailed, match="cannot be used for local discovery"):
            async with open_lan([LOOPBACK], port=holder.getsockname()[1]):
                raise AssertionError("a port that is taken")


@pytest.mark.parametrize(
    ("host", "interfaces"),
    [
        ("127.0.0.1", (LOOPBACK,)),
        ("127.1.2.3", (LOOPBACK,)),
        ("localhost", (LOOPBACK,)),
        ("::1", (LOOPBACK,)),
        ("0.0.0.0", (LOOPBACK, ANY)),
        ("::", (LOOPBACK, ANY)),
        ("192.168.1.5", ("192.168.1.5",)),
    ],
)
def test_announcements_go_no_further_than_the_listening_port(host: str, interfaces: tuple[str, ...]) -> None:
    assert interfaces_of(host) == interfaces
