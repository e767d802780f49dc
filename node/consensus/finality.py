"""Which block is final: an interface, and the rule that stands in for a finality protocol.

The rule (for display; it can be wrong across forks, so nothing irreversible may hang on it): a block is final when more
than two thirds of the authorities have built on it, its own author counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from node.consensus.fork_choice import HeaderOf
from runtime.header import Header

MAX_WALK_BLOCKS: Final = 256
"""Builders are counted over this many of the newest blocks: while fewer authorities are online, nothing is final."""

AuthorOf = Callable[[Header], bytes | None]


class FinalityGadget(Protocol):
    """Decides what is final."""

    def best_changed(self, best: Header, finalized: Header, authorities: Sequence[bytes]) -> Header | None:
        """The block to finalize now that `best` is the tip, or None to stay at `finalized`."""
        ...


class BuiltByTwoThirds:
    """The rule of the module. `header_of` finds a header by hash, `author_of` says whose it is (None: not known)."""

    def __init__(self, header_of: HeaderOf, author_of: AuthorOf) -> None:
        self._header_of = header_of
        self._author_of = author_of

    def best_changed(self, best: Header, finalized: Header, authorities: Sequence[bytes]) -> Header | None:
        """The newest block on which more than two thirds of `authorities` have built up to `best`."""
        members = frozenset(authorities)
        builders: set[bytes] = set()
        header = best
        for _ in range(MAX_WALK_BLOCKS):
            if header.number <= finalized.number:
                return None
            author = self._author_of(header)
            if author is not None and author in members:
                builders.add(author)
            if 3 * len(builders) > 2 * len(members):
                return header
            header = self._header_of(header.parent_hash)
        return None
