"""What a drive's methods iterate over: entries of its bee shown as paths. No state that needs closing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from hypercore.bee import Entry
from hypercore.bee_read import Change, Difference
from hypercore.drive import FILES, DriveEntry

Shown = TypeVar("Shown")
Stored = TypeVar("Stored")

_PREFIX = FILES.encode() + b"\x00"


@dataclass(frozen=True, slots=True)
class DriveChange:
    """A path that was written or removed: by one change of the history, or between two versions.

    `entry` is what is there afterwards, None after a removal. `version` is that of the drive with the change; between
    two versions a removal has that of the newer one.
    """

    kind: Literal["put", "delete"]
    path: str
    entry: DriveEntry | None
    version: int


class Mapped(AsyncIterator[Shown]):
    """What `show` makes of each item of `inner`; items for which it gives None are left out."""

    def __init__(self, inner: AsyncIterator[Stored], show: Callable[[Stored], Shown | None]) -> None:
        self._step = _stepper(inner, show)

    def __aiter__(self) -> Mapped[Shown]:
        return self

    async def __anext__(self) -> Shown:
        while True:
            shown = await self._step()
            if shown is not None:
                return shown


def _stepper(
    inner: AsyncIterator[Stored], show: Callable[[Stored], Shown | None]
) -> Callable[[], Awaitable[Shown | None]]:
    async def step() -> Shown | None:
        return show(await anext(inner))

    return step


class Opened(AsyncIterator[bytes]):
    """An iterator that is made by awaiting something, at its first step."""

    def __init__(self, make: Callable[[], Awaitable[AsyncIterator[bytes]]]) -> None:
        self._make = make
        self._inner: AsyncIterator[bytes] | None = None

    def __aiter__(self) -> Opened:
        return self

    async def __anext__(self) -> bytes:
        if self._inner is None:
            self._inner = await self._make()
        return await anext(self._inner)


def text_of(key: bytes) -> str:
    """A path as text; bytes that are not UTF-8 are replaced, as JavaScript does it."""
    return key.decode(errors="replace")


def listed(entry: Entry) -> tuple[str, DriveEntry]:
    """A path and its entry."""
    return text_of(entry.key), DriveEntry.decode(entry.value)


def step_of_history(change: Change) -> DriveChange | None:
    """A change of the bee as one of the drive; None for keys that are no files."""
    entry = change.entry
    if not entry.key.startswith(_PREFIX):
        return None
    file = None if change.kind == "delete" else DriveEntry.decode(entry.value)
    return DriveChange(change.kind, text_of(entry.key[len(_PREFIX) :]), file, entry.number + 1)


def step_between(version: int) -> Callable[[Difference], DriveChange]:
    """Shows differences of the files, as seen from the newer version."""

    def show(found: Difference) -> DriveChange:
        path = text_of(found.key)
        if found.new is None:
            return DriveChange("delete", path, None, version)
        return DriveChange("put", path, DriveEntry.decode(found.new.value), found.new.number + 1)

    return show
