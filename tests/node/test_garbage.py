"""Garbage collection of a long-lived process."""

import gc
from collections.abc import Iterator

import pytest

from node.garbage import ALLOCATIONS_BETWEEN_COLLECTIONS, settle_garbage_collection


@pytest.fixture
def settled() -> Iterator[None]:
    before = gc.get_threshold()
    settle_garbage_collection()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.usefixtures("settled")
def test_what_is_alive_at_the_start_is_not_walked_over_again() -> None:
    assert gc.get_freeze_count() > 0
    assert gc.get_threshold()[0] == ALLOCATIONS_BETWEEN_COLLECTIONS


@pytest.mark.usefixtures("settled")
def test_cycles_made_later_are_still_collected() -> None:
    assert gc.isenabled()
    gc.collect()
    cycle: list[object] = []
    cycle.append(cycle)
    del cycle
    assert gc.collect() >= 1
