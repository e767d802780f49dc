"""DatDot as people get it: a wheel built from this tree, installed with its dependencies into an empty environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.e2e.processes import ROOT

PARTS = ("node", "pallets", "runtime", "hypercore", "genesis", "pyproject.toml", "README.md", "LICENSE")
SECONDS = 400


def run(command: Sequence[str | Path], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """What a command printed; its end with another status than 0 is an error with all that it said."""
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, env=environment, capture_output=True, text=True,
        timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def build_wheel(folder: Path) -> Path:
    """The wheel of this tree, built from a copy: building leaves files behind."""
    copy = folder / "source"
    for part in PARTS:
        original = ROOT / part
        if original.is_dir():
            shutil.copytree(original, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(original, copy / part)
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, "."], copy, clean_environment())
    (wheel,) = folder.glob("datdot-*.whl")
    return wheel


def names_in(wheel: Path) -> set[str]:
    """The files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def clean_environment(first_on_path: Path | None = None) -> dict[str, str]:
    """The variables of this process without those that lead Python to this tree."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    path = variables.get("PATH", os.defpath)
    return {
        **variables,
        "PATH": path if first_on_path is None else f"{first_on_path}{os.pathsep}{path}",
        "PYTHONUNBUFFERED": "1",
    }


def install(wheel: Path, folder: Path) -> Path:
    """An environment with the wheel, its dependencies at the locked versions, and pytest; returns its bin folder."""
    locked = re.findall(r"^[a-z0-9][^\s=]*==\S+", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    (folder / "versions.txt").write_text("\n".join(locked))
    run([sys.executable, "-m", "venv", folder / "venv"], folder, clean_environment())
    binaries = folder / "venv" / "bin"
    options = ("--quiet", "--disable-pip-version-check", "-c", folder / "versions.txt")
    run([binaries / "python", "-m", "pip", "install", *options, wheel, "pytest"], folder, clean_environment())
    return binaries
