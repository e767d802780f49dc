"""How `dev` and `localnet` tell what happens: JSON lines for programs, readable lines and bars for people."""

import sys
import time
from collections.abc import Mapping
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from node.cli.output import print_event


class Reporter(Protocol):
    """Receives every event of the development network."""

    def event(self, event: str, /, **values: Any) -> None:
        """Tells one event."""

    def block(self, number: int, contracts: Mapping[str, int]) -> None:
        """Tells that a block was made, and how many contracts are in which state."""

    def close(self) -> None:
        """Ends the display."""


class JsonReporter:
    """One JSON object a line."""

    def event(self, event: str, /, **values: Any) -> None:
        """Prints the event."""
        print_event(event, **values)

    def block(self, number: int, contracts: Mapping[str, int]) -> None:
        """Blocks are not among the events that scripts follow."""

    def close(self) -> None:
        """Nothing is left open."""


class TextReporter:
    """Lines for a person, a bar for sealing, and a line of counters at the bottom of a terminal."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stdout, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._progress.start()
        self._sealing: dict[str, TaskID] = {}
        self._proofs = 0
        self._paid_planck = 0

    def event(self, event: str, /, **values: Any) -> None:
        """Prints a sentence for the event."""
        if event == "sealing":
            self._show_sealing(values)
        elif event == "storage_proof_confirmed":
            self._proofs += 1
            if self._proofs <= 9 or self._proofs % 50 == 0:
                self._line(f"storage proof {self._proofs} confirmed (hoster {values['hoster']})")
        elif event == "paid":
            self._paid_planck += values["amount"]
        elif event in _SENTENCES:
            self._line(_SENTENCES[event].format(**values, dat=values.get("escrow", 0) / 1e9))
            if event == "available":
                self._show_peers(values)

    def block(self, number: int, contracts: Mapping[str, int]) -> None:
        """Keeps the counters of the last line current."""
        if not self._console.is_terminal:
            return
        task = self._sealing.get("") or self._progress.add_task("")
        self._sealing[""] = task
        states = ", ".join(f"{count} {state.lower()}" for state, count in contracts.items() if count)
        text = f"block {number} · {self._proofs} proofs · {self._paid_planck / 1e9:.6f} DAT paid · {states or 'idle'}"
        self._progress.update(task, description=text, visible=True)

    def close(self) -> None:
        """Removes the bars."""
        self._progress.stop()

    def _show_sealing(self, values: Mapping[str, Any]) -> None:
        task = self._sealing.get("sealing")
        if task is None:
            task = self._sealing["sealing"] = self._progress.add_task("sealing chunks", total=values["total"])
        self._progress.update(task, completed=values["done"], total=values["total"])
        if values["done"] == values["total"]:
            self._line(f"sealed: {values['total']} chunks")

    def _show_peers(self, values: Mapping[str, Any]) -> None:
        peers = " ".join(f"{peer['host']}:{peer['port']}" for peer in values["peers"])
        self._line(f"  key    {values['key']}")
        self._line(f"  id     {values['z32']}")
        self._line(f"  peers  {peers}")
        self._line(f"  fetch  node tests/interop/hypercore/reader.mjs {values['key']} {peers.replace(' ', ',')}")

    def _line(self, text: str) -> None:
        self._console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {text}")


_SENTENCES = {
    "ready": "market ready: JSON-RPC {rpc} · status page {app}",
    "node_started": "{role} {name} started: process {pid}, JSON-RPC {rpc}",
    "feed_published": "feed {feed} published: {length} blocks, key {key}",
    "plan_published": "plan {plan} published: {contracts} contracts, {dat:.3f} DAT in escrow",
    "hosting_started": "contract {contract}: hosting started at hoster {hoster}",
    "available": "available: {bytes} bytes in {length} blocks, read back from the hosters, SHA-256 {sha256}",
}
