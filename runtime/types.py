"""SCALE types are Python annotations: this module names the annotations and the markers inside them.

`T | None` is Option, `tuple[T, ...]` is Vec, `tuple[A, B]` is a tuple, a frozen dataclass is a struct, `enum.Enum` is
an enum without fields, a direct subclass of `Variant` is an enum with fields whose subclasses are its variants.
Everything that is decoded is immutable and hashable. Source of the layout: the SCALE codec of Substrate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, TypeVar

T = TypeVar("T")
E = TypeVar("E")


@dataclass(frozen=True)
class UInt:
    """Marks an unsigned little-endian integer of `size_bytes`."""

    size_bytes: int


@dataclass(frozen=True)
class SInt:
    """Marks a signed, two's complement, little-endian integer of `size_bytes`."""

    size_bytes: int


@dataclass(frozen=True)
class Compact:
    """Marks an unsigned integer below 2^(8 * size_bytes) in SCALE's compact form."""

    size_bytes: int


@dataclass(frozen=True)
class Fixed:
    """Marks `bytes` or `tuple[T, ...]` of exactly `length` items, written without a count.

    `path` names a newtype around the array in the metadata, such as `sp_core::crypto::AccountId32`.
    """

    length: int
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class MaxLength:
    """Bounds `bytes`, `str` (in UTF-8 bytes) or `tuple[T, ...]` to `length` items, both ways."""

    length: int


@dataclass(frozen=True)
class Ordered:
    """Marks `tuple[T, ...]` as a strictly ascending BTreeSet, or `tuple[tuple[K, V], ...]` as a BTreeMap."""

    mapping: bool = False


@dataclass(frozen=True)
class Unencoded:
    """Marks a field that exists in memory only: neither the codec nor the metadata knows of it. It has a default."""


@dataclass(frozen=True)
class Outer:
    """Marks a type whose codec depends on the whole runtime: "RuntimeCall" or "RuntimeEvent"."""

    name: str


U8 = Annotated[int, UInt(1)]
U16 = Annotated[int, UInt(2)]
U32 = Annotated[int, UInt(4)]
U64 = Annotated[int, UInt(8)]
U128 = Annotated[int, UInt(16)]
I8 = Annotated[int, SInt(1)]
I16 = Annotated[int, SInt(2)]
I32 = Annotated[int, SInt(4)]
I64 = Annotated[int, SInt(8)]
I128 = Annotated[int, SInt(16)]
CompactU32 = Annotated[int, Compact(4)]
CompactU64 = Annotated[int, Compact(8)]
CompactU128 = Annotated[int, Compact(16)]
Bool = bool
Text = str
Bytes = bytes
AccountId = Annotated[bytes, Fixed(32, ("sp_core", "crypto", "AccountId32"))]
AccountId32 = AccountId
H256 = Annotated[bytes, Fixed(32, ("primitive_types", "H256"))]
Bytes4 = Annotated[bytes, Fixed(4)]
Bytes20 = Annotated[bytes, Fixed(20)]
Bytes32 = Annotated[bytes, Fixed(32)]
Signature64 = Annotated[bytes, Fixed(64)]
Signature65 = Annotated[bytes, Fixed(65)]


def type_path(path: str) -> tuple[str, ...]:
    """Return the segments of a Rust path such as `sp_runtime::multiaddress::MultiAddress`."""
    return tuple(path.split("::"))


class Variant:
    """Base of enums with fields: `class X(Variant)` is the enum, its subclasses (frozen dataclasses) are the variants.

    `index` is the SCALE index, by default one more than that of the variant declared before. `unnamed=True` hides the
    field names in the metadata, as a Rust tuple variant does. `abstract=True` makes a class whose subclasses are enums.
    """

    __scale_path__: ClassVar[tuple[str, ...]]
    __variant_index__: ClassVar[int]
    __scale_unnamed__: ClassVar[bool]
    __scale_variants__: ClassVar[dict[int, type[Any]]]
    __scale_abstract__: ClassVar[bool] = True

    def __init_subclass__(cls, *, index: int | None = None, unnamed: bool = False, abstract: bool = False) -> None:
        super().__init_subclass__()
        parent = cls.__mro__[1]
        cls.__scale_abstract__ = abstract
        if abstract:
            return
        if parent.__dict__["__scale_abstract__"]:
            cls.__scale_variants__ = {}
            return
        variants: dict[int, type[Any]] = parent.__dict__["__scale_variants__"]
        if "__variant_index__" in cls.__dict__:  # `dataclass(slots=True)` makes the class a second time
            variants[cls.__variant_index__] = cls
            return
        chosen = max(variants, default=-1) + 1 if index is None else index
        if chosen in variants or not 0 <= chosen <= 255:
            raise TypeError(f"{parent.__name__}.{cls.__name__}: variant index {chosen} is taken or out of range")
        cls.__variant_index__ = chosen
        cls.__scale_unnamed__ = unnamed
        variants[chosen] = cls


@dataclass(frozen=True)
class Ok(Generic[T]):
    """The success of a `Result`."""

    value: T


@dataclass(frozen=True)
class Err(Generic[E]):
    """The failure of a `Result`."""

    error: E


Result = Ok[T] | Err[E]


def in_scale(hint: Any) -> bool:
    """Tell whether a field of this annotation is part of SCALE."""
    return not any(isinstance(marker, Unencoded) for marker in getattr(hint, "__metadata__", ()))


def scale_name(name: str) -> str:
    """Return a Python name as metadata shows it: without the underscore that keeps it off a keyword."""
    return name[:-1] if name.endswith("_") else name


def camel_case(name: str) -> str:
    """Return `TotalIssuance` for `total_issuance`; a name that already has capitals is kept."""
    if name.isupper() or "_" in name or name.islower():
        return "".join(part[:1].upper() + part[1:].lower() for part in scale_name(name).split("_"))
    return name


def default_path(cls: type) -> tuple[str, ...]:
    """Return the metadata path of a class by its module: `pallets.balances.types.X` is `pallet_balances::types::X`."""
    package, *modules = cls.__module__.split(".")
    if package == "pallets" and modules:
        return (f"pallet_{modules[0]}", *modules[1:], cls.__name__)
    return ("datdot_runtime", *modules, cls.__name__)


def docs_of(thing: object) -> tuple[str, ...]:
    """Return the docstring's lines; a class without one (dataclass writes its signature there) has none."""
    text = getattr(thing, "__doc__", None)
    if not isinstance(text, str) or (isinstance(thing, type) and text.startswith(thing.__name__ + "(")):
        return ()
    lines = [line.strip() for line in text.strip().splitlines()]
    return tuple(lines) if lines != [""] else ()
