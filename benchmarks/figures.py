"""What every benchmark hands back: one figure a line, with its goal and how far it is met, and the machine it is of."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """A measured value. `goal` is the most that is wanted, the least where `more_is_better`, None if there is none."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    more_is_better: bool = False

    @property
    def ratio(self) -> float | None:
        """How far the goal is met: above 1 it is."""
        if self.goal is None or not self.value:
            return None
        return self.value / self.goal if self.more_is_better else self.goal / self.value

    def to_json(self) -> dict[str, object]:
        """The figure for programs."""
        ratio = None if self.ratio is None else round(self.ratio, 3)
        return {"name": self.name, "value": self.value, "unit": self.unit, "goal": self.goal, "ratio": ratio}

    def __str__(self) -> str:
        line = f"  {self.name:<58}{_short(self.value):>10} {self.unit:<7}"
        if self.goal is not None and self.ratio is not None:
            line += f" goal {'≥' if self.more_is_better else '≤'} {_short(self.goal):>6}   {self.ratio:6.2f} ×"
        return line.rstrip()


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share of the values lies; 0 for none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def median_seconds(operation: Callable[[], object], times: int) -> float:
    """Median wall-clock time of one call."""
    durations = []
    for _ in range(times):
        start = time.perf_counter()
        operation()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations)


def machine() -> dict[str, object]:
    """Where the figures come from; "load" is the number of processes that already ran on it in the last minute."""
    return {
        "host": platform.node(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def show(figures: Sequence[Figure], as_json: bool = False) -> None:
    """Print figures, one a line. An indented name belongs to the one above; for programs it is written out."""
    above = ""
    for figure in figures:
        name = figure.name
        if name.startswith(" "):
            name = f"{above}: {name.strip()}"
        else:
            above = name
        print(json.dumps({**figure.to_json(), "name": name}) if as_json else figure, flush=True)


def progress(what: str) -> None:
    """Say on the error output what is being measured."""
    print(f"… {what}", file=sys.stderr, flush=True)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
