"""The portable type registry of the metadata, filled from the same annotations that the codecs are compiled from."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_args, get_origin

from runtime.codec import field_types, marker_of
from runtime.era import Era
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
    TypeDef,
    TypeParameter,
    VariantDef,
)
from runtime.types import (
    U8,
    Compact,
    Err,
    Fixed,
    MaxLength,
    Ok,
    Ordered,
    Outer,
    SInt,
    UInt,
    Variant,
    camel_case,
    default_path,
    docs_of,
    scale_name,
)

Path = tuple[str, ...]


class TypeRegistry:
    """Numbers types in the order in which they are asked for; `outer` makes the types that depend on the runtime."""

    def __init__(self, outer: dict[str, Callable[[], int]]) -> None:
        self.outer = outer
        self._ids: dict[Any, int] = {}
        self._types: list[PortableType | None] = []

    def types(self) -> tuple[PortableType, ...]:
        """Return all types; their position is their id."""
        return tuple(found for found in self._types if found is not None)

    def classes(self) -> dict[Path, type[Any]]:
        """Return the dataclass, enum or Variant behind every entered type that has one."""
        found: dict[Path, type[Any]] = {}
        for annotation, number in self._ids.items():
            target, entered = get_origin(annotation) or annotation, self._types[number]
            is_declared = dataclasses.is_dataclass(target) or (
                isinstance(target, type) and issubclass(target, enum.Enum | Variant)
            )
            if is_declared and entered is not None and entered.path:
                found[entered.path] = target
        return found

    def type_id(self, annotation: Any) -> int:
        """Return the id of a type, entering it and everything inside it at the first call."""
        key = without_bounds(annotation)
        found = self._ids.get(key)
        return self._enter(key) if found is None else found

    def define(self, key: Any, path: Path, make: Callable[[], TypeDef], *, params: Any = (), docs: Path = ()) -> int:
        """Enter a type under `key`; its id is taken before `make` runs, so a type may contain itself."""
        found = self._ids.get(key)
        if found is not None:
            return found
        number = self._ids[key] = len(self._types)
        self._types.append(None)
        parameters = tuple(
            TypeParameter(name, None if parameter is None else self.type_id(parameter)) for name, parameter in params
        )
        self._types[number] = PortableType(number, path, parameters, make(), docs)
        return number

    def field(self, name: str | None, annotation: Any) -> Field:
        """Return a field of a type."""
        return Field(None if name is None else scale_name(name), self.type_id(annotation), type_name(annotation))

    def fields(self, pairs: Sequence[tuple[str, Any]], unnamed: bool = False) -> tuple[Field, ...]:
        """Return fields, without their names when `unnamed`."""
        return tuple(self.field(None if unnamed else name, annotation) for name, annotation in pairs)

    def _enter(self, annotation: Any) -> int:
        if get_origin(annotation) is Annotated:
            base, *markers = get_args(annotation)
            return self._enter_marked(annotation, base, markers)
        if annotation is None or annotation is type(None):
            return self.define(annotation, (), lambda: TupleDef(()))
        if annotation is bytes:
            return self.define(annotation, (), lambda: SequenceDef(self.type_id(U8)))
        if annotation in (bool, str):
            kind = PrimitiveKind.BOOL if annotation is bool else PrimitiveKind.STR
            return self.define(annotation, (), lambda: PrimitiveDef(kind))
        origin = get_origin(annotation)
        if origin is tuple:
            return self._enter_tuple(annotation, get_args(annotation), [])
        if origin in (typing.Union, types.UnionType):
            return self._enter_union(annotation)
        return self._enter_class(annotation, origin or annotation)

    def _enter_marked(self, annotation: Any, base: Any, markers: list[Any]) -> int:
        outer = marker_of(markers, Outer)
        if outer is not None:
            return self.outer[outer.name]()
        compact = marker_of(markers, Compact)
        if compact is not None:
            inner = Annotated[int, UInt(compact.size_bytes)]
            return self.define(annotation, (), lambda: CompactDef(self.type_id(inner)))
        if base is int:
            kind = PrimitiveKind(type_name(annotation))
            return self.define(annotation, (), lambda: PrimitiveDef(kind))
        fixed = marker_of(markers, Fixed)
        if get_origin(base) is tuple:
            return self._enter_tuple(annotation, get_args(base), markers)
        if base is bytes and fixed is not None:
            length, path = fixed.length, fixed.path
            if path:
                plain = Annotated[bytes, Fixed(length)]
                return self.define(annotation, path, lambda: CompositeDef((self.field(None, plain),)))
            return self.define(annotation, (), lambda: ArrayDef(length, self.type_id(U8)))
        return self.type_id(base)

    def _enter_tuple(self, annotation: Any, items: tuple[Any, ...], markers: list[Any]) -> int:
        if len(items) != 2 or items[1] is not Ellipsis:
            return self.define(annotation, (), lambda: TupleDef(tuple(self.type_id(item) for item in items)))
        item = items[0]
        fixed, ordered = marker_of(markers, Fixed), marker_of(markers, Ordered)
        if fixed is not None:
            length = fixed.length
            return self.define(annotation, (), lambda: ArrayDef(length, self.type_id(item)))
        if ordered is not None:
            params = zip("KV", get_args(item), strict=True) if ordered.mapping else (("T", item),)
            name = "BTreeMap" if ordered.mapping else "BTreeSet"
            inner = tuple.__class_getitem__((item, Ellipsis))
            return self.define(annotation, (name,), lambda: CompositeDef((self.field(None, inner),)), params=params)
        return self.define(annotation, (), lambda: SequenceDef(self.type_id(item)))

    def _enter_union(self, annotation: Any) -> int:
        members = get_args(annotation)
        rest = [member for member in members if member is not type(None)]
        if len(rest) < len(members):
            inner: Any = rest[0] if len(rest) == 1 else typing.Union[tuple(rest)]  # noqa: UP007 - built at run time
            return self.define(
                annotation,
                ("Option",),
                lambda: EnumDef((VariantDef("None", (), 0), VariantDef("Some", (self.field(None, inner),), 1))),
                params=(("T", inner),),
            )
        by_origin = {get_origin(member): get_args(member)[0] for member in members}
        ok, err = by_origin[Ok], by_origin[Err]
        return self.define(
            annotation,
            ("Result",),
            lambda: EnumDef(
                (VariantDef("Ok", (self.field(None, ok),), 0), VariantDef("Err", (self.field(None, err),), 1))
            ),
            params=(("T", ok), ("E", err)),
        )

    def _enter_class(self, annotation: Any, target: type[Any]) -> int:
        outer = target.__dict__.get("__scale_outer__")
        if outer is not None:
            return self.outer[outer]()
        path, docs = path_of(target), docs_of(target)
        if target is Era:
            return self.define(annotation, path, self._era)
        if issubclass(target, enum.Enum):
            return self.define(annotation, path, lambda: EnumDef(enum_variants(target)), docs=docs)
        if issubclass(target, Variant):
            params = target.__dict__.get("__scale_params__", ())
            return self.define(annotation, path, lambda: self.variants(target), params=params, docs=docs)
        if dataclasses.is_dataclass(target):
            names = [parameter.__name__ for parameter in getattr(target, "__parameters__", ())]
            params = target.__dict__.get("__scale_params__", tuple(zip(names, get_args(annotation), strict=False)))
            pairs = field_types(annotation)
            return self.define(annotation, path, lambda: CompositeDef(self.fields(pairs)), params=params, docs=docs)
        raise TypeError(f"{annotation!r} has no place in the metadata")

    def variants(self, root: Any) -> TypeDef:
        """Return the definition of an enum with fields."""
        return EnumDef(
            tuple(
                VariantDef(
                    variant.__dict__.get("__scale_name__", scale_name(variant.__name__)),
                    self.fields(field_types(variant), variant.__scale_unnamed__),
                    index,
                    docs_of(variant),
                )
                for index, variant in sorted(root.__scale_variants__.items())
            )
        )

    def _era(self) -> TypeDef:
        second = (self.field(None, U8),)
        mortal = (VariantDef(f"Mortal{first}", second, first) for first in range(1, 256))
        return EnumDef((VariantDef("Immortal", (), 0), *mortal))


def enum_variants(target: type[enum.Enum]) -> tuple[VariantDef, ...]:
    """Return the variants of an enum without fields; a text value is the member's doc line."""
    return tuple(
        VariantDef(camel_case(member.name), (), index, (member.value,) if isinstance(member.value, str) else ())
        for index, member in enumerate(target)
    )


def path_of(target: type) -> Path:
    """Return the metadata path of a class: its own, or one made from its module."""
    path: Path | None = target.__dict__.get("__scale_path__")
    return default_path(target) if path is None else path


def without_bounds(annotation: Any) -> Any:
    """Drop `MaxLength`, which the metadata does not show, so that bounded and unbounded share a type."""
    if get_origin(annotation) is not Annotated:
        return annotation
    base, *markers = get_args(annotation)
    kept = tuple(marker for marker in markers if not isinstance(marker, MaxLength))
    return Annotated[(base, *kept)] if kept else base


def type_name(annotation: Any) -> str:
    """Return how Rust would spell a type."""
    if get_origin(annotation) is Annotated:
        base, *markers = get_args(annotation)
        kinds = (marker_of(markers, kind) for kind in (UInt, SInt, Compact, Fixed))
        match tuple(kinds):
            case UInt(size), _, _, _:
                return f"u{size * 8}"
            case _, SInt(size), _, _:
                return f"i{size * 8}"
            case _, _, Compact(size), _:
                return f"Compact<u{size * 8}>"
            case _, _, _, Fixed(length, path) if base is bytes:
                return path[-1] if path else f"[u8; {length}]"
            case _, _, _, Fixed(length, _):
                return f"[{type_name(get_args(base)[0])}; {length}]"
        outer = marker_of(markers, Outer)
        return type_name(base) if outer is None else outer.name
    if annotation is None or annotation is type(None):
        return "()"
    if annotation is bytes:
        return "Vec<u8>"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return f"Vec<{type_name(arguments[0])}>"
        return f"({', '.join(map(type_name, arguments))})"
    if origin in (typing.Union, types.UnionType):
        rest = [argument for argument in arguments if argument is not type(None)]
        if len(rest) < len(arguments):
            return f"Option<{type_name(rest[0])}>"
        return f"Result<{', '.join(type_name(get_args(argument)[0]) for argument in arguments)}>"
    inside = f"<{', '.join(map(type_name, arguments))}>" if arguments else ""
    return f"{(origin or annotation).__name__}{inside}"
