"""How `dev` and `localnet` tell what happens: JSON lines for programs, readable lines and bars for people."""

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from node.output import print_event, printable

COPIES = 3
"""Hosters of a contract."""


@dataclass(frozen=True)
class MarketBlock:
    """What a block did: contracts by the name of their state after it, proofs confirmed and planck paid in it."""

    number: int
    contracts: Mapping[str, int]
    proofs: int
    paid_planck: int


class Reporter(Protocol):
    """Receives every event of the development network."""

    def event(self, event: str, /, **values: Any) -> None:
        """Tells one event."""

    def block(self, block: MarketBlock) -> None:
        """Tells that a block was made."""

    def close(self) -> None:
        """Ends the display."""


class JsonReporter:
    """One JSON object a line."""

    def event(self, event: str, /, **values: Any) -> None:
        """Prints the event."""
        print_event(event, **values)

    def block(self, block: MarketBlock) -> None:
        """Blocks are not among the events that scripts follow."""

    def close(self) -> None:
        """Nothing is left open."""


class TextReporter:
    """Lines for a person; on a terminal also a bar for sealing and a line of counters at the bottom."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stdout, highlight=False)
        columns = (TextColumn("sealing"), BarColumn(bar_width=40), MofNCompleteColumn(), TimeElapsedColumn())
        self._bar = Progress(*columns, console=self._console)
        self._sealing: TaskID | None = None
        self._live = Live(console=self._console, transient=True, auto_refresh=False)
        if self._console.is_terminal:
            self._live.start()
        self._hosters: dict[int, list[int]] = {}
        self._is_proven = False
        self._proofs = 0
        self._paid_planck = 0

    def event(self, event: str, /, **values: Any) -> None:
        """Prints a sentence for the event, or moves a counter."""
        if event == "sealing":
            self._show_sealing(values["done"], values["total"])
        elif event == "hosting_started":
            self._show_hosting(values["contract"], values["hoster"])
        elif event == "storage_proof_confirmed" and not self._is_proven:
            self._is_proven = True
            self._line(f"first storage proof confirmed: hoster {values['hoster']}")
        elif event in _SENTENCES:
            self._line(_SENTENCES[event].format(**values, dat=values.get("escrow", 0) / 1e9))
            self._show_more(event, values)

    def block(self, block: MarketBlock) -> None:
        """Keeps the counters of the last line current."""
        self._proofs += block.proofs
        self._paid_planck += block.paid_planck
        if not self._console.is_terminal:
            return
        states = ", ".join(f"{count} {state.lower()}" for state, count in block.contracts.items() if count) or "none"
        paid = f"{self._paid_planck / 1e9:.3f} DAT paid"
        counters = Text(f"block {block.number} · contracts: {states} · {self._proofs} proofs · {paid}")
        is_sealing = self._sealing is not None and not self._bar.finished
        self._live.update(Group(self._bar, counters) if is_sealing else counters, refresh=True)

    def close(self) -> None:
        """Removes the last lines."""
        self._live.stop()

    def _show_sealing(self, done: int, total: int) -> None:
        if self._sealing is None:
            self._sealing = self._bar.add_task("sealing", total=total)
        self._bar.update(self._sealing, completed=done, total=total)
        if done == total:
            self._line(f"sealed: {total} chunks in three copies" if total % 3 == 0 else f"sealed: {total} chunks")

    def _show_hosting(self, contract: int, hoster: int) -> None:
        hosters = self._hosters.setdefault(contract, [])
        hosters.append(hoster)
        if len(hosters) == COPIES:
            self._line(f"contract {contract}: hosted by {', '.join(map(str, sorted(hosters)))}")

    def _show_more(self, event: str, values: Mapping[str, Any]) -> None:
        """The lines below some sentences: what was left out, and how to fetch what is available."""
        for path in values.get("left_out", ()):
            self._line(f"  left out  {printable(path)}")
        if event not in ("available", "drive_available") or "drive" in values:
            return
        peers = [f"{peer['host']}:{peer['port']}" for peer in values["peers"]]
        self._line(f"  key    {values['key']}")
        self._line(f"  id     {values['z32']}")
        if event == "available":
            self._line(f"  fetch  datdot core clone {values['key']} {' '.join(peers)} --to copy")
        else:
            options = " ".join(f"--peer {peer}" for peer in peers)
            self._line(f"  fetch  datdot drive mirror store --key {values['key']} {options} --to copy")

    def _line(self, text: str) -> None:
        self._console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {escape(text)}", soft_wrap=True)


_SENTENCES = {
    "ready": "market ready: JSON-RPC {rpc} · status page {app}",
    "chain_ready": "chain ready: JSON-RPC {rpc}",
    "watching": "watching {files} files of {package}: save one and the chain takes it up",
    "upgraded": "the source has changed since: the chain was upgraded to spec version {spec_version}",
    "reloaded": "reloaded in {milliseconds} ms: spec version {spec_version} from block {block} on",
    "read_anew": (
        "values stored earlier are now read as another type and may mean something else: {items}. "
        "Where that is wrong, give the new type another storage name, or begin a new chain"
    ),
    "runtime_bug": "the runtime failed while a block was made; what ran into it was left out\n{error}",
    "unchanged": "the source is that of the running chain",
    "reload_refused": "not reloaded: {error}",
    "node_started": "{role} {name} started: process {pid}, JSON-RPC {rpc}",
    "folder_read": "{folder} read: {files} files, {bytes} bytes, as Hyperdrive {drive[key]}",
    "folder_changed": (
        "{folder} changed since its drive was published ({added} added, {changed} changed, {removed} removed): "
        "the drive is hosted as it was, for hosted cores cannot grow yet; to host the folder as it is now, "
        "share it with another --data directory"
    ),
    "nothing_to_host": "core {key} has no blocks: all files are empty or links, so there is nothing to host",
    "feed_published": "feed {feed} published: {length} blocks, key {key}",
    "plan_published": "plan {plan} published: {contracts} contracts, {dat:.3f} DAT in escrow",
    "waiting_for_providers": (
        "no provider is free for {contracts} contracts so far: they wait until hosting ends elsewhere, "
        "or until further providers join"
    ),
    "available": "available: {bytes} bytes in {length} blocks, read back from the hosters, SHA-256 {sha256}",
    "drive_available": "drive available: version {version}, every file can be read from the hosters",
}
