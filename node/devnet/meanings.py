"""Which storage items another runtime reads as something else, though their values decode: a u64 as two u32, say."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from runtime.codec import codec_for
from runtime.portable import (
    ArrayDef,
    CompactDef,
    CompositeDef,
    EnumDef,
    Field,
    Map,
    MetadataV14,
    Plain,
    PortableType,
    PrimitiveDef,
    SequenceDef,
    StorageEntryType,
    TupleDef,
    VariantDef,
)

ItemName = tuple[str, str]
"""Pallet and item."""

Pairs = list[tuple[int, int]]


def items_read_anew(old: bytes, new: bytes) -> frozenset[ItemName]:
    """The items of both metadata (version 14, encoded) whose key or value is another type in the new one.

    Further variants of an enum and other names of types change nothing; other names of fields do.
    """
    before, after = _decoded(old), _decoded(new)
    known = _items(before)
    comparison = _Comparison(before.types, after.types)
    return frozenset(
        name for name, item in _items(after).items() if name in known and not comparison.is_same_item(known[name], item)
    )


@lru_cache(maxsize=2)
def _decoded(metadata: bytes) -> MetadataV14:
    return codec_for(MetadataV14).decode(metadata)


def _items(metadata: MetadataV14) -> dict[ItemName, StorageEntryType]:
    return {
        (pallet.name, entry.name): entry.type
        for pallet in metadata.pallets
        if pallet.storage is not None
        for entry in pallet.storage.entries
    }


class _Comparison:
    """Types of two metadata, by their numbers; what contains itself is the same if the rest is."""

    def __init__(self, old: Sequence[PortableType], new: Sequence[PortableType]) -> None:
        self._old, self._new = ({one.id: one.definition for one in types} for types in (old, new))
        self._compared: dict[tuple[int, int], bool] = {}

    def is_same_item(self, old: StorageEntryType, new: StorageEntryType) -> bool:
        match old, new:
            case Plain(before), Plain(after):
                return self._is_same(before, after)
            case Map(hashers, key, value), Map(new_hashers, new_key, new_value):
                return hashers == new_hashers and self._is_same(key, new_key) and self._is_same(value, new_value)
        return False

    def _is_same(self, old: int, new: int) -> bool:
        if (old, new) not in self._compared:
            self._compared[old, new] = True
            inside = self._inside(old, new)
            self._compared[old, new] = inside is not None and all(self._is_same(*pair) for pair in inside)
        return self._compared[old, new]

    def _inside(self, old: int, new: int) -> Pairs | None:
        """The types inside, in pairs; None when the outer ones differ already."""
        match self._old[old], self._new[new]:
            case PrimitiveDef(before), PrimitiveDef(after):
                return [] if before == after else None
            case ArrayDef(length, before), ArrayDef(new_length, after):
                return [(before, after)] if length == new_length else None
            case (SequenceDef(before), SequenceDef(after)) | (CompactDef(before), CompactDef(after)):
                return [(before, after)]
            case TupleDef(before), TupleDef(after):
                return list(zip(before, after, strict=True)) if len(before) == len(after) else None
            case CompositeDef(before), CompositeDef(after):
                return _fields(before, after)
            case EnumDef(before), EnumDef(after):
                return _variants(before, after)
        return None


def _fields(old: Sequence[Field], new: Sequence[Field]) -> Pairs | None:
    if [field.name for field in old] != [field.name for field in new]:
        return None
    return [(before.type, after.type) for before, after in zip(old, new, strict=True)]


def _variants(old: Sequence[VariantDef], new: Sequence[VariantDef]) -> Pairs | None:
    found = {(variant.index, variant.name): variant.fields for variant in new}
    pairs: Pairs = []
    for variant in old:
        fields = found.get((variant.index, variant.name))
        inside = None if fields is None else _fields(variant.fields, fields)
        if inside is None:
            return None
        pairs += inside
    return pairs
