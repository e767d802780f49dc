"""Whom a lane server listens to at all, how many streams a peer may hold, and what a failure of our own costs."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio
import trio.testing

from node.net.frames import PeerGone
from node.net.identity import peer_id_of
from node.roles import limits
from node.roles.lane_protocol import VERSION, Fault, FaultCode, Hello, Offer, decode_frame, encode_frame
from node.roles.lane_server import LaneServer

GENESIS = bytes(32)
USERS = {bytes([number]) * 32: number for number in range(1, 9)}
OFFER = Offer(5, 0, 1, "rsa-shake256-brotli/1", bytes(128), b"")


class Registry:
    """As much of a market as a greeting needs."""

    genesis_hash = GENESIS
    chain = type("Chain", (), {"best_number": 7})

    def user_id_by_noise_key(self, noise_key: bytes) -> int | None:
        return USERS.get(noise_key)

    def lane_terms(self, amendment: int, position: int) -> None:
        raise OSError("the disk cannot be read")


class Peer:
    """The frames of a peer: `said` is what it sends, then it is silent; `heard` what it was told."""

    def __init__(self, peer_id: str, *said: Any) -> None:
        self.peer_id = peer_id
        self.heard: list[object] = []
        self._said = [encode_frame(frame) for frame in said]

    async def send(self, frame: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.heard.append(decode_frame(frame))

    async def receive(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._said:
            return self._said.pop(0)
        if any(isinstance(frame, Fault) for frame in self.heard):
            raise PeerGone("it closes")
        await trio.sleep_forever()
        raise AssertionError


def server() -> LaneServer:
    return LaneServer(cast(Any, Registry()), 1, cast(Any, None), cast(Any, None))


@pytest.mark.parametrize("peer_id", [peer_id_of(b"\xff" * 32), "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"])
async def test_a_peer_that_is_no_user_is_refused_before_it_says_anything(peer_id: str) -> None:
    peer = Peer(peer_id)
    with trio.fail_after(limits.GREETING_SECONDS / 2):
        await server().handle(peer, peer_id)
    assert peer.heard == [Fault(FaultCode.NOT_ASSIGNED.value)]


async def test_one_silent_peer_leaves_streams_to_the_others(autojump_clock: trio.testing.MockClock) -> None:
    lanes = server()
    greedy, other = (peer_id_of(bytes([number]) * 32) for number in (2, 3))
    async with trio.open_nursery() as nursery:
        for _ in range(limits.LANE_STREAMS_PER_ACCOUNT):
            nursery.start_soon(lanes.handle, Peer(greedy), greedy)
        await trio.testing.wait_all_tasks_blocked()
        refused, heard = Peer(greedy), Peer(other, Hello(VERSION, GENESIS, 3, 0))
        await lanes.handle(refused, greedy)
        assert refused.heard == [Fault(FaultCode.BUSY.value)]
        nursery.start_soon(lanes.handle, heard, other)
        await trio.testing.wait_all_tasks_blocked()
        assert [type(frame) for frame in heard.heard] == [Hello]
    again = Peer(greedy, Hello(VERSION, GENESIS, 2, 0))
    await lanes.handle(again, greedy)
    assert [type(frame) for frame in again.heard] == [Hello]


async def test_a_failure_of_ours_ends_one_stream_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    peer_id = peer_id_of(bytes([2]) * 32)
    peer = Peer(peer_id, Hello(VERSION, GENESIS, 2, 0), OFFER)
    await server().handle(peer, peer_id)
    assert peer.heard[-1] == Fault(FaultCode.INTERNAL.value)
    assert "the disk cannot be read" in caplog.text
