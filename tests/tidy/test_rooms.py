"""The order inside the rooms: no circles, and every folder says what it is."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.tidy.test_architecture import ROOMS, ROOT, imports_of, python_files


def file_of(module: str) -> Path | None:
    """The file of this tree that an imported name comes from: `a.b.c` is a/b/c.py, or a name in a/b.py."""
    parts = module.split(".")
    for end in (len(parts), len(parts) - 1):
        path = ROOT.joinpath(*parts[:end])
        for found in (path.with_suffix(".py"), path / "__init__.py"):
            if found.is_file():
                return found
    return None


def circles(imports: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """Whoever reaches itself, with those through which it does."""
    reached: dict[str, set[str]] = {}
    for start in imports:
        waiting, found = list(imports[start]), set[str]()
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += imports.get(name, ())
        reached[start] = found
    done = set[str]()
    for name in sorted(imports):
        if name in reached[name] and name not in done:
            circle = sorted(other for other in reached[name] if name in reached[other])
            done.update(circle)
            yield circle


def test_files_do_not_import_each_other_in_a_circle() -> None:
    """Imports for types count as well: who names a type must be read after it."""
    imports = {
        str(path.relative_to(ROOT)): {
            str(found.relative_to(ROOT)) for _, module in imports_of(path) if (found := file_of(module)) is not None
        }
        for path in python_files(*ROOMS)
    }
    assert not list(circles(imports))


@pytest.mark.parametrize(
    ("imports", "found"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"a"}, "c": {"a"}}, [["a", "b"]]),
        ({"a": {"a"}}, [["a"]]),
        ({"a": {"b"}, "b": {"a"}, "c": {"d", "a"}, "d": {"c"}}, [["a", "b"], ["c", "d"]]),
    ],
)
def test_circles_are_found(imports: dict[str, set[str]], found: list[list[str]]) -> None:
    assert list(circles(imports)) == found


def test_every_folder_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in python_files(*ROOMS)
        if path.name == "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent, "\n".join(silent)
