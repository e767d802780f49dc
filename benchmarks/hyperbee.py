"""Hyperbee against npm `hyperbee`, side by side in one run: `python -m benchmarks.hyperbee [--quick]`.

Keys in random order, the same for both, each language in a process of its own, in interleaved rounds of which the
median counts. Ours syncs each append before it returns; JavaScript never syncs. A goal of 1 is as fast as JavaScript.
"""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.figures import Figure, progress, show
from tests.interop.node import find_node

SCRIPT: Final = Path(__file__).resolve().parents[1] / "tests" / "interop" / "hypercore" / "bee_speed.mjs"
ROUNDS: Final = 3
KEYS: Final = 20_000
BATCH_KEYS: Final = 500
SINGLE_KEYS: Final = 2000
MEMORY_MEBIBYTES: Final = 100
STEPS: Final = {
    "puts": f"put, {BATCH_KEYS} keys a batch",
    "singles": "put, one at a time",
    "deletes": f"delete, {BATCH_KEYS} keys a batch",
    "gets": "get of random keys, store just opened",
    "range": "range over all keys, store just opened",
}


def workload(keys: int) -> dict[str, object]:
    """What both do, on so many keys."""
    generator = random.Random(1)
    names = [f"key {number:06d}" for number in range(keys)]
    shuffled = [generator.sample(names, keys) for _ in range(4)]
    parts = (shuffled[0], shuffled[1][: keys // 2], shuffled[2][:SINGLE_KEYS], shuffled[3][: keys // 3])
    return {"batch": BATCH_KEYS, **dict(zip(("puts", "gets", "singles", "deletes"), parts, strict=True))}


def figures(*, quick: bool = False) -> list[Figure]:
    """Every step in both languages, in keys a second; with `quick` one round of an eighth of the keys."""
    commands = {
        "JavaScript": [str(find_node()), str(SCRIPT)],
        "Python": [sys.executable, "-m", "benchmarks.hyperbee_peer"],
    }
    keys = KEYS // 8 if quick else KEYS
    answers: dict[str, list[dict[str, float]]] = {language: [] for language in commands}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder) / "work"
        work.write_text(json.dumps(workload(keys)))
        for number in range(1 if quick else ROUNDS):
            for language, command in commands.items():
                progress(f"{keys} keys, {language}, round {number + 1}")
                answer = subprocess.run([*command, str(work)], check=True, capture_output=True, text=True).stdout
                answers[language].append(json.loads(answer))
    out = []
    for step, name in STEPS.items():
        theirs, ours = (statistics.median(answer[step] for answer in found) for found in answers.values())
        out.append(Figure(f"{name}: JavaScript", theirs, "keys/s"))
        out.append(Figure(f"{name}: Python", ours, "keys/s", theirs, True))
        if step == "singles":
            ours = statistics.median(answer["unsynced"] for answer in answers["Python"])
            out.append(Figure(f"{name}: Python, no sync", ours, "keys/s", theirs, True))
    memory = max(answer["megabytes_of_memory"] for answer in answers["Python"])
    return [*out, Figure("memory of the Python process", memory, "MiB", MEMORY_MEBIBYTES)]


if __name__ == "__main__":
    show(figures(quick="--quick" in sys.argv), "--json" in sys.argv)
