"""SCALE codecs compiled from annotations: one encoder and one decoder closure per type, made once.

Decoders are strict: canonical form only, every count is bounded by the bytes that are left before anything is built,
every failure is a `CodecError` with the path inside the type and the byte offset.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
import operator
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args, get_origin

from runtime.codec_scalars import (
    Codec,
    bool_codec,
    bytes_codec,
    compact_codec,
    fixed_bytes_codec,
    integer_codec,
    read_count,
    text_codec,
    write_compact,
)
from runtime.errors import CodecError
from runtime.types import Compact, Err, Fixed, MaxLength, Ok, Ordered, Outer, SInt, UInt, Variant, in_scale, scale_name

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar("T")
M = TypeVar("M")


class Codecs:
    """The codecs of one runtime: compiled types plus the outer types (`RuntimeCall`, `RuntimeEvent`) it defines."""

    def __init__(self) -> None:
        self._compiled: dict[Any, Codec[Any]] = {}
        self.outer: dict[str, Codec[Any]] = {}

    def codec_for(self, annotation: TypeForm[T]) -> Codec[T]:
        """Return the codec of a type, compiled at the first call. TypeError for a type that SCALE cannot hold."""
        found = self._compiled.get(annotation)
        if found is None:
            found = self._compiled[annotation] = self._compile(annotation)
        return found

    def _compile(self, annotation: Any) -> Codec[Any]:
        if get_origin(annotation) is Annotated:
            base, *markers = get_args(annotation)
            return self._compile_marked(base, markers, annotation)
        if annotation is None or annotation is type(None):
            return unit_codec()
        if annotation is bool:
            return bool_codec()
        if annotation is bytes:
            return bytes_codec(None)
        if annotation is str:
            return text_codec(None)
        origin = get_origin(annotation)
        if origin is tuple:
            return self._compile_tuple(annotation, [])
        if origin in (typing.Union, types.UnionType):
            return self._compile_union(annotation)
        target = origin or annotation
        if isinstance(target, type):
            if isinstance(target.__dict__.get("__scale_codec__"), Codec):
                own: Codec[Any] = target.__dict__["__scale_codec__"]
                return own
            if isinstance(target.__dict__.get("__scale_outer__"), str):
                return self._outer_codec(target.__dict__["__scale_outer__"])
            if issubclass(target, enum.Enum):
                return enum_codec(target)
            if issubclass(target, Variant) and "__scale_variants__" in target.__dict__:
                return self._compile_variants(target)
            if dataclasses.is_dataclass(target):
                return self._compile_struct(annotation)
        raise TypeError(f"{annotation!r} has no SCALE form: use the annotations of runtime.types")

    def _compile_marked(self, base: Any, markers: list[Any], annotation: Any) -> Codec[Any]:
        if base is int:
            match marker_of(markers, UInt), marker_of(markers, SInt), marker_of(markers, Compact):
                case UInt(size), None, None:
                    return integer_codec(size, signed=False)
                case None, SInt(size), None:
                    return integer_codec(size, signed=True)
                case None, None, Compact(size):
                    return compact_codec(size)
            raise TypeError(f"{annotation!r} needs exactly one of UInt, SInt, Compact")
        outer = marker_of(markers, Outer)
        if outer is not None:
            return self._outer_codec(outer.name)
        bound = marker_of(markers, MaxLength)
        limit = None if bound is None else bound.length
        if base is bytes:
            fixed = marker_of(markers, Fixed)
            return bytes_codec(limit) if fixed is None else fixed_bytes_codec(fixed.length)
        if base is str:
            return text_codec(limit)
        if get_origin(base) is tuple:
            return self._compile_tuple(base, markers)
        return self.codec_for(base)

    def _outer_codec(self, name: str) -> Codec[Any]:
        outer = self.outer

        def encode(value: Any) -> bytes:
            return resolve().encode(value)

        def read(data: bytes, offset: int) -> tuple[Any, int]:
            return resolve().read(data, offset)

        def resolve() -> Codec[Any]:
            codec = outer.get(name)
            if codec is None:
                raise TypeError(f"{name} depends on the runtime: take its codec from Runtime.codecs")
            return codec

        return Codec(name, encode, read, 2)

    def _compile_tuple(self, annotation: Any, markers: list[Any]) -> Codec[Any]:
        items = get_args(annotation)
        if len(items) == 2 and items[1] is Ellipsis:
            item = self.codec_for(items[0])
            fixed = marker_of(markers, Fixed)
            if fixed is not None:
                return tuple_codec("array", (item,) * fixed.length)
            bound = marker_of(markers, MaxLength)
            codec = sequence_codec(item, None if bound is None else bound.length)
            ordered = marker_of(markers, Ordered)
            return codec if ordered is None else ordered_codec(codec, ordered.mapping)
        return tuple_codec("tuple", tuple(self.codec_for(item) for item in items))

    def _compile_struct(self, annotation: Any) -> Codec[Any]:
        target = get_origin(annotation) or annotation
        fields = tuple((field, self.codec_for(hint)) for field, hint in field_types(annotation))
        names = tuple(field for field, _ in fields)
        labelled = tuple((scale_name(field), codec) for field, codec in fields)
        if not fields:
            return Codec(target.__name__, lambda value: b"", lambda data, offset: (target(), offset), 0)

        pick = operator.attrgetter(*names)
        single = len(names) == 1

        def split(value: Any) -> Sequence[Any]:
            if type(value) is not target:
                raise CodecError(f"expected {target.__name__}, got {type(value).__name__}")
            return (pick(value),) if single else pick(value)

        return product_codec(target.__name__, labelled, build=lambda values: target(*values), split=split)

    def _compile_variants(self, root: Any) -> Codec[Any]:
        table: dict[int, Codec[Any]] = {}
        writers: dict[type, tuple[bytes, Callable[[Any], bytes]]] = {}
        declared: dict[int, type] = root.__scale_variants__
        for index, variant in sorted(declared.items()):
            if not dataclasses.is_dataclass(variant):
                raise TypeError(f"{root.__name__}.{variant.__name__} must be a frozen dataclass")
            codec = table[index] = self._compile_struct(variant)
            writers[declared[index]] = (bytes([index]), codec.encode)
        return tagged_codec(root.__name__, table, writers)

    def _compile_union(self, annotation: Any) -> Codec[Any]:
        members = get_args(annotation)
        rest = [member for member in members if member is not type(None)]
        if len(rest) < len(members):
            inner: Any = rest[0] if len(rest) == 1 else typing.Union[tuple(rest)]  # noqa: UP007 - built at run time
            return option_codec(self.codec_for(inner))
        by_origin = {get_origin(member): member for member in members}
        if set(by_origin) == {Ok, Err}:
            ok, err = self._compile_struct(by_origin[Ok]), self._compile_struct(by_origin[Err])
            return tagged_codec("Result", {0: ok, 1: err}, {Ok: (b"\0", ok.encode), Err: (b"\1", err.encode)})
        raise TypeError(f"{annotation!r}: a union is either `T | None` or `Result[T, E]`")


def marker_of(markers: Sequence[object], kind: type[M]) -> M | None:
    """Return the last marker of a class: an outer `Annotated` overrides an inner one."""
    for marker in reversed(markers):
        if isinstance(marker, kind):
            return marker
    return None


def field_types(annotation: Any) -> list[tuple[str, Any]]:
    """Return (field name, annotation) of a dataclass's encoded fields, with the type variables of `X[A]` put in."""
    target = get_origin(annotation) or annotation
    hints = typing.get_type_hints(target, include_extras=True)
    given = dict(zip(getattr(target, "__parameters__", ()), get_args(annotation), strict=False))
    names = [field.name for field in dataclasses.fields(target) if in_scale(hints[field.name])]
    return [(name, substitute(hints[name], given)) for name in names]


def substitute(hint: Any, given: dict[Any, Any]) -> Any:
    """Replace type variables inside an annotation."""
    if isinstance(hint, TypeVar):
        return given[hint]
    parameters = getattr(hint, "__parameters__", ())
    return hint[tuple(given[parameter] for parameter in parameters)] if parameters and given else hint


def unit_codec() -> Codec[Any]:
    """Return the codec of `()`, which is None in Python."""
    return Codec("()", lambda value: b"", lambda data, offset: (None, offset), 0)


def tuple_codec(name: str, items: tuple[Codec[Any], ...]) -> Codec[Any]:
    """Return the codec of a tuple or an array: its items one after the other."""
    fields = tuple((f"[{index}]", codec) for index, codec in enumerate(items))

    def split(value: Any) -> Sequence[Any]:
        if isinstance(value, tuple | list):
            return value
        raise CodecError(f"expected a tuple of {len(items)} items, got {type(value).__name__}")

    return product_codec(name, fields, build=tuple, split=split)


def product_codec(
    name: str,
    fields: tuple[tuple[str, Codec[Any]], ...],
    *,
    build: Callable[[list[Any]], Any],
    split: Callable[[Any], Sequence[Any]],
) -> Codec[Any]:
    """Return the codec of consecutive fields: struct, tuple, array, the fields of a variant."""
    readers = tuple(codec.read for _, codec in fields)
    writers = tuple(codec.encode for _, codec in fields)
    width = len(fields)

    def encode(value: Any) -> bytes:
        parts = split(value)
        if len(parts) != width:
            raise CodecError(f"{name} has {width} items, got {len(parts)}")
        try:
            return b"".join([write(part) for write, part in zip(writers, parts, strict=False)])
        except CodecError:
            raise refused_part(fields, parts) from None

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        values: list[Any] = []
        try:
            for reader in readers:
                value, offset = reader(data, offset)
                values.append(value)
        except CodecError as error:
            raise error.within(fields[len(values)][0]) from None
        return build(values), offset

    return Codec(name, encode, read, sum(codec.size_min for _, codec in fields))


def refused_part(fields: Iterable[tuple[str, Codec[Any]]], parts: Iterable[Any]) -> CodecError:
    """Return the error of the first part that does not encode, with its place; found by encoding them again."""
    for (name, codec), part in zip(fields, parts, strict=False):
        try:
            codec.encode(part)
        except CodecError as error:
            return error.within(name)
    raise AssertionError("every part encodes")


def tagged_codec(
    name: str, table: dict[int, Codec[Any]], writers: dict[type, tuple[bytes, Callable[[Any], bytes]]]
) -> Codec[Any]:
    """Return the codec of an enum with fields: an index byte, then the variant chosen by it."""
    readers = {index: codec.read for index, codec in table.items()}

    def encode(value: Any) -> bytes:
        entry = writers.get(type(value))
        if entry is None:
            raise CodecError(f"{type(value).__name__} is no variant of {name}")
        try:
            return entry[0] + entry[1](value)
        except CodecError as error:
            raise error.within(type(value).__name__) from None

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        if offset >= len(data):
            raise CodecError(f"{name}: input ends before the variant index", offset)
        index = data[offset]
        reader = readers.get(index)
        if reader is None:
            raise CodecError(f"{name} has no variant {index}", offset)
        try:
            return reader(data, offset + 1)
        except CodecError as error:
            raise error.within(table[index].name) from None

    return Codec(name, encode, read, 1 + min((codec.size_min for codec in table.values()), default=0))


def enum_codec(target: type[enum.Enum]) -> Codec[Any]:
    """Return the codec of an enum without fields: the position of the member in its declaration."""
    members = tuple(target)
    if len(members) != len(target.__members__):
        raise TypeError(f"{target.__name__}: two members have the same value")
    encoded = {member: bytes([index]) for index, member in enumerate(members)}

    def encode(value: Any) -> bytes:
        found = encoded.get(value) if isinstance(value, target) else None
        if found is None:
            raise CodecError(f"expected a member of {target.__name__}, got {value!r}")
        return found

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        if offset >= len(data):
            raise CodecError(f"{target.__name__}: input ends before the variant index", offset)
        if data[offset] >= len(members):
            raise CodecError(f"{target.__name__} has no variant {data[offset]}", offset)
        return members[data[offset]], offset + 1

    return Codec(target.__name__, encode, read, 1)


def option_codec(inner: Codec[Any]) -> Codec[Any]:
    """Return the codec of Option: 00, or 01 and the value."""

    def encode(value: Any) -> bytes:
        return b"\0" if value is None else b"\1" + inner.encode(value)

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        tag = data[offset : offset + 1]
        if tag == b"\0":
            return None, offset + 1
        if tag == b"\1":
            return inner.read(data, offset + 1)
        raise CodecError(f"Option begins with 00 or 01, not {tag.hex() or 'the end of input'}", offset)

    return Codec(f"Option<{inner.name}>", encode, read, 1)


def sequence_codec(item: Codec[Any], limit: int | None) -> Codec[Any]:
    """Return the codec of Vec<T>, of at most `limit` items."""
    if item.size_min == 0:
        raise TypeError(f"a sequence of {item.name}, which has no bytes, has no bound")

    def encode(value: Any) -> bytes:
        if not isinstance(value, tuple | list):
            raise CodecError(f"expected a sequence of {item.name}, got {type(value).__name__}")
        if limit is not None and len(value) > limit:
            raise CodecError(f"{len(value)} items, at most {limit} are allowed")
        write = item.encode
        try:
            return write_compact(len(value)) + b"".join([write(part) for part in value])
        except CodecError:
            raise refused_part(((f"[{index}]", item) for index in itertools.count()), value) from None

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        count, offset = read_count(data, offset, limit, item.size_min)
        values: list[Any] = []
        reader = item.read
        try:
            for _ in range(count):
                value, offset = reader(data, offset)
                values.append(value)
        except CodecError as error:
            raise error.within(f"[{len(values)}]") from None
        return tuple(values), offset

    return Codec(f"Vec<{item.name}>", encode, read, 1)


def ordered_codec(sequence: Codec[Any], mapping: bool) -> Codec[Any]:
    """Return the codec of BTreeSet or BTreeMap: a Vec whose items (or whose keys) strictly ascend."""

    def check(values: Any, offset: int | None) -> None:
        keys = [value[0] for value in values] if mapping else values
        if any(not low < high for low, high in itertools.pairwise(keys)):
            raise CodecError("keys must be in strictly ascending order", offset)

    def encode(value: Any) -> bytes:
        encoded = sequence.encode(value)
        check(value, None)
        return encoded

    def read(data: bytes, offset: int) -> tuple[Any, int]:
        values, end = sequence.read(data, offset)
        check(values, offset)
        return values, end

    return Codec(f"BTree<{sequence.name}>", encode, read, 1)


_STATIC = Codecs()


def codec_for(annotation: TypeForm[T]) -> Codec[T]:
    """Return the codec of a type that depends on no runtime: one without `RuntimeCall` and `RuntimeEvent` inside."""
    return _STATIC.codec_for(annotation)


__all__ = ["Codec", "CodecError", "Codecs", "codec_for", "field_types", "marker_of"]
