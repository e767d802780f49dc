"""Weight modules as `datdot bench pallets` writes them: the same measurements give the same bytes."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from node.bench.measure import Cost

CPU_FILE: Final = Path("/proc/cpuinfo")


def weight_module(pallet: str, costs: Mapping[str, Cost]) -> str:
    """The source of one pallet's weights, a constant a line in alphabetical order."""
    lines = [
        f'"""Weights of {pallet}, measured by `datdot bench pallets`; not to be edited by hand.',
        "",
        f"Machine: {machine()}. Times in picoseconds, first quartiles; then storage keys read and written.",
        '"""',
        "",
        "from pallets.weights import measured",
        "",
    ]
    lines += [f"{name} = {_measured(cost)}" for name, cost in sorted(costs.items())]
    return "\n".join(lines) + "\n"


def database_module(read_ps: int, write_ps: int) -> str:
    """The source of `pallets.weights.database`."""
    lines = [
        '"""What a storage key costs to read and to write, trie and disk included; measured by `datdot bench pallets`.',
        "",
        f"Machine: {machine()}. Times in picoseconds, first quartiles. Not to be edited by hand.",
        '"""',
        "",
        f"READ_PS = {read_ps:_}",
        f"WRITE_PS = {write_ps:_}",
    ]
    return "\n".join(lines) + "\n"


def machine() -> str:
    """The processor and the Python that were measured; nothing that differs between two runs on them."""
    name = platform.machine()
    if CPU_FILE.is_file():
        for line in CPU_FILE.read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name}, Python {'.'.join(platform.python_version_tuple()[:2])}"


def _measured(cost: Cost) -> str:
    touched = {"reads": cost.reads, "writes": cost.writes}
    options = "".join(f", {name}={count}" for name, count in touched.items() if count)
    return f"measured({cost.time_ps:_}{options})"
