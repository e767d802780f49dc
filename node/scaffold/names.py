"""Which names a new chain or pallet may have: those that Python, this package and the written files leave free."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import keyword
import re
import sys
from collections.abc import Iterable

from runtime.types import camel_case

MAX_NAME_LETTERS = 40
SHAPE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


class NameRefused(Exception):
    """A name cannot be taken: one sentence that says why and what to do."""


def check_name(name: str) -> None:
    """Refuse what makes no good module name. Raises NameRefused."""
    if not SHAPE.fullmatch(name) or len(name) > MAX_NAME_LETTERS:
        proposal = re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()).strip("_")
        hint = f": {proposal} would do" if SHAPE.fullmatch(proposal) and len(proposal) <= MAX_NAME_LETTERS else ""
        raise NameRefused(
            f"{name!r} is no name for a Python module: use small letters, digits and single underscores, a letter"
            f" first, at most {MAX_NAME_LETTERS}{hint}"
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or hasattr(builtins, name):
        raise NameRefused(f"{name!r} means something to Python itself: choose another name")


def check_package_name(name: str) -> None:
    """Refuse what Python would find elsewhere. Raises NameRefused."""
    check_name(name)
    if name in sys.stdlib_module_names:
        raise NameRefused(f"{name!r} is a module of Python's library: choose another name")
    found = importlib.util.find_spec(name)
    if found is not None and found.origin is not None:
        raise NameRefused(f"{name!r} is the name of an installed module, which would be found first: choose another")


def check_pallet_name(name: str, present: Iterable[str], sources: Iterable[str]) -> None:
    """Refuse the names of the runtime's pallets and of what stands in the sources that are written for it.

    `present` holds the names of the pallets as in the metadata. Raises NameRefused.
    """
    check_name(name)
    same = {pallet.lower(): pallet for pallet in present}.get(name.replace("_", ""))
    if same is not None:
        raise NameRefused(f"the runtime has a pallet {same} already: choose another name")
    used = {word for source in sources for word in identifiers(source)}
    if {name, camel_case(name)} & used:
        raise NameRefused(f"{name!r} is used in the files that are written for the pallet: choose another name")


def identifiers(source: str) -> set[str]:
    """Every name that a Python source binds or reads."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.update(node.name.split("."))
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.update(node.module.split("."))
    return found
