"""Fuzzes every target for a while: `python -m tests.fuzz [--seconds 60] [--jobs 2] [TARGET…]`.

Each target runs in a process of its own, guided by coverage with atheris where that is installed, else with mutations
of the corpus. Prints executions and corpus size of each; inputs found on the way are kept in `.fuzz/` and used again.
An input that breaks a target is printed, kept in `.fuzz/` as `TARGET-crash-…`, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.targets import CORPUS, TARGETS, corpus, mutations

ROOT = Path(__file__).parents[2]
FOUND = ROOT / ".fuzz"
GRACE_SECONDS = 60
MUTATIONS_A_ROUND = 200
GUIDED = "import sys; from tests.fuzz.guided import main; main(sys.argv)"
MEMORY_MEBIBYTES = 1024


def guided(name: str, seconds: int) -> tuple[int, int, str]:
    """Runs atheris; returns executions, corpus size, and what went wrong."""
    folder = FOUND / name
    folder.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20", f"-rss_limit_mb={MEMORY_MEBIBYTES}",
        f"-artifact_prefix={FOUND}/{name}-", "-print_final_stats=1", "-verbosity=1",
    ]  # fmt: skip
    result = subprocess.run(
        [sys.executable, "-c", GUIDED, name, *options, str(folder), str(CORPUS / name)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds + GRACE_SECONDS,
        check=False,
    )
    counted = re.search(r"number_of_executed_units: (\d+)", result.stderr)
    problem = "" if result.returncode == 0 else result.stdout[-3000:] + result.stderr[-1000:]
    return int(counted.group(1)) if counted else 0, len(list(folder.iterdir())), problem


def unguided(name: str, seconds: int) -> tuple[int, int, str]:
    """Mutates the corpus; returns executions, corpus size, and what went wrong."""
    inputs, executions, end = corpus(name), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for data in mutations(inputs, MUTATIONS_A_ROUND, seed=executions):
            try:
                TARGETS[name](data)
            except Exception as error:
                FOUND.mkdir(exist_ok=True)
                (FOUND / f"{name}-crash-{executions}").write_bytes(data)
                return executions, len(inputs), f"{error!r} for {data.hex()}"
            executions += 1
    return executions, len(inputs), ""


def main() -> int:
    """Runs the targets and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"one of {', '.join(TARGETS)}; all unless given")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--jobs", type=int, default=2, help="targets at once (2)")
    options = parser.parse_args()
    unknown = sorted(set(options.targets) - set(TARGETS))
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)}")
    has_atheris = importlib.util.find_spec("atheris") is not None
    print("guided by coverage (atheris)" if has_atheris else "atheris is not installed: mutations of the corpus only")
    run = guided if has_atheris else unguided
    names = options.targets or list(TARGETS)
    broken = 0
    with ThreadPoolExecutor(options.jobs if has_atheris else 1) as pool:
        results = pool.map(lambda name: run(name, options.seconds), names)
        print(f"{'target':16} {'executions':>12} {'corpus':>8}")
        for name, (executions, size, problem) in zip(names, results, strict=True):
            print(f"{name:16} {executions:12} {size:8}  {'BROKEN' if problem else 'ok'}", flush=True)
            if problem:
                broken += 1
                print(problem, file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
