"""What `datdot new` writes: a small chain of its own outside of this package, or one more pallet for it."""

from __future__ import annotations

import dataclasses
import importlib.resources
import string
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from node.devnet.chain_file import development_spec
from node.project import Project
from node.runtime_source import node_runtime
from node.scaffold.names import NameRefused, check_package_name, check_pallet_name
from pallets.chain import build_runtime
from pallets.chain_file import chain_file_text
from runtime.construct import Runtime
from runtime.genesis import ChainSpec
from runtime.types import camel_case

FIRST_PALLET: Final = "counter"
FIRST_INDEX: Final = 50
LAST_INDEX: Final = 255
PROVIDERS: Final = 9
"""Accounts of //Provider//1 … that the chain file funds, for chains that take the hosting market in."""

SOURCES: Final = ("pallet.py", "chain.py", "test_pallet.py")


class TargetExists(Exception):
    """Something stands where the files would be written: one sentence."""


@dataclass(frozen=True)
class Written:
    """The folder and the files that were written, and the pallet's name as in the metadata and index."""

    folder: Path
    files: tuple[Path, ...]
    title: str
    index: int


def new_chain(parent: Path, name: str, pallet: str = FIRST_PALLET) -> Written:
    """Write a project with a chain and one pallet into `parent / name`. Raises NameRefused, TargetExists, OSError."""
    check_package_name(name)
    _check_pallet(pallet, build_runtime(), name)
    folder = parent / name
    if folder.exists():
        raise TargetExists(f"{folder} exists already: choose another name or folder")
    words = _words(name, pallet, FIRST_INDEX)
    files = {
        "pyproject.toml": _render("pyproject.toml", words),
        "README.md": _render("README.md", words),
        "chain.json": chain_file_text(_chain_file(name)),
        f"{name}/__init__.py": f'"""The chain {name}."""\n',
        f"{name}/chain.py": _render("chain.py", words),
        f"{name}/{pallet}.py": _render("pallet.py", words),
        "tests/conftest.py": _render("conftest.py", words),
        f"tests/test_{pallet}.py": _render("test_pallet.py", words),
    }
    folder.mkdir()
    return Written(folder, _write(folder, files), words["title"], FIRST_INDEX)


def new_pallet(project: Project, name: str) -> Written:
    """Write one more pallet and its test into a project; the chain module is the builder's to change.

    Raises NameRefused, TargetExists, OSError, and whatever keeps the project's runtime from being built.
    """
    spec = project.spec()
    package = (spec.runtime or "").partition(":")[0].partition(".")[0]
    if not (project.folder / package / "__init__.py").is_file():
        raise NameRefused(f"{project.chain_file} names no runtime of a package in {project.folder}")
    runtime = node_runtime(spec)
    _check_pallet(name, runtime, package)
    index = max(FIRST_INDEX - 1, *(pallet.index for pallet in runtime.pallets)) + 1
    if index > LAST_INDEX:
        raise NameRefused(f"the runtime has a pallet of index {LAST_INDEX}: there is no index after it")
    words = _words(package, name, index)
    files = {
        f"{package}/{name}.py": _render("pallet.py", words),
        f"tests/test_{name}.py": _render("test_pallet.py", words),
    }
    for file in files:
        if (project.folder / file).exists():
            raise TargetExists(f"{project.folder / file} exists already: choose another name")
    return Written(project.folder, _write(project.folder, files), words["title"], index)


def _check_pallet(name: str, runtime: Runtime, package: str) -> None:
    if name == package:
        raise NameRefused(f"{name!r} is the name of the package: choose another name")
    words = _words("a_package", "a_pallet", FIRST_INDEX)
    sources = [_render(source, words) for source in SOURCES]
    pallets = (*runtime.pallets, *build_runtime().pallets)
    check_pallet_name(name, (pallet.name for pallet in pallets), sources)


def _chain_file(name: str) -> ChainSpec:
    """A development chain: //Alice makes blocks and is sudo, the development accounts and providers are funded."""
    title = name.replace("_", " ").title()
    spec = development_spec(1, PROVIDERS, block_time_seconds=1.0, name=title, chain_type="Development")
    genesis = {pallet: section for pallet, section in spec.genesis.items() if pallet != "constants"}
    return dataclasses.replace(spec, id=name, genesis=genesis, runtime=f"{name}.chain:runtime_for")


def _words(package: str, pallet: str, index: int) -> dict[str, str]:
    title = camel_case(pallet)
    return {
        "package": package, "pallet": pallet, "title": title, "index": str(index), "version": version("datdot"),
    }  # fmt: skip


def _render(name: str, words: Mapping[str, str]) -> str:
    text = importlib.resources.files("node.scaffold").joinpath("templates", f"{name}.txt").read_text(encoding="utf-8")
    return string.Template(text).substitute(words)


def _write(folder: Path, files: Mapping[str, str]) -> tuple[Path, ...]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    return tuple(folder / name for name in files)
