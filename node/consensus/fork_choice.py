"""Which chain to follow: the longest one that contains the last finalized block; between equals, the present one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runtime.header import Header

HeaderOf = Callable[[bytes], Header]


@dataclass(frozen=True, slots=True)
class TreeRoute:
    """The way from one block to another: blocks to undo (newest first), the last shared block, blocks to apply."""

    retracted: tuple[Header, ...]
    common: Header
    enacted: tuple[Header, ...]


def tree_route(header_of: HeaderOf, old: Header, new: Header) -> TreeRoute:
    """The way from block `old` to block `new`. What `header_of` raises for an unknown hash passes through."""
    retracted: list[Header] = []
    enacted: list[Header] = []
    while old.hash != new.hash:
        if old.number >= new.number:
            retracted.append(old)
            old = header_of(old.parent_hash)
        else:
            enacted.append(new)
            new = header_of(new.parent_hash)
    return TreeRoute(tuple(retracted), old, tuple(reversed(enacted)))


def is_better(route: TreeRoute, candidate: Header, best: Header, finalized: Header) -> bool:
    """Whether to leave `best`, which contains `finalized`, for `candidate`, along `route` from the one to the other."""
    return candidate.number > best.number and route.common.number >= finalized.number
