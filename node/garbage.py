"""Cyclic garbage collection of a long-lived process: rare, and not over what has been there since the start."""

from __future__ import annotations

import gc
from typing import Final

ALLOCATIONS_BETWEEN_COLLECTIONS: Final = 20_000
"""Of the youngest generation; Python's 700 makes a busy node walk over its whole heap every second or two."""


def settle_garbage_collection() -> None:
    """Call once a program has started: what is alive now is taken to stay and is never walked over again.

    A full collection stops everything, 100 ms and more with the modules and metadata of a node.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS_BETWEEN_COLLECTIONS, *gc.get_threshold()[1:])
