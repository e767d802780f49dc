"""A second, naive reader of SCALE and of metadata V14, written from the format's description.

It shares no code with `runtime/`, so that both must be wrong in the same way to agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class Cursor:
    """Reads bytes from the front."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise ValueError(f"input ends at {self.at}, {count} more bytes wanted")
        self.at += count
        return self.data[self.at - count : self.at]

    def u8(self) -> int:
        return self.take(1)[0]

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "little")

    def compact(self) -> int:
        first = self.u8()
        extra = {0: 0, 1: 1, 2: 3, 3: 0}[first % 4]
        if first % 4 == 3:
            return int.from_bytes(self.take(first // 4 + 4), "little")
        return int.from_bytes(bytes([first]) + self.take(extra), "little") // 4

    def text(self) -> str:
        return self.take(self.compact()).decode()

    def texts(self) -> list[str]:
        return [self.text() for _ in range(self.compact())]

    def option(self, read: Any) -> Any:
        return read() if self.u8() else None

    def many(self, read: Any) -> list[Any]:
        return [read() for _ in range(self.compact())]

    @property
    def finished(self) -> bool:
        return self.at == len(self.data)


PRIMITIVES = (
    "bool",
    "char",
    "str",
    *(f"u{bits}" for bits in (8, 16, 32, 64, 128, 256)),
    *(f"i{bits}" for bits in (8, 16, 32, 64, 128, 256)),
)


@dataclass
class Metadata:
    """What was read, as plain dictionaries."""

    types: dict[int, dict[str, Any]]
    pallets: list[dict[str, Any]]
    extrinsic: dict[str, Any]
    runtime: int

    def pallet(self, name: str) -> dict[str, Any]:
        return next(pallet for pallet in self.pallets if pallet["name"] == name)

    def find(self, *path: str) -> int:
        return next(number for number, found in self.types.items() if found["path"] == list(path))

    def decode(self, number: int, cursor: Cursor) -> Any:
        """Decode a value by type id."""
        kind, detail = self.types[number]["def"]
        if kind == "composite":
            return self._fields(detail, cursor)
        if kind == "variant":
            index = cursor.u8()
            chosen = next(variant for variant in detail if variant["index"] == index)
            return {chosen["name"]: self._fields(chosen["fields"], cursor)}
        if kind == "sequence":
            return [self.decode(detail, cursor) for _ in range(cursor.compact())]
        if kind == "array":
            return [self.decode(detail[1], cursor) for _ in range(detail[0])]
        if kind == "tuple":
            return [self.decode(item, cursor) for item in detail]
        if kind == "compact":
            return cursor.compact()
        if detail == "bool":
            return {0: False, 1: True}[cursor.u8()]
        if detail == "str":
            return cursor.text()
        return int.from_bytes(cursor.take(int(detail[1:]) // 8), "little", signed=detail[0] == "i")

    def _fields(self, fields: list[dict[str, Any]], cursor: Cursor) -> Any:
        values = [(field["name"], self.decode(field["type"], cursor)) for field in fields]
        if all(name is None for name, _ in values):
            return values[0][1] if len(values) == 1 else [value for _, value in values]
        return dict(values)


def read_metadata(data: bytes) -> Metadata:
    """Read the whole of a metadata V14 blob."""
    cursor = Cursor(data)
    assert cursor.take(5) == b"meta\x0e"

    def field() -> dict[str, Any]:
        return {
            "name": cursor.option(cursor.text),
            "type": cursor.compact(),
            "type_name": cursor.option(cursor.text),
            "docs": cursor.texts(),
        }

    def variant() -> dict[str, Any]:
        return {"name": cursor.text(), "fields": cursor.many(field), "index": cursor.u8(), "docs": cursor.texts()}

    def definition() -> tuple[str, Any]:
        kind = cursor.u8()
        readers: list[tuple[str, Any]] = [
            ("composite", lambda: cursor.many(field)),
            ("variant", lambda: cursor.many(variant)),
            ("sequence", cursor.compact),
            ("array", lambda: (cursor.u32(), cursor.compact())),
            ("tuple", lambda: cursor.many(cursor.compact)),
            ("primitive", lambda: PRIMITIVES[cursor.u8()]),
            ("compact", cursor.compact),
        ]
        name, read = readers[kind]
        return name, read()

    def portable() -> tuple[int, dict[str, Any]]:
        number = cursor.compact()
        path = cursor.texts()
        params = cursor.many(lambda: (cursor.text(), cursor.option(cursor.compact)))
        return number, {"path": path, "params": params, "def": definition(), "docs": cursor.texts()}

    def entry() -> dict[str, Any]:
        name, modifier, kind = cursor.text(), cursor.u8(), cursor.u8()
        hashers, key = [], None
        if kind == 1:
            hashers, key = cursor.many(cursor.u8), cursor.compact()
        value = cursor.compact()
        default = cursor.take(cursor.compact())
        return {
            "name": name,
            "modifier": ["Optional", "Default"][modifier],
            "hashers": hashers,
            "key": key,
            "value": value,
            "default": default,
            "docs": cursor.texts(),
        }

    def constant() -> dict[str, Any]:
        name, kind = cursor.text(), cursor.compact()
        return {"name": name, "type": kind, "value": cursor.take(cursor.compact()), "docs": cursor.texts()}

    def pallet() -> dict[str, Any]:
        return {
            "name": cursor.text(),
            "storage": cursor.option(lambda: {"prefix": cursor.text(), "entries": cursor.many(entry)}),
            "calls": cursor.option(cursor.compact),
            "event": cursor.option(cursor.compact),
            "constants": cursor.many(constant),
            "error": cursor.option(cursor.compact),
            "index": cursor.u8(),
        }

    types = dict(cursor.many(portable))
    pallets = cursor.many(pallet)
    extrinsic = {
        "type": cursor.compact(),
        "version": cursor.u8(),
        "extensions": cursor.many(lambda: (cursor.text(), cursor.compact(), cursor.compact())),
    }
    metadata = Metadata(types, pallets, extrinsic, cursor.compact())
    assert cursor.finished
    return metadata


def references(metadata: Metadata) -> set[int]:
    """Return every type id that is mentioned anywhere."""
    found = {metadata.runtime, metadata.extrinsic["type"]}
    for _, extra, additional in metadata.extrinsic["extensions"]:
        found |= {extra, additional}
    for pallet in metadata.pallets:
        found |= {pallet[key] for key in ("calls", "event", "error") if pallet[key] is not None}
        found |= {constant["type"] for constant in pallet["constants"]}
        for entry in (pallet["storage"] or {"entries": []})["entries"]:
            found |= {entry["value"]} | ({entry["key"]} if entry["key"] is not None else set())
    for entry in metadata.types.values():
        found |= {kind for _, kind in entry["params"] if kind is not None}
        kind, detail = entry["def"]
        if kind == "composite":
            found |= {field["type"] for field in detail}
        elif kind == "variant":
            found |= {field["type"] for variant in detail for field in variant["fields"]}
        elif kind == "tuple":
            found |= set(detail)
        elif kind == "array":
            found.add(detail[1])
        elif kind in ("sequence", "compact"):
            found.add(detail)
    return found
