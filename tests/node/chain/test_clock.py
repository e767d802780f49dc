"""Clocks of the chain's driver."""

from __future__ import annotations

import pytest

from node.chain.clock import AdjustableClock, SystemClock


def test_an_adjustable_clock_is_the_machines_until_it_is_set() -> None:
    before = SystemClock().now_ms()
    now = AdjustableClock().now_ms()
    assert before <= now <= SystemClock().now_ms()


@pytest.mark.parametrize("ahead_ms", [10**6, 10**12])
def test_time_goes_on_from_where_it_was_set(ahead_ms: int) -> None:
    goal = SystemClock().now_ms() + ahead_ms
    clock = AdjustableClock()
    clock.travel_to(goal)
    assert goal <= clock.now_ms() < goal + 60_000
    restarted = AdjustableClock(not_before_ms=goal)
    assert goal <= restarted.now_ms() < goal + 60_000


def test_a_past_start_changes_nothing() -> None:
    assert AdjustableClock(not_before_ms=5).now_ms() <= SystemClock().now_ms()
