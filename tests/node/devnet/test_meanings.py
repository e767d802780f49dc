"""Which types may change without changing what stored values mean: those that only grew, and those that stayed."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, Any

import pytest

from node.devnet.meanings import items_read_anew
from runtime.codec import codec_for
from runtime.portable import (
    ExtrinsicMetadata,
    Map,
    MetadataV14,
    PalletMetadata,
    PalletStorage,
    Plain,
    StorageEntry,
    StorageHasher,
    StorageModifier,
)
from runtime.registry import TypeRegistry
from runtime.types import I32, U8, U32, U64, Bytes, Fixed, Variant

TWOX, BLAKE2 = StorageHasher.TWOX_64_CONCAT, StorageHasher.BLAKE2_128_CONCAT


@dataclass(frozen=True)
class Point:
    x: U32
    y: U32


@dataclass(frozen=True)
class Place:
    x: U32
    y: U32


@dataclass(frozen=True)
class Turned:
    y: U32
    x: U32


@dataclass(frozen=True)
class Narrow:
    x: U32
    y: I32


class Light(enum.Enum):
    RED = "red"
    GREEN = "green"


class More(enum.Enum):
    RED = "red"
    GREEN = "green"
    BLUE = "blue"


class Swapped(enum.Enum):
    GREEN = "green"
    RED = "red"


class Shape(Variant):
    """One."""


@dataclass(frozen=True)
class Round(Shape, index=0):
    size: U32


class Form(Variant):
    """Another."""


@dataclass(frozen=True)
class FormRound(Form, index=0):
    __scale_name__ = "Round"
    size: U64


def metadata(value: Any, key: Any = None, hasher: StorageHasher = TWOX, name: str = "Item") -> bytes:
    """A chain with one pallet and one storage item."""
    registry = TypeRegistry({})
    number = registry.type_id(value)
    place = Plain(number) if key is None else Map((hasher,), registry.type_id(key), number)
    entry = StorageEntry(name, StorageModifier.OPTIONAL, place, b"\0", ())
    pallet = PalletMetadata("Pallet", PalletStorage("Pallet", (entry,)), None, None, (), None, 0)
    extrinsic = ExtrinsicMetadata(number, 4, ())
    return codec_for(MetadataV14).encode(MetadataV14(b"meta", 14, registry.types(), (pallet,), extrinsic, number))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (U32, U32),
        (Point, Place),
        (Light, More),
        (tuple[Light, ...], tuple[More, ...]),
        (tuple[U8, Point | None], tuple[U8, Place | None]),
    ],
)
def test_types_that_stayed_or_only_grew_are_the_same(old: Any, new: Any) -> None:
    assert items_read_anew(metadata(old), metadata(new)) == frozenset()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (U32, I32),
        (U64, tuple[U32, U32]),
        (tuple[U32, U32], tuple[U32, U32, U32]),
        (Annotated[bytes, Fixed(4)], Annotated[bytes, Fixed(5)]),
        (Bytes, tuple[U32, ...]),
        (Point, Turned),
        (Point, Narrow),
        (Point, tuple[U32, U32]),
        (More, Light),
        (Light, Swapped),
        (Shape, Form),
        (tuple[Point, ...], tuple[Turned, ...]),
        (U32 | None, I32 | None),
    ],
)
def test_types_that_mean_something_else_are_named(old: Any, new: Any) -> None:
    assert items_read_anew(metadata(old), metadata(new)) == {("Pallet", "Item")}


def test_keys_and_hashers_count_too() -> None:
    before = metadata(U32, key=U64)
    assert items_read_anew(before, metadata(U32, key=U64)) == frozenset()
    for other in (metadata(U32, key=tuple[U32, U32]), metadata(U32, key=U64, hasher=BLAKE2), metadata(U32)):
        assert items_read_anew(before, other) == {("Pallet", "Item")}


def test_items_that_come_or_go_are_not_read_anew() -> None:
    assert items_read_anew(metadata(U32), metadata(U64, name="Another")) == frozenset()
