"""One lane stream: typed frames with a time limit each, the greeting, and finding the peer of a user."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

import trio

from node.net.addresses import AddressRecord
from node.net.frames import FrameTooLarge, PeerGone
from node.net.host import DialFailed, Host
from node.net.identity import noise_key_of, peer_id_of
from node.roles import limits
from node.roles.lane_protocol import (
    VERSION,
    Bye,
    Chunk,
    Fault,
    FaultCode,
    Frame,
    Hello,
    LaneFault,
    LaneIntake,
    RemoteFault,
    Sealed,
    decode_frame,
    encode_frame,
    lane_protocol,
)
from node.roles.market_view import MarketView
from node.roles.sealer import SealPool
from pallets.datdot.sealing import LaneCommitment, SealingError

F = TypeVar("F", bound=Frame)


class PeerUnreachable(Exception):
    """A user's service has no known address, did not answer, or broke off; trying again later may succeed."""


class Frames(Protocol):
    """A stream of frames; `node.net.frames.FrameStream` is one."""

    peer_id: str

    async def send(self, frame: bytes, /) -> None: ...
    async def receive(self) -> bytes: ...


class AddressDirectory(Protocol):
    """Where services are found; `node.net.addresses.AddressBook` is one."""

    def lookup(self, who: bytes, /) -> AddressRecord | None: ...


class LaneStream:
    """Typed frames over a stream. Whatever ends it becomes PeerUnreachable, RemoteFault or LaneFault."""

    def __init__(self, frames: Frames) -> None:
        self.peer_id = frames.peer_id
        self._frames = frames

    async def send(self, frame: Frame) -> None:
        """Send one frame."""
        try:
            await self._frames.send(encode_frame(frame))
        except (PeerGone, FrameTooLarge) as error:
            raise PeerUnreachable(str(error)) from error

    async def receive(self, *expected: type[F], within_seconds: float = limits.FRAME_SECONDS) -> F:
        """The next frame, which must be of an expected kind."""
        try:
            with trio.fail_after(within_seconds):
                data = await self._frames.receive()
        except (PeerGone, FrameTooLarge) as error:
            raise PeerUnreachable(str(error)) from error
        except trio.TooSlowError:
            raise PeerUnreachable(f"{self.peer_id} sent nothing for {within_seconds:g} s") from None
        frame = decode_frame(data)
        if isinstance(frame, Fault):
            raise RemoteFault(FaultCode(frame.code))
        if not isinstance(frame, expected):
            raise LaneFault(FaultCode.BAD_FRAME, f"{type(frame).__name__} does not belong here")
        return frame

    async def end(self, frame: Bye | Fault) -> None:
        """Send a last frame if the peer still takes it, and give it the time to close first. Never raises."""
        with trio.move_on_after(limits.GOODBYE_SECONDS):
            try:
                await self._frames.send(encode_frame(frame))
                await self._frames.receive()
            except (PeerGone, FrameTooLarge):
                return


def hello_of(market: MarketView, user_id: int) -> Hello:
    """Our greeting."""
    return Hello(VERSION, market.genesis_hash, user_id, market.chain.best_number)


def check_hello(hello: Hello, peer_id: str, market: MarketView) -> int:
    """The user that greets, if its noise key is the one that the connection has proven; raises LaneFault."""
    if hello.version != VERSION or hello.genesis != market.genesis_hash:
        raise LaneFault(FaultCode.WRONG_CHAIN, "another chain or version")
    if market.user_id_by_noise_key(noise_key_of(peer_id)) != hello.user:
        raise LaneFault(FaultCode.NOT_ASSIGNED, f"the peer is not user {hello.user}")
    return hello.user


class LaneDialer:
    """Opens lane streams from one account's host to the services of other users."""

    def __init__(self, host: Host, market: MarketView, user_id: int, directory: AddressDirectory) -> None:
        self._host = host
        self._market = market
        self._user_id = user_id
        self._directory = directory

    @asynccontextmanager
    async def open(self, user_id: int) -> AsyncIterator[LaneStream]:
        """A greeted stream to the service of a user; raises PeerUnreachable, RemoteFault or LaneFault."""
        peer_id = await self._connect(user_id)
        try:
            frames = await self._host.open_stream(peer_id, lane_protocol(self._market.genesis_hash))
        except PeerGone as error:
            raise PeerUnreachable(str(error)) from error
        async with frames:
            stream = LaneStream(frames)
            await stream.send(hello_of(self._market, self._user_id))
            answer = await stream.receive(Hello, within_seconds=limits.GREETING_SECONDS)
            if check_hello(answer, peer_id, self._market) != user_id:
                raise PeerUnreachable(f"the peer is not user {user_id}")
            yield stream

    async def _connect(self, user_id: int) -> str:
        user = self._market.user(user_id)
        if user is None:
            raise PeerUnreachable(f"user {user_id} does not exist")
        peer_id = peer_id_of(user.noise_key)
        if self._host.is_connected(peer_id):
            return peer_id
        record = self._directory.lookup(user.noise_key)
        if record is None:
            raise PeerUnreachable(f"no address of user {user_id} is known")
        problem: Exception = PeerUnreachable(f"user {user_id} announces no address")
        for address in record.addresses:
            try:
                return await self._host.connect(address)
            except DialFailed as error:
                problem = error
        raise PeerUnreachable(str(problem)) from problem


async def receive_lane(
    stream: LaneStream,
    intake: LaneIntake,
    pool: SealPool,
    encoder_signing_key: bytes,
    on_chunk: Callable[[Chunk, bytes], Awaitable[None]],
) -> tuple[Sealed, LaneCommitment]:
    """Take in all chunks after an accepted offer: open each, check it against the feed, hand it on, check the end.

    `on_chunk(frame, opened)` runs for each good chunk before the next one is read, so that a slow one slows the sender.
    """
    assert intake.lane is not None
    while not intake.is_whole:
        chunk = await stream.receive(Chunk)
        feed_chunk = intake.expect_chunk(chunk)
        try:
            opened = await pool.open(intake.lane, feed_chunk, chunk.sealed)
        except SealingError as error:
            raise LaneFault(FaultCode.BAD_CHUNK, f"chunk {chunk.number}: {error}") from error
        intake.accept_chunk(chunk, opened)
        await on_chunk(chunk, opened)
    sealed = await stream.receive(Sealed)
    return sealed, intake.take_sealed(sealed, encoder_signing_key)
