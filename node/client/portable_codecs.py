"""SCALE codecs compiled from a node's metadata, so that a node of another version is read and written by its own types.

A type is recognised by its path. Where fields or variants have the names that this program declares, values are of our
classes, whatever their order, index or width on the node; anything else is a `Record` or a `NamedVariant`.

    newtypes, [u8; n], Vec<u8>   the value inside, bytes, bytes      Option, Result   None or the value, Ok or Err
    other arrays, Vec, tuples    tuple                               RuntimeCall      RuntimeCall
    compact and plain integers   int                                 RuntimeEvent     the event of the pallet
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from node.client.errors import NotSupported
from node.client.generic import NamedVariant, Record, parts_of, shown, variant_name
from runtime import limits
from runtime.call import RuntimeCall
from runtime.codec import option_codec, product_codec, sequence_codec, unit_codec
from runtime.codec_scalars import (
    Codec,
    bool_codec,
    bytes_codec,
    compact_codec,
    fixed_bytes_codec,
    integer_codec,
    text_codec,
)
from runtime.errors import CodecError
from runtime.portable import (
    ArrayDef,
    CompactDef,
    CompositeDef,
    EnumDef,
    Field,
    PortableType,
    PrimitiveDef,
    PrimitiveKind,
    SequenceDef,
    TupleDef,
    VariantDef,
)
from runtime.types import Err, Ok, Variant, camel_case, scale_name

MAX_ARRAY_ITEMS: Final = 65_536
NAMED: Final = {"Ok": Ok, "Err": Err}

Path = tuple[str, ...]
Build = Callable[[Sequence[Any]], Any]


class UnknownType(NotSupported):
    """The node's metadata names a type that it does not describe, or one that this program cannot read."""


class PortableTypes:
    """The types of a metadata with their codecs, each compiled at its first use.

    `known` are this program's classes by path; `call_type` and `event_type` the numbers of the outer types.
    """

    def __init__(
        self,
        types: Sequence[PortableType],
        known: Mapping[Path, type[Any]],
        call_type: int | None = None,
        event_type: int | None = None,
    ) -> None:
        self._types = {one.id: one for one in types}
        self._known = known
        self._codecs: dict[int, Codec[Any]] = {}
        self.call_type = call_type
        self.event_type = event_type

    def __getitem__(self, number: int) -> PortableType:
        found = self._types.get(number)
        if found is None:
            raise UnknownType(f"the node's metadata has no type {number}")
        return found

    def known_class(self, number: int) -> type[Any] | None:
        """The class that this program has for a type."""
        return self._known.get(self[number].path)

    def codec(self, number: int) -> Codec[Any]:
        """The codec of a type; raises UnknownType."""
        found = self._codecs.get(number)
        if found is None:
            self._codecs[number] = self._later(number)  # a type may contain itself
            found = self._codecs[number] = self._compile(number, self[number])
        return found

    def _later(self, number: int) -> Codec[Any]:
        return Codec(
            f"type {number}",
            lambda value: self._codecs[number].encode(value),
            lambda data, offset: self._codecs[number].read(data, offset),
            1,
        )

    def _compile(self, number: int, found: PortableType) -> Codec[Any]:
        if number == self.call_type:
            return self._call(found)
        if number == self.event_type:
            return self._event(found)
        match found.definition:
            case CompositeDef(fields):
                return self._composite(found, fields)
            case EnumDef(variants):
                return self._enum(found, variants)
            case SequenceDef(item):
                return bytes_codec(None) if self._is_byte(item) else sequence_codec(self.codec(item), None)
            case ArrayDef(length, item):
                return self._array(length, item)
            case TupleDef(items):
                return _product("tuple", [Field(None, item) for item in items], self, tuple) if items else unit_codec()
            case PrimitiveDef(kind):
                return _primitive(kind)
            case CompactDef(inner):
                return self._compact(inner)
        raise UnknownType(f"type {number} of the node's metadata is of an unknown kind")

    def _is_byte(self, number: int) -> bool:
        return self[number].definition == PrimitiveDef(PrimitiveKind.U8)

    def _array(self, length: int, item: int) -> Codec[Any]:
        if self._is_byte(item):
            return fixed_bytes_codec(length)
        if length > MAX_ARRAY_ITEMS:
            raise UnknownType(f"an array of {length} items; at most {MAX_ARRAY_ITEMS} are read")
        return _product("array", [Field(None, item)] * length, self, tuple)

    def _compact(self, number: int) -> Codec[Any]:
        definition = self[number].definition
        while isinstance(definition, CompositeDef) and len(definition.fields) == 1:
            definition = self[definition.fields[0].type].definition
        if not isinstance(definition, PrimitiveDef) or not definition.kind.value[1:].isdigit():
            raise UnknownType(f"a compact form of type {number}, which is no integer")
        return compact_codec(int(definition.kind.value[1:]) // 8)

    def _composite(self, found: PortableType, fields: Sequence[Field]) -> Codec[Any]:
        if len(fields) == 1 and fields[0].name is None:
            return self.codec(fields[0].type)
        name = found.path[-1] if found.path else "struct"
        if fields and fields[0].name is None:
            return _product(name, fields, self, tuple)
        return _product(name, fields, self, _struct_builder(name, fields, self._known.get(found.path)))

    def _enum(self, found: PortableType, variants: Sequence[VariantDef]) -> Codec[Any]:
        name = found.path[-1] if found.path else "enum"
        if found.path == ("Option",) and len(variants) == 2:
            return option_codec(self.codec(variants[1].fields[0].type))
        if found.path == ("Result",):
            return self._tagged(name, variants, dict(NAMED))
        return self._tagged(name, variants, _members(self._known.get(found.path)))

    def _tagged(self, name: str, variants: Sequence[VariantDef], members: Mapping[str, Any]) -> Codec[Any]:
        """An index byte, then the fields; `members` are this program's classes or enum members by variant name."""
        readers: dict[int, Codec[Any]] = {}
        writers: dict[str, tuple[bytes, Codec[Any]]] = {}
        for variant in variants:
            build = _variant_builder(name, variant, members.get(variant.name))
            codec = _product(f"{name}.{variant.name}", variant.fields, self, build)
            readers[variant.index] = codec
            writers[variant.name] = (bytes([variant.index]), codec)

        def encode(value: Any) -> bytes:
            spelled = variant_name(value)
            if spelled not in writers:
                raise CodecError(f"the node's {name} has no variant {spelled}")
            index, codec = writers[spelled]
            return index + codec.encode(value)

        def read(data: bytes, offset: int) -> tuple[Any, int]:
            if offset >= len(data):
                raise CodecError(f"{name}: input ends before the variant index", offset)
            if data[offset] not in readers:
                raise CodecError(f"{name} has no variant {data[offset]}", offset)
            return readers[data[offset]].read(data, offset + 1)

        return Codec(name, encode, read, 1)

    def pallet_variants(self, number: int) -> Sequence[tuple[VariantDef, int]]:
        """The variants of an outer enum, one a pallet, each with the type inside it."""
        definition = self[number].definition
        if not isinstance(definition, EnumDef):
            raise UnknownType(f"type {number} of the node's metadata is no enum of pallets")
        return [(variant, variant.fields[0].type) for variant in definition.variants if len(variant.fields) == 1]

    def _event(self, found: PortableType) -> Codec[Any]:
        readers: dict[int, Codec[Any]] = {}
        for pallet, inner in self.pallet_variants(found.id):
            definition, known = self[inner].definition, self.known_class(inner)
            if isinstance(definition, EnumDef):
                readers[pallet.index] = self._tagged(pallet.name, definition.variants, _members(known))

        def encode(event: Any) -> bytes:
            raise CodecError(f"{shown(event)}: events are only read")

        def read(data: bytes, offset: int) -> tuple[Any, int]:
            if offset >= len(data) or data[offset] not in readers:
                raise CodecError("an event begins with the index of a pallet that has events", offset)
            return readers[data[offset]].read(data, offset + 1)

        return Codec("RuntimeEvent", encode, read, 2)

    def _call(self, found: PortableType) -> Codec[Any]:
        readers: dict[tuple[int, int], Codec[Any]] = {}
        writers: dict[tuple[str, str], tuple[bytes, Codec[Any]]] = {}
        for pallet, inner in self.pallet_variants(found.id):
            definition = self[inner].definition
            for function in definition.variants if isinstance(definition, EnumDef) else ():
                codec = _product(function.name, function.fields, self, _call_builder(pallet.name, function))
                readers[pallet.index, function.index] = codec
                writers[pallet.name, function.name] = (bytes([pallet.index, function.index]), codec)
        depth = 0

        def encode(call: Any) -> bytes:
            entry = writers.get((call.pallet, call.function)) if isinstance(call, RuntimeCall) else None
            if entry is None:
                raise CodecError(f"the node's chain has no call {getattr(call, 'name', shown(call))}")
            try:
                return entry[0] + entry[1].encode(call.arguments)
            except CodecError as error:
                raise error.within(call.name) from None

        def read(data: bytes, offset: int) -> tuple[Any, int]:
            nonlocal depth
            codec = readers.get((data[offset], data[offset + 1])) if offset + 2 <= len(data) else None
            if codec is None:
                raise CodecError("a call begins with the indices of a pallet and of one of its calls", offset)
            if depth >= limits.CALL_DEPTH:
                raise CodecError(f"calls are nested deeper than {limits.CALL_DEPTH}", offset)
            depth += 1
            try:
                return codec.read(data, offset + 2)
            finally:
                depth -= 1

        return Codec("RuntimeCall", encode, read, 2)


def _product(name: str, fields: Sequence[Field], types: PortableTypes, build: Build) -> Codec[Any]:
    """Consecutive fields."""
    codecs = tuple((field.name or str(position), types.codec(field.type)) for position, field in enumerate(fields))
    return product_codec(name, codecs, build=build, split=lambda value: parts_of(value, fields) if fields else [])


def _declared(target: Any) -> tuple[str, ...]:
    """The field names of a dataclass as metadata shows them."""
    if not isinstance(target, type) or not dataclasses.is_dataclass(target):
        return ()
    return tuple(scale_name(field.name) for field in dataclasses.fields(target))


def _struct_builder(name: str, fields: Sequence[Field], target: type[Any] | None) -> Build:
    names = [field.name or "" for field in fields]
    if target is not None and dataclasses.is_dataclass(target) and set(_declared(target)) == set(names):
        return _class_builder(target, names)
    return lambda values: Record(name, dict(zip(names, values, strict=True)))


def _class_builder(target: type[Any], names: Sequence[str]) -> Build:
    spelled = {scale_name(field.name): field.name for field in dataclasses.fields(target)}
    keywords = [spelled[name] for name in names]
    return lambda values: target(**dict(zip(keywords, values, strict=True)))


def _variant_builder(name: str, variant: VariantDef, member: Any) -> Build:
    if isinstance(member, enum.Enum):
        if not variant.fields:
            return lambda values: member
    elif member is not None:
        declared, unnamed = _declared(member), all(field.name is None for field in variant.fields)
        if unnamed and len(declared) == len(variant.fields):
            return lambda values: member(*values)
        names = [field.name or "" for field in variant.fields]
        if set(declared) == set(names):
            return _class_builder(member, names)
    labels = [field.name or str(position) for position, field in enumerate(variant.fields)]
    return lambda values: NamedVariant(name, variant.name, dict(zip(labels, values, strict=True)))


def _call_builder(pallet: str, function: VariantDef) -> Build:
    names = [field.name or str(position) for position, field in enumerate(function.fields)]
    return lambda values: RuntimeCall(pallet, function.name, dict(zip(names, values, strict=True)))


def _members(known: type[Any] | None) -> dict[str, Any]:
    """The variants of a class of ours by their metadata names."""
    if known is None:
        return {}
    if issubclass(known, enum.Enum):
        return {camel_case(member.name): member for member in known}
    if issubclass(known, Variant):
        declared: dict[int, type[Any]] = known.__scale_variants__
        return {one.__dict__.get("__scale_name__", scale_name(one.__name__)): one for one in declared.values()}
    return {}


def _primitive(kind: PrimitiveKind) -> Codec[Any]:
    if kind is PrimitiveKind.BOOL:
        return bool_codec()
    if kind is PrimitiveKind.STR:
        return text_codec(None)
    if kind is PrimitiveKind.CHAR:
        return integer_codec(4, signed=False)
    return integer_codec(int(kind.value[1:]) // 8, signed=kind.value[0] == "i")


