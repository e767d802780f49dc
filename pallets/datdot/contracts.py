"""Cutting ranges of chunks into contracts. Ranges are (first, last), both included."""

from collections.abc import Iterable, Sequence

Range = tuple[int, int]


class BadRange(ValueError):
    """A range is reversed or lies outside the feed; the text names it."""


def normalise(ranges: Iterable[Range], feed_length: int) -> tuple[Range, ...]:
    """Sort the ranges and join those that overlap or touch; raises BadRange unless 0 <= first <= last < feed length."""
    joined: list[Range] = []
    for first, last in sorted(ranges):
        if not 0 <= first <= last < feed_length:
            raise BadRange(f"chunks {first} to {last} of a feed of {feed_length}")
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)


def cut(ranges: Sequence[Range], set_size: int) -> list[tuple[Range, ...]]:
    """Cut normalised ranges into sets of exactly `set_size` chunks, the last one maybe smaller.

    The work grows with the number of ranges and of sets, not with the number of chunks.
    """
    sets: list[tuple[Range, ...]] = []
    current: list[Range] = []
    room = set_size
    for first, last in ranges:
        start = first
        while start <= last:
            take = min(room, last - start + 1)
            current.append((start, start + take - 1))
            start += take
            room -= take
            if room == 0:
                sets.append(tuple(current))
                current, room = [], set_size
    if current:
        sets.append(tuple(current))
    return sets


def count_chunks(ranges: Iterable[Range]) -> int:
    """How many chunks normalised ranges hold."""
    return sum(last - first + 1 for first, last in ranges)


def count_sets(ranges: Iterable[Range], set_size: int) -> int:
    """How many contracts `cut` makes."""
    return -(-count_chunks(ranges) // set_size)


def covers(covering: Iterable[Range], ranges: Iterable[Range]) -> bool:
    """Whether every chunk of `ranges` lies in `covering`; both normalised."""
    available = iter(covering)
    current = next(available, None)
    for first, last in ranges:
        while current is not None and current[1] < first:
            current = next(available, None)
        if current is None or not current[0] <= first or not last <= current[1]:
            return False
    return True


def chunk_at(ranges: Iterable[Range], number: int) -> int:
    """The feed's chunk that is chunk `number` (from 0) of these ranges; raises IndexError when there is none."""
    if number < 0:
        raise IndexError(f"chunk {number}")
    left = number
    for first, last in ranges:
        size = last - first + 1
        if left < size:
            return first + left
        left -= size
    raise IndexError(f"chunk {number} of {number - left}")


def chunk_numbers(ranges: Iterable[Range]) -> tuple[int, ...]:
    """The feed's chunks of a contract in their order, which is the order in which they are sealed."""
    return tuple(chunk for first, last in ranges for chunk in range(first, last + 1))
