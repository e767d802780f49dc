from __future__ import annotations

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from node.net.frames import FrameStream, FrameTooLarge, PeerGone


class FakeStream:
    """Delivers the given pieces, then the end of the stream; keeps what was written."""

    def __init__(self, pieces: list[bytes] | None = None) -> None:
        self.pieces = pieces or []
        self.written = b""
        self.fails = False
        self.blocks = False
        self.ended_by: str | None = None

    async def read(self, size: int) -> bytes:
        await trio.lowlevel.checkpoint()
        return self.pieces.pop(0) if self.pieces else b""

    async def write(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        if self.blocks:
            await trio.sleep_forever()
        if self.fails:
            raise ConnectionError("reset")
        self.written += data

    async def close(self) -> None:
        self.ended_by = "close"
        raise ConnectionError("already gone")

    async def reset(self) -> None:
        self.ended_by = "reset"


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [piece for piece in [*pieces, data[at:]] if piece]


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=50), max_size=8), st.lists(st.integers(1, 40), max_size=10))
def test_frames_arrive_whole_however_the_stream_is_cut(frames: list[bytes], sizes: list[int]) -> None:
    async def main() -> list[bytes]:
        sender = FakeStream()
        await FrameStream(sender, "peer").send_many(frames)
        stream = FrameStream(FakeStream(cut(sender.written, sizes)), "peer")
        received = [await stream.receive() for _ in frames]
        with pytest.raises(PeerGone):
            await stream.receive()
        return received

    assert trio.run(main) == frames


async def test_a_frame_has_a_big_endian_length_in_front() -> None:
    raw = FakeStream()
    await FrameStream(raw, "peer").send(b"abc")
    assert raw.written == b"\x00\x00\x00\x03abc"


async def test_an_announced_frame_over_the_bound_is_refused_before_it_is_read() -> None:
    stream = FrameStream(FakeStream([b"\x00\x00\x00\x09"]), "peer", max_frame_bytes=8)
    with pytest.raises(FrameTooLarge, match="9 bytes"):
        await stream.receive()


async def test_our_own_frame_over_the_bound_is_refused_and_the_stream_lives_on() -> None:
    raw = FakeStream()
    stream = FrameStream(raw, "peer", max_frame_bytes=8)
    with pytest.raises(FrameTooLarge, match="9 bytes"):
        await stream.send_many([b"ok", bytes(9)])
    assert raw.written == b""
    await stream.send(b"ok")
    assert raw.written.endswith(b"ok")


async def test_a_stream_that_ends_inside_a_frame_is_gone() -> None:
    stream = FrameStream(FakeStream([b"\x00\x00\x00\x04ab"]), "peer")
    with pytest.raises(PeerGone):
        await stream.receive()


async def test_a_failed_write_makes_every_later_one_fail() -> None:
    raw = FakeStream()
    raw.fails = True
    stream = FrameStream(raw, "peer")
    with pytest.raises(PeerGone, match="reset"):
        await stream.send(b"x")
    raw.fails = False
    with pytest.raises(PeerGone):
        await stream.send(b"x")
    assert raw.written == b""


async def test_a_send_that_was_cancelled_leaves_a_stream_that_says_so(autojump_clock: object) -> None:
    raw = FakeStream()
    raw.blocks = True
    stream = FrameStream(raw, "peer")
    with trio.move_on_after(1):
        await stream.send(b"x")
    raw.blocks = False
    with pytest.raises(PeerGone):
        await stream.send(b"x")


async def test_leaving_the_block_closes_and_an_error_resets() -> None:
    closed, reset = FakeStream(), FakeStream()
    async with FrameStream(closed, "peer"):
        pass
    with pytest.raises(KeyError):
        async with FrameStream(reset, "peer"):
            raise KeyError
    assert (closed.ended_by, reset.ended_by) == ("close", "reset")
    stream = FrameStream(closed, "peer")
    await stream.close()
    with pytest.raises(PeerGone):
        await stream.send(b"x")
