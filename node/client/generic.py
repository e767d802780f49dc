"""Values of types that this program declares no class for, and reading values of either kind by metadata names."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.call import Arguments
from runtime.errors import CodecError
from runtime.portable import Field
from runtime.types import camel_case, scale_name


class _Fields:
    """What has `fields` by their metadata names; they do not change."""

    fields: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", Arguments(self.fields))

    def __getitem__(self, field: str) -> Any:
        return self.fields[field]


@dataclass(frozen=True)
class Record(_Fields):
    """A struct as the node's metadata describes it."""

    name: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class NamedVariant(_Fields):
    """A variant of an enum as the node's metadata describes it; unnamed fields are named "0", "1" …

    For an event `enum` is the name of its pallet.
    """

    enum: str
    name: str
    fields: Mapping[str, Any]


def field_of(value: Any, name: str) -> Any:
    """A field of a struct, a variant or a mapping by its metadata name; raises CodecError when it lacks it."""
    fields = value.fields if isinstance(value, _Fields) else value
    for spelled in (name, f"{name}_"):  # the underscore keeps a name of ours off Python's words
        if isinstance(fields, Mapping) and spelled in fields:
            return fields[spelled]
        if not isinstance(fields, Mapping) and hasattr(fields, spelled):
            return getattr(fields, spelled)
    raise CodecError(f"the field {name} is missing in {shown(value)}")


def parts_of(value: Any, fields: Sequence[Field]) -> list[Any]:
    """The parts of a value in the order of a type's fields; raises CodecError when they are not exactly these.

    Unnamed fields are those of a tuple, or of one of our classes, in order.
    """
    names = [field.name or str(position) for position, field in enumerate(fields)]
    content = value.fields if isinstance(value, _Fields) else value
    if isinstance(content, Mapping):
        surplus = [name for name in content if scale_name(name) not in names and name not in names]
        if surplus:
            raise CodecError(f"there is no field {surplus[0]}; there are {', '.join(names) or 'none'}")
    elif isinstance(content, tuple | list):
        return _all_of(list(content), names, value)
    elif fields and fields[0].name is None and dataclasses.is_dataclass(content):
        own = [getattr(content, field.name) for field in dataclasses.fields(content)]
        return _all_of(own, names, value)
    return [field_of(value, name) for name in names]


def _all_of(parts: list[Any], names: Sequence[str], value: Any) -> list[Any]:
    if len(parts) != len(names):
        raise CodecError(f"{len(names)} fields are expected, {shown(value)} has {len(parts)}")
    return parts


def variant_name(value: Any) -> str:
    """The metadata name of a variant's value; plain text is a variant without fields."""
    if isinstance(value, NamedVariant):
        return value.name
    if isinstance(value, enum.Enum):
        return camel_case(value.name)
    if isinstance(value, str):
        return value
    kind = type(value)
    return str(kind.__dict__.get("__scale_name__", scale_name(kind.__name__)))


def shown(value: Any) -> str:
    """How an error names a value: its kind, never its content."""
    if isinstance(value, Record):
        return value.name
    if isinstance(value, NamedVariant):
        return f"{value.enum}.{value.name}"
    if isinstance(value, Mapping):
        return "what is given"
    return type(value).__name__
