"""What a chain says about itself: its pallets with calls, storage items, constants and errors, and all their types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from typing import Any, Final

from node.client.errors import BadAnswer, NotSupported
from node.client.generic import NamedVariant
from node.client.portable_codecs import Path, PortableTypes, UnknownType
from runtime.call import RuntimeCall
from runtime.codec import codec_for
from runtime.codec_scalars import Codec
from runtime.construct import Runtime
from runtime.crypto import twox128
from runtime.errors import CodecError, DispatchErrorValue, Module
from runtime.events import EventRecord
from runtime.portable import (
    CompositeDef,
    EnumDef,
    ExtensionMetadata,
    Map,
    MetadataV14,
    PalletMetadata,
    Plain,
    StorageEntry,
    StorageModifier,
    TupleDef,
    VariantDef,
)
from runtime.storage import (
    BLAKE2_128,
    BLAKE2_128_CONCAT,
    BLAKE2_256,
    IDENTITY,
    TWOX_64_CONCAT,
    TWOX_128,
    TWOX_256,
    Hasher,
)

HASHERS: Final = {
    hasher.name: hasher
    for hasher in (BLAKE2_128, BLAKE2_256, BLAKE2_128_CONCAT, TWOX_128, TWOX_256, TWOX_64_CONCAT, IDENTITY)
}
MAX_METADATA_BYTES: Final = 16 * 1024 * 1024
RUNTIMES_KEPT: Final = 4
"""Runtimes of this process whose metadata stays decoded."""


@cache
def declared_classes() -> dict[Path, type[Any]]:
    """This program's classes by metadata path."""
    from pallets.chain import build_runtime
    from runtime.metadata import MetadataBuilder

    runtime = build_runtime()
    builder = MetadataBuilder(runtime.pallets, runtime.codecs)
    builder.build()
    return builder.registry.classes()


@dataclass(frozen=True)
class StorageDescription:
    """A storage item: its full name, what its keys and values are, and the value that stands for an absent one."""

    name: str
    prefix: bytes
    keys: tuple[tuple[int, Hasher], ...]
    value_type: int
    default: Any
    types: PortableTypes

    def key(self, *keys: Any) -> bytes:
        """The storage key of a value; raises CodecError for keys that do not fit."""
        if len(keys) != len(self.keys):
            raise CodecError(f"{self.name} takes {len(self.keys)} keys, {len(keys)} are given")
        parts = zip(self.keys, keys, strict=True)
        return self.prefix + b"".join(hasher(self.types.codec(kind).encode(key)) for (kind, hasher), key in parts)

    def keys_of(self, key: bytes) -> tuple[Any, ...]:
        """The keys inside a storage key; raises CodecError where a hasher forgets them."""
        found, offset = [], len(self.prefix)
        for kind, hasher in self.keys:
            if not hasher.concat:
                raise CodecError(f"the keys of {self.name} are hashed by {hasher.name}, which forgets them")
            value, offset = self.types.codec(kind).read(key, offset + hasher.digest_bytes)
            found.append(value)
        return tuple(found)


class ChainMetadata:
    """A decoded metadata. What a chain lacks raises NotSupported with its name."""

    def __init__(self, encoded: bytes) -> None:
        if len(encoded) > MAX_METADATA_BYTES:
            raise BadAnswer(f"metadata of {len(encoded)} bytes; at most {MAX_METADATA_BYTES} are read")
        try:
            metadata = codec_for(MetadataV14).decode(encoded)
        except CodecError as error:
            raise BadAnswer(f"the node's metadata is not of version 14: {error}") from None
        self.pallets = {pallet.name: pallet for pallet in metadata.pallets}
        by_path = {one.path: one.id for one in metadata.types if one.path}
        parameters = {one.id: {p.name: p.type for p in one.params} for one in metadata.types}
        record = parameters.get(by_path.get(("frame_system", "EventRecord"), -1), {})
        outer_call = parameters.get(metadata.extrinsic.type, {}).get("Call")
        self.types = PortableTypes(metadata.types, declared_classes(), outer_call, record.get("E"))
        self.extensions: Sequence[ExtensionMetadata] = metadata.extrinsic.extensions
        self._items: dict[tuple[str, str], StorageDescription] = {}

    # --- finding things

    def pallet(self, name: str) -> PalletMetadata:
        """A pallet by its name."""
        found = self.pallets.get(name)
        if found is None:
            raise NotSupported(f"the connected chain has no pallet {name}; it has {', '.join(self.pallets)}")
        return found

    def calls(self, pallet: str) -> Sequence[VariantDef]:
        """The calls of a pallet."""
        return self._variants(self.pallet(pallet).calls)

    def find_call(self, pallet: str, function: str) -> VariantDef:
        """A call by its name."""
        for found in self.calls(pallet):
            if found.name == function:
                return found
        names = ", ".join(one.name for one in self.calls(pallet)) or "none"
        raise NotSupported(f"the connected chain has no call {pallet}.{function}; {pallet} has {names}")

    def items(self, pallet: str) -> Sequence[StorageEntry]:
        """The storage items of a pallet."""
        storage = self.pallet(pallet).storage
        return () if storage is None else storage.entries

    def item(self, pallet: str, name: str) -> StorageDescription:
        """A storage item by its name."""
        found = self._items.get((pallet, name))
        if found is None:
            found = self._items[pallet, name] = self._describe(pallet, name)
        return found

    def constant(self, pallet: str, name: str) -> Any:
        """The value of a constant."""
        for found in self.pallet(pallet).constants:
            if found.name == name:
                return self.decode(found.type, found.value, f"{pallet}.{name}")
        names = ", ".join(one.name for one in self.pallet(pallet).constants) or "none"
        raise NotSupported(f"the connected chain has no constant {pallet}.{name}; {pallet} has {names}")

    def _variants(self, number: int | None) -> Sequence[VariantDef]:
        definition = None if number is None else self.types[number].definition
        return definition.variants if isinstance(definition, EnumDef) else ()

    def _describe(self, pallet: str, name: str) -> StorageDescription:
        entries = {entry.name: entry for entry in self.items(pallet)}
        if name not in entries:
            raise NotSupported(
                f"the connected chain stores no {pallet}.{name}; {pallet} stores {', '.join(entries) or 'nothing'}"
            )
        entry, storage = entries[name], self.pallet(pallet).storage
        assert storage is not None
        keys: tuple[tuple[int, Hasher], ...] = ()
        if isinstance(entry.type, Map):
            hashers = [HASHERS[hasher.value] for hasher in entry.type.hashers]
            kinds = [entry.type.key] if len(hashers) == 1 else self._parts(entry.type.key)
            if len(kinds) != len(hashers):
                raise BadAnswer(f"the node's metadata has {len(hashers)} hashers for {len(kinds)} keys of {name}")
            keys = tuple(zip(kinds, hashers, strict=True))
        assert isinstance(entry.type, Map | Plain)
        value_type = entry.type.value if isinstance(entry.type, Map) else entry.type.type
        default = None
        if entry.modifier is StorageModifier.DEFAULT:
            default = self.decode(value_type, entry.default, f"{pallet}.{name}")
        prefix = twox128(storage.prefix.encode()) + twox128(name.encode())
        return StorageDescription(f"{pallet}.{name}", prefix, keys, value_type, default, self.types)

    def _parts(self, number: int) -> Sequence[int]:
        definition = self.types[number].definition
        if isinstance(definition, TupleDef):
            return definition.types
        return [field.type for field in definition.fields] if isinstance(definition, CompositeDef) else [number]

    # --- bytes and values

    @property
    def call_type(self) -> int:
        """The type of calls."""
        if self.types.call_type is None:
            raise NotSupported("the node's metadata does not name its type of calls")
        return self.types.call_type

    @property
    def call_codec(self) -> Codec[RuntimeCall]:
        """The codec of calls."""
        return self.types.codec(self.call_type)

    def decode(self, kind: int, data: bytes, what: str) -> Any:
        """A value of a type; raises BadAnswer, which names `what`."""
        try:
            return self.types.codec(kind).decode(data)
        except (CodecError, UnknownType, RecursionError) as error:
            raise BadAnswer(f"the node's {what} does not fit its metadata: {error}") from None

    def stored(self, item: StorageDescription, raw: bytes | None) -> Any:
        """The value of a storage item; raises BadAnswer."""
        return item.default if raw is None else self.decode(item.value_type, raw, item.name)

    def event_records(self, raw: bytes | None) -> tuple[EventRecord, ...]:
        """The events of a block, from its System.Events."""
        records: tuple[EventRecord, ...] = self.stored(self.item("System", "Events"), raw)
        return records

    # --- names

    @cached_property
    def event_types(self) -> dict[str, int]:
        """The type of each pallet's events."""
        return {name: pallet.event for name, pallet in self.pallets.items() if pallet.event is not None}

    def pallet_of_event(self, event: Any) -> str | None:
        """The pallet whose event this is, None for something else."""
        if isinstance(event, NamedVariant):
            return event.enum if event.enum in self.event_types else None
        for name, kind in self.event_types.items():
            known = self.types.known_class(kind)
            if known is not None and isinstance(event, known):
                return name
        return None

    def error_text(self, error: Any) -> str:
        """An error of a call by its names, such as "DatDot.UnknownUser: The account is not a user of the market."."""
        if isinstance(error, Module):
            for pallet in self.pallets.values():
                for variant in self._variants(pallet.error) if pallet.index == error.value.index else ():
                    if variant.index == error.value.error[0]:
                        return f"{pallet.name}.{variant.name}: {' '.join(variant.docs)}"
        if isinstance(error, DispatchErrorValue):
            name = type(error).__dict__.get("__scale_name__", type(error).__name__)
            return ": ".join([name, *(str(getattr(part, "value", part)) for part in vars(error).values())])
        return str(error)


@lru_cache(maxsize=RUNTIMES_KEPT)
def metadata_of(runtime: Runtime) -> ChainMetadata:
    """The metadata of a runtime of this process."""
    return ChainMetadata(runtime.metadata_v14)
