"""How long a piece of the runtime takes and what storage it touches: the engine of `datdot bench pallets`.

Every repetition starts from encoded state and ends with encoded changes, as in a block. Keys that every extrinsic
touches anyway (events, the block's weight and number) are not counted: they are part of the base weight.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from runtime.construct import Runtime
from runtime.crypto import twox128
from runtime.state import Overlay, StateView

REPETITIONS: Final = 30
WARM_UP: Final = 3
TIME_STEP_PS: Final = 1_000_000
"""Times are rounded up to whole microseconds."""

UNIT_STEP_PS: Final = 1_000
"""Times per unit of a component are rounded up to whole nanoseconds."""

PICOSECONDS_PER_NANOSECOND: Final = 1_000
EVERYWHERE: Final = frozenset(
    twox128(b"System") + twox128(item)
    for item in (b"Events", b"EventCount", b"Number", b"ExecutionPhase", b"BlockWeight", b"Digest", b"ExtrinsicCount")
)


class BenchmarkFailed(Exception):
    """A scenario did not do what it is to measure."""


@dataclass(frozen=True)
class Cost:
    """Picoseconds, storage keys read, storage keys written."""

    time_ps: int
    reads: int
    writes: int


@dataclass(frozen=True)
class Sample:
    """Work to be timed over a state, with the runtime bound to it."""

    runtime: Runtime
    state: StateView
    work: Callable[[], object]


@dataclass(frozen=True)
class Scenario:
    """What a constant measures: `make(size)` gives the work with a component of that size.

    With a `unit`, a second constant `NAME_PER_UNIT` holds the slope between the two sizes; else only the first counts.
    """

    pallet: str
    name: str
    make: Callable[[int], Sample]
    unit: str | None = None
    sizes: tuple[int, int] = (0, 0)


class _CountingView:
    """A state that remembers which keys were read."""

    def __init__(self, view: StateView) -> None:
        self._view = view
        self.read: set[bytes] = set()

    def get(self, key: bytes) -> bytes | None:
        self.read.add(key)
        return self._view.get(key)

    def keys(self, prefix: bytes, start: bytes | None, limit: int) -> list[bytes]:
        found = self._view.keys(prefix, start, limit)
        self.read.update(found)
        return found


def measure(scenario: Scenario) -> dict[str, Cost]:
    """The costs of a scenario by constant. Raises BenchmarkFailed."""
    low, high = scenario.sizes
    try:
        small = cost_of(scenario.make(low))
        large = cost_of(scenario.make(high)) if scenario.unit is not None else small
    except Exception as error:
        raise BenchmarkFailed(f"{scenario.pallet}.{scenario.name}: {error!r}") from error
    if scenario.unit is None:
        return {scenario.name: rounded(small, TIME_STEP_PS)}
    units = high - low
    slope = Cost(
        max(large.time_ps - small.time_ps, 0) // units,
        max(large.reads - small.reads, 0) // units,
        max(large.writes - small.writes, 0) // units,
    )
    base = Cost(
        max(small.time_ps - slope.time_ps * low, 0),
        max(small.reads - slope.reads * low, large.reads - slope.reads * high, 0),
        max(small.writes - slope.writes * low, large.writes - slope.writes * high, 0),
    )
    return {
        scenario.name: rounded(base, TIME_STEP_PS),
        f"{scenario.name}_PER_{scenario.unit}": rounded(slope, UNIT_STEP_PS),
    }


def cost_of(sample: Sample) -> Cost:
    """Time of the work from encoded state to encoded changes, and the keys that it touched."""
    times = []
    counting = _CountingView(sample.state)
    overlay = Overlay(counting)
    with sample.runtime.bind(overlay):
        sample.work()
    changes = overlay.changes()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        for repetition in range(WARM_UP + REPETITIONS):
            overlay = Overlay(sample.state)
            with sample.runtime.bind(overlay):
                begin = time.perf_counter_ns()
                sample.work()
                overlay.changes()
                spent = time.perf_counter_ns() - begin
            if repetition >= WARM_UP:
                times.append(spent)
    finally:
        if was_enabled:
            gc.enable()
    own_reads = [key for key in counting.read if key not in EVERYWHERE]
    own_writes = [key for key in changes if key not in EVERYWHERE]
    return Cost(typical_ns(times) * PICOSECONDS_PER_NANOSECOND, len(own_reads), len(own_writes))


def typical_ns(times: Sequence[int]) -> int:
    """The first quartile: what interrupts a measurement only ever makes it longer."""
    return int(statistics.quantiles(times, n=4)[0])


def rounded(cost: Cost, step_ps: int) -> Cost:
    """The cost with its time rounded up to a multiple of `step_ps`."""
    return Cost(-(-cost.time_ps // step_ps) * step_ps, cost.reads, cost.writes)
