"""Levels of single loggers, changed while the process runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from node.logs import MAX_LOG_TARGETS, BadLogFilter, LogFilters


@pytest.fixture
def filters() -> Iterator[LogFilters]:
    made = LogFilters()
    yield made
    made.reset()


def level(name: str) -> int:
    return logging.getLogger(name).getEffectiveLevel()


def test_a_filter_sets_one_room_and_what_is_inside(filters: LogFilters) -> None:
    before = level("node.other")
    filters.add("some.room=trace, rpcs=off")
    assert level("node.some.room.inside") == level("some.room") == logging.DEBUG
    assert level("rpcs") > logging.CRITICAL
    assert level("node.other") == before


def test_a_level_alone_is_that_of_everything_until_the_reset(filters: LogFilters) -> None:
    before, other = level("some.room"), level("another")
    filters.add("error,some.room=info")
    assert (level("some.room"), level("another")) == (logging.INFO, logging.ERROR)
    filters.reset()
    assert (level("some.room"), level("another")) == (before, other)


@pytest.mark.parametrize("directives", ["", "loud", "a=", "a=b", "=", "a b=debug", "x" * 65 + "=debug", "a=debug,,"])
def test_what_is_no_filter_changes_nothing(filters: LogFilters, directives: str) -> None:
    with pytest.raises(BadLogFilter, match="target=level"):
        filters.add(f"kept.room=debug,{directives}")
    assert level("kept.room") == level("untouched.room")


def test_the_number_of_targets_is_bounded(filters: LogFilters) -> None:
    for number in range(MAX_LOG_TARGETS):
        filters.add(f"room{number}=debug")
    with pytest.raises(BadLogFilter, match="at most"):
        filters.add("another=debug")
    filters.add("room0=info")
