"""A pytest plugin that notes which sections of the vector files the tests read.

`python -m pytest -p tests.hypercore.vector_use --vector-use FILE tests/hypercore` runs only tests that load vectors and
writes the sections that none of them read. A section is a path of keys; the entries of a list are one section. What is
compared as a whole counts as read as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "vectors" / "hypercore"
read: set[str] = set()


def wrap(value: Any, path: str) -> Any:
    """The same value, with every reading of its parts noted."""
    if isinstance(value, dict):
        return Watched(value, path)
    if isinstance(value, list):
        return WatchedList(value, path)
    read.add(path)
    return value


def sections(value: Any, path: str) -> Iterator[str]:
    """The paths of all leaves."""
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from sections(part, f"{path}.{general(key)}")
    elif isinstance(value, list) and value:
        for part in value:
            yield from sections(part, f"{path}[]")
    else:
        yield path


def general(key: str) -> str:
    """Numbers and hashes as keys are entries of a list, too."""
    return "#" if key.isdigit() else key


class Watched(dict[str, Any]):
    """A JSON object."""

    def __init__(self, value: dict[str, Any], path: str) -> None:
        super().__init__(value)
        self._path = path

    def _part(self, key: str) -> Any:
        return wrap(super().__getitem__(key), f"{self._path}.{general(key)}")

    def __getitem__(self, key: str) -> Any:
        return self._part(key)

    def get(self, key: str, default: Any = None) -> Any:
        return self._part(key) if key in self else default

    def pop(self, key: str, *default: Any) -> Any:
        part = self.get(key)
        super().pop(key, *default)
        return part

    def __iter__(self) -> Iterator[str]:
        return iter(list(super().__iter__()))

    def items(self) -> Any:
        return [(key, self._part(key)) for key in super().__iter__()]

    def values(self) -> Any:
        return [self._part(key) for key in super().__iter__()]

    def __eq__(self, other: object) -> bool:
        read.update(sections(dict(super().items()), self._path))
        return dict(super().items()) == other

    __hash__ = None  # type: ignore[assignment]


class WatchedList(list[Any]):
    """A JSON array."""

    def __init__(self, value: list[Any], path: str) -> None:
        super().__init__(value)
        self._path = path
        if not value:
            read.add(path)

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return WatchedList(found, self._path) if isinstance(index, slice) else wrap(found, f"{self._path}[]")

    def __iter__(self) -> Iterator[Any]:
        return iter([wrap(part, f"{self._path}[]") for part in super().__iter__()])

    def __add__(self, other: Any) -> Any:
        return [*self, *other]

    def __eq__(self, other: object) -> bool:
        read.update(sections(list(super().__iter__()), self._path))
        return list(super().__iter__()) == other

    __hash__ = None  # type: ignore[assignment]




_texts = {path.read_text(): path.stem for path in sorted(FOLDER.glob("*.json"))}
_loads = json.loads


def _watched_loads(text: Any, *arguments: Any, **options: Any) -> Any:
    value = _loads(text, *arguments, **options)
    name = _texts.get(text) if isinstance(text, str) else None
    return value if name is None else wrap(value, name)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the option that names the report."""
    parser.addoption("--vector-use", type=Path, help="where to write the sections of vector files that no test read")


def pytest_configure(config: pytest.Config) -> None:
    """Watches before test modules are imported."""
    json.loads = _watched_loads


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps the tests that load vectors."""
    items[:] = [item for item in items if _uses_vectors(item)]


def _uses_vectors(item: pytest.Item) -> bool:
    module = item.getparent(pytest.Module)
    names = vars(module.obj) if module is not None else {}
    return "vectors" in getattr(item, "fixturenames", ()) or "VECTORS" in names or "Recording" in names


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Writes the report."""
    target = session.config.getoption("--vector-use")
    if target is not None:
        everything = {path for text, name in _texts.items() for path in sections(_loads(text), name)}
        target.write_text("".join(f"{path}\n" for path in sorted(everything - read)))
