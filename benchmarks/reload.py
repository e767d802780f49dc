"""How fast an edit of a pallet reaches a client: `python -m benchmarks.reload`.

A new project's chain runs with `datdot dev --watch`; a client asks for the runtime's version. Measured from the
moment after a file was saved to the moment at which the client has the new metadata, medians of a few edits.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figure, progress, show
from node.scaffold.project import new_chain
from tests.e2e.processes import DATDOT, Program

GOAL_MS: Final = 1_000
EDITS: Final = 7


def call(url: str, method: str) -> Any:
    """The result of a JSON-RPC call without parameters."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": []}).encode()
    request = urllib.request.Request(url.replace("ws:", "http:"), body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["result"]


def edits_ms(url: str, pallet: Path) -> list[float]:
    """Milliseconds from saving to having the metadata with the new item, for each edit."""
    times = []
    text = pallet.read_text()
    version = call(url, "state_getRuntimeVersion")["specVersion"]
    for number in range(EDITS):
        item = f'    item_{number} = StorageValue(U64, default=7, docs="New.")\n    added = StorageMap'
        saved = time.perf_counter()
        pallet.write_text(text.replace("    added = StorageMap", item))
        while call(url, "state_getRuntimeVersion")["specVersion"] == version:
            time.sleep(0.005)
        metadata = bytes.fromhex(call(url, "state_getMetadata")[2:])
        times.append(1_000 * (time.perf_counter() - saved))
        if f"Item{number}".encode() not in metadata:
            raise RuntimeError("the metadata lacks the new item")
        version += 1
    return times


def figures() -> list[Figure]:
    """Run the benchmark."""
    progress("reloading a pallet")
    with tempfile.TemporaryDirectory(prefix="datdot-bench-") as folder:
        project = new_chain(Path(folder), "bench_chain").folder
        command = [*DATDOT, "dev", "--watch", "--json", "--rpc-port", "0"]
        with closing(Program(command, project)) as program:
            url = program.event("chain_ready")["rpc"]
            program.event("watching")
            times = edits_ms(url, project / "bench_chain" / "counter.py")
    return [
        Figure("reload: a pallet saved to its metadata at a client, median", statistics.median(times), "ms", GOAL_MS),
        Figure("  the slowest", max(times), "ms", GOAL_MS),
    ]


if __name__ == "__main__":
    show(figures())
