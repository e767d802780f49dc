"""Every benchmark, one after the other: `python -m benchmarks [--only NAME …] [--json] [--list]`.

Prints the machine first, then a line per figure: value, goal, and the ratio to the goal (above 1 it is met). A figure
never fails a run: it says how fast this machine was while it did whatever else it did.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Final, cast

from benchmarks.figures import Figure, machine, show

BENCHMARKS: Final[Mapping[str, str]] = {
    "dev_market": "start-up and idle memory of `datdot dev`",
    "hosting": "hosting a 5 MB file on `datdot dev`, and its memory",
    "transfers": "signed transfers a second through JSON-RPC",
    "ethereum": "transfers and reads beside anvil and hardhat, in the same run",
    "proofs": "checking a proof of storage on chain",
    "rpc": "metadata and storage reads through JSON-RPC",
    "subscribers": "a thousand clients that follow new heads",
    "chain": "authoring and importing full blocks",
    "runtime": "the state transition alone",
    "sealing": "sealing and opening chunks",
    "hypercore": "appending and replicating hypercores, against npm hypercore in the same run",
    "hyperbee": "writing and reading a Hyperbee, against npm hyperbee in the same run",
    "reload": "an edit of a pallet until a client has its metadata",
    "gossip": "messages between two hosts",
}


def run(name: str) -> list[Figure]:
    """The figures of one benchmark."""
    figures = cast("Callable[[], list[Figure]]", import_module(f"benchmarks.{name}").figures)
    return figures()


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", metavar="NAME", choices=BENCHMARKS, action="append", help="; ".join(BENCHMARKS))
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--list", action="store_true", help="name the benchmarks and end")
    options = parser.parse_args()
    if options.list:
        for name, what in BENCHMARKS.items():
            print(f"{name:<12}{what}")
        return
    print(json.dumps({"machine": machine()}) if options.json else "  ".join(f"{k}: {v}" for k, v in machine().items()))
    broken = []
    for name in options.only or BENCHMARKS:
        if not options.json:
            print(f"{name}: {BENCHMARKS[name]}")
        try:
            show(run(name), options.json)
        except Exception:
            traceback.print_exc()
            broken.append(name)
    if broken:
        sys.exit(f"these benchmarks could not run: {', '.join(broken)}")


if __name__ == "__main__":
    main()
