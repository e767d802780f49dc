"""The metadata's own types, as SCALE structs: portable types (`scale-info`) and `frame-metadata` version 14."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, ClassVar

from runtime.types import U8, U32, Bytes, CompactU32, Fixed, Text, Variant

Docs = tuple[Text, ...]
MAGIC = b"meta"


class PrimitiveKind(enum.Enum):
    """`TypeDefPrimitive`, in scale-info's order."""

    BOOL = "bool"
    CHAR = "char"
    STR = "str"
    U8 = "u8"
    U16 = "u16"
    U32 = "u32"
    U64 = "u64"
    U128 = "u128"
    U256 = "u256"
    I8 = "i8"
    I16 = "i16"
    I32 = "i32"
    I64 = "i64"
    I128 = "i128"
    I256 = "i256"


@dataclass(frozen=True)
class Field:
    """A field of a struct or variant; `type_name` is how the source spells the type."""

    name: Text | None
    type: CompactU32
    type_name: Text | None = None
    docs: Docs = ()


@dataclass(frozen=True)
class VariantDef:
    """A variant of an enum."""

    name: Text
    fields: tuple[Field, ...]
    index: U8
    docs: Docs = ()


class TypeDef(Variant):
    """What a type is made of."""


@dataclass(frozen=True)
class CompositeDef(TypeDef, index=0):
    """A struct, or a newtype with one unnamed field."""

    fields: tuple[Field, ...]


@dataclass(frozen=True)
class EnumDef(TypeDef, index=1):
    """An enum."""

    variants: tuple[VariantDef, ...]


@dataclass(frozen=True)
class SequenceDef(TypeDef, index=2):
    """A Vec."""

    type: CompactU32


@dataclass(frozen=True)
class ArrayDef(TypeDef, index=3):
    """A fixed number of items."""

    length: U32
    type: CompactU32


@dataclass(frozen=True)
class TupleDef(TypeDef, index=4):
    """A tuple; without items the unit."""

    types: tuple[CompactU32, ...]


@dataclass(frozen=True)
class PrimitiveDef(TypeDef, index=5):
    """A primitive."""

    kind: PrimitiveKind


@dataclass(frozen=True)
class CompactDef(TypeDef, index=6):
    """A compact integer."""

    type: CompactU32


@dataclass(frozen=True)
class TypeParameter:
    """A type parameter; one without a type is only named."""

    name: Text
    type: CompactU32 | None


@dataclass(frozen=True)
class PortableType:
    """A type of the registry."""

    id: CompactU32
    path: tuple[Text, ...]
    params: tuple[TypeParameter, ...]
    definition: TypeDef
    docs: Docs = ()


class StorageModifier(enum.Enum):
    """Whether an absent value is None or the default."""

    OPTIONAL = "absent is None"
    DEFAULT = "absent is the default"


class StorageHasher(enum.Enum):
    """Hashers in the order of `frame-metadata`; names as in `runtime.storage.Hasher`."""

    BLAKE2_128 = "Blake2_128"
    BLAKE2_256 = "Blake2_256"
    BLAKE2_128_CONCAT = "Blake2_128Concat"
    TWOX_128 = "Twox128"
    TWOX_256 = "Twox256"
    TWOX_64_CONCAT = "Twox64Concat"
    IDENTITY = "Identity"


class StorageEntryType(Variant):
    """Where the values of a storage item lie."""


@dataclass(frozen=True)
class Plain(StorageEntryType):
    """One value."""

    type: CompactU32


@dataclass(frozen=True)
class Map(StorageEntryType):
    """A value per key; with several hashers the key is a tuple."""

    hashers: tuple[StorageHasher, ...]
    key: CompactU32
    value: CompactU32


@dataclass(frozen=True)
class StorageEntry:
    """A storage item."""

    name: Text
    modifier: StorageModifier
    type: StorageEntryType
    default: Bytes
    docs: Docs


@dataclass(frozen=True)
class PalletStorage:
    """The storage items of a pallet under its prefix."""

    prefix: Text
    entries: tuple[StorageEntry, ...]


@dataclass(frozen=True)
class PalletConstant:
    """A constant of a pallet."""

    name: Text
    type: CompactU32
    value: Bytes
    docs: Docs


@dataclass(frozen=True)
class PalletMetadata:
    """A pallet of the runtime."""

    name: Text
    storage: PalletStorage | None
    calls: CompactU32 | None
    event: CompactU32 | None
    constants: tuple[PalletConstant, ...]
    error: CompactU32 | None
    index: U8


@dataclass(frozen=True)
class ExtensionMetadata:
    """A signed extension: the types of what it puts into the extrinsic and of what it signs besides."""

    identifier: Text
    type: CompactU32
    additional: CompactU32


@dataclass(frozen=True)
class ExtrinsicMetadata:
    """The extrinsic format."""

    type: CompactU32
    version: U8
    extensions: tuple[ExtensionMetadata, ...]


@dataclass(frozen=True)
class MetadataV14:
    """The whole metadata; `magic` is "meta", `version` 14."""

    __scale_path__: ClassVar[tuple[str, ...]] = ("frame_metadata", "v14", "RuntimeMetadataV14")
    magic: Annotated[bytes, Fixed(4)]
    version: U8
    types: tuple[PortableType, ...]
    pallets: tuple[PalletMetadata, ...]
    extrinsic: ExtrinsicMetadata
    runtime: CompactU32
