"""Frames over a stream: a u32 length (big endian) and that many bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import trio

from node import limits

_LENGTH = struct.Struct(">I")


class PeerGone(Exception):
    """The stream or its connection has ended; it has to be opened again."""


class FrameTooLarge(Exception):
    """A frame is longer than both sides agreed on; nothing of it was buffered."""


def root_cause(error: BaseException) -> str:
    """Return the text of the first cause of an error; the library wraps its errors several times, without text."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__


class FrameStream:
    """A libp2p stream cut into frames of at most `max_frame_bytes`.

    One task may send while another receives. A `send` that is cancelled half way leaves the stream unusable and every
    later call raises PeerGone; a `receive` may be cancelled and called again. Readers must keep receiving: a writer
    whose reader stops for `limits.STREAM_STALL_SECONDS` loses the stream.
    """

    def __init__(self, stream: Any, peer_id: str, max_frame_bytes: int = limits.MAX_FRAME_BYTES) -> None:
        self.peer_id = peer_id
        self.max_frame_bytes = max_frame_bytes
        self._stream = stream
        self._unread = bytearray()
        self._torn = False
        self._send_lock = trio.Lock()

    async def send(self, frame: bytes) -> None:
        """Send one frame. Raises FrameTooLarge before anything is sent, PeerGone when the peer is not there."""
        await self.send_many((frame,))

    async def send_many(self, frames: Iterable[bytes]) -> None:
        """Send several frames in one write, which costs about as much as sending one."""
        parts: list[bytes] = []
        for frame in frames:
            if len(frame) > self.max_frame_bytes:
                raise FrameTooLarge(f"a frame of {len(frame)} bytes; at most {self.max_frame_bytes} are agreed")
            parts += (_LENGTH.pack(len(frame)), frame)
        async with self._send_lock:
            if self._torn:
                raise PeerGone(f"the stream to {self.peer_id} has ended")
            self._torn = True
            try:
                await self._stream.write(b"".join(parts))
            except Exception as error:
                raise PeerGone(f"could not send to {self.peer_id}: {root_cause(error)}") from error
            self._torn = False

    async def receive(self) -> bytes:
        """Return the next frame. Raises PeerGone at the end, FrameTooLarge when the announced length is over the bound.

        There is no time limit: the caller sets one with `trio.move_on_after`.
        """
        while True:
            if len(self._unread) >= _LENGTH.size:
                (length,) = _LENGTH.unpack_from(self._unread)
                if length > self.max_frame_bytes:
                    raise FrameTooLarge(
                        f"{self.peer_id} announced a frame of {length} bytes; at most {self.max_frame_bytes} are agreed"
                    )
                end = _LENGTH.size + length
                if len(self._unread) >= end:
                    frame = bytes(memoryview(self._unread)[_LENGTH.size : end])
                    del self._unread[:end]
                    return frame
            try:
                piece = await self._stream.read(limits.READ_SLICE_BYTES)
            except Exception as error:
                raise PeerGone(f"{self.peer_id} ended the stream: {root_cause(error)}") from error
            if not piece:
                raise PeerGone(f"{self.peer_id} ended the stream")
            self._unread += piece

    async def close(self) -> None:
        """Say that no more frames follow. Never raises; what was sent before still arrives."""
        await self._end(self._stream.close)

    async def reset(self) -> None:
        """Drop the stream at once, in both directions. Never raises."""
        await self._end(self._stream.reset)

    async def _end(self, how: Any) -> None:
        self._torn = True
        with trio.move_on_after(limits.CLOSE_TIMEOUT_SECONDS) as scope:
            scope.shield = True
            try:
                await how()
            except Exception:  # a stream that is already gone is closed enough
                return

    async def __aenter__(self) -> FrameStream:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await (self.close() if error is None else self.reset())
