"""Waiting for a block, for providers, or for randomness: the calendar and the lines, both without scans.

The calendar holds tasks under the block in which they are due; a block carries out a bounded number of them and leaves
the rest to the next. A task is never taken out: whoever carries it out looks whether it is still wanted. A line is a
queue of ids, first come, first served.
"""

from __future__ import annotations

from dataclasses import replace

from pallets.datdot.agenda import PARKED_LINE, Bounds, Due, Line
from pallets.datdot.storage import Market


def schedule(market: Market, block: int, task: Due) -> None:
    """Put a task into the calendar for a later block; in the current one it would be carried out in the next."""
    number = market.due_count.get(block)
    market.due.put(block, number, task)
    market.due_count.put(block, number + 1)


def next_due(market: Market, now: int) -> Due | None:
    """Take the next task that is due in block `now` or before, or none."""
    block, number = market.due_cursor.get()
    while number >= market.due_count.get(block):
        if block == now:
            market.due_cursor.put((block, number))
            return None
        market.due_count.remove(block)
        block, number = block + 1, 0
    task = market.due.get(block, number)
    assert task is not None
    market.due.remove(block, number)
    market.due_cursor.put((block, number + 1))
    return task


def push(market: Market, line: Line, item_id: int, *, tried: bool = False) -> None:
    """Stand at the end of a line; `tried` entries wait for a `wake`."""
    bounds = market.line_bounds.get(line)
    market.line.put(line, bounds.tail, item_id)
    market.line_bounds.put(line, Bounds(bounds.head, bounds.tail + 1, bounds.tries + (0 if tried else 1)))


def peek(market: Market, line: Line) -> int | None:
    """The first of a line if it may be served now."""
    bounds = market.line_bounds.get(line)
    return market.line.get(line, bounds.head) if bounds.tries else None


def pop(market: Market, line: Line) -> int | None:
    """Take the first of a line if it may be served now."""
    item_id = peek(market, line)
    if item_id is not None:
        bounds = market.line_bounds.get(line)
        market.line.remove(line, bounds.head)
        market.line_bounds.put(line, Bounds(bounds.head + 1, bounds.tail, bounds.tries - 1))
    return item_id


def wake(market: Market) -> None:
    """Let everybody who waits for providers try again, in their order."""
    for line in PARKED_LINE.values():
        bounds = market.line_bounds.get(line)
        if bounds.tries != bounds.tail - bounds.head:
            market.line_bounds.put(line, replace(bounds, tries=bounds.tail - bounds.head))
