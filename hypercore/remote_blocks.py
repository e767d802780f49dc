"""Which blocks a peer says it has, in memory that no claim of the peer can make large."""

from hypercore.bitfield import Bitfield
from hypercore.messages import BITS_PER_WORD

MAX_TRACKED_BLOCKS = 1 << 25


class RemoteBlocks:
    """Which blocks a peer says it has: all below `contiguous`, and single ones up to MAX_TRACKED_BLOCKS."""

    def __init__(self) -> None:
        self.contiguous = 0
        self._bits = Bitfield()

    def has(self, index: int) -> bool:
        """True when the peer said so and did not take it back."""
        return index < self.contiguous or self._bits.get(index)

    def add(self, start: int, length: int) -> None:
        """The peer has [start, start + length)."""
        if start <= self.contiguous:
            self.contiguous = max(self.contiguous, start + length)
        else:
            self._bits.set_range(start, min(start + length, MAX_TRACKED_BLOCKS))

    def drop(self, start: int, length: int) -> None:
        """The peer no longer has [start, start + length)."""
        if start < self.contiguous:
            self._bits.set_range(start, min(self.contiguous, MAX_TRACKED_BLOCKS))
            self.contiguous = start
        self._bits.set_range(start, min(start + length, MAX_TRACKED_BLOCKS), False)

    def replace(self, start: int, words: tuple[int, ...]) -> None:
        """The peer has exactly the blocks of `words` in that stretch."""
        count = max(0, MAX_TRACKED_BLOCKS - start) // BITS_PER_WORD
        self.drop(start, BITS_PER_WORD * len(words))
        self._bits.set_words(start, list(words[:count]))

    def next(self, start: int, end: int) -> int | None:
        """The first block of [start, end) that the peer has."""
        if start >= end:
            return None
        return start if start < self.contiguous else self._bits.first_set(start, end)
