"""Projects made by `datdot new`, each under a name of its own: Python keeps the modules that it has imported."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from node.project import Project, project_here
from node.scaffold.project import new_chain

ROOT = Path(__file__).resolve().parents[3]
Invoke = Callable[..., tuple[int, str]]
_numbers = itertools.count()


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """A new chain's folder as the current one; its modules and its place on the path are forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    name = f"project_{next(_numbers)}"
    folder = new_chain(tmp_path, name).folder
    monkeypatch.chdir(folder)
    found = project_here()
    assert found is not None
    yield found
    for module in [one for one in sys.modules if one.partition(".")[0] == name]:
        del sys.modules[module]


@pytest.fixture
def invoke() -> Invoke:
    """Runs a command; its exit status and everything that it printed."""

    def run(app: typer.Typer, *arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, arguments)
        return result.exit_code, result.output

    return run
