"""`import hypercore` as other programs do it: the names it has, what their types are, and what it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hypercore

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", hypercore.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(hypercore, name)
    assert name in dir(hypercore)
    if isinstance(value, type) or callable(value):
        assert value.__doc__, name


def test_type_checkers_see_exactly_the_names_that_are_there() -> None:
    stub = ast.parse((ROOT / "hypercore" / "__init__.pyi").read_text())
    seen = {
        alias.asname: f"{node.module}.{alias.name}"
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {name: f"{module}.{name}" for name, module in hypercore._HOMES.items()}


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Hyperbole'"):
        hypercore.Hyperbole  # noqa: B018
    with pytest.raises(ImportError):
        exec("from hypercore import Hyperbole")


def test_the_pure_modules_come_without_stores_and_sockets() -> None:
    program = (
        "import sys, hypercore, hypercore.proof, hypercore.replicate\n"
        "assert not [name for name in sys.modules if name == 'trio' or name.startswith('hypercore.io')]\n"
        "assert 'hypercore.io.log' not in sys.modules\n"
        "hypercore.Log\n"
        "assert 'hypercore.io.log' in sys.modules\n"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('node', 'pallets', 'runtime')]\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
