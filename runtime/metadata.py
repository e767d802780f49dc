"""The runtime's metadata, version 14: everything that clients know about it, made from the pallets' declarations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runtime.account import MultiAddress
from runtime.call import RuntimeCall
from runtime.codec import Codecs, codec_for
from runtime.crypto import MultiSignature
from runtime.extrinsic import EXTENSIONS, Extension
from runtime.pallet import CallSpec, Pallet
from runtime.portable import (
    MAGIC,
    CompositeDef,
    EnumDef,
    ExtensionMetadata,
    ExtrinsicMetadata,
    Field,
    Map,
    MetadataV14,
    PalletConstant,
    PalletMetadata,
    PalletStorage,
    Plain,
    StorageEntry,
    StorageHasher,
    StorageModifier,
    TupleDef,
    VariantDef,
)
from runtime.registry import TypeRegistry, enum_variants
from runtime.storage import StorageItem
from runtime.types import docs_of, type_path

VERSION = 14
EXTRINSIC_VERSION = 4
RUNTIME_CRATE = "datdot_runtime"
EXTRINSIC_PATH = type_path("sp_runtime::generic::unchecked_extrinsic::UncheckedExtrinsic")


class MetadataBuilder:
    """Fills one type registry with everything that the pallets of a runtime declare."""

    def __init__(self, pallets: Sequence[Pallet], codecs: Codecs) -> None:
        self.pallets = pallets
        self.codecs = codecs
        self.registry = TypeRegistry({"RuntimeCall": self.outer_call, "RuntimeEvent": self.outer_event})

    def build(self) -> MetadataV14:
        """Return the metadata."""
        pallets = tuple(self.pallet(pallet) for pallet in self.pallets)
        extrinsic = self.extrinsic()
        runtime = self.registry.define("Runtime", (RUNTIME_CRATE, "Runtime"), lambda: CompositeDef(()))
        return MetadataV14(MAGIC, VERSION, self.registry.types(), pallets, extrinsic, runtime)

    def pallet(self, pallet: Pallet) -> PalletMetadata:
        """Return the metadata of a pallet."""
        items = pallet.storage().values()
        entries = tuple(self.storage_entry(item) for item in items)
        return PalletMetadata(
            name=pallet.name,
            storage=PalletStorage(pallet.name, entries) if entries else None,
            calls=self.calls(pallet),
            event=self.event(pallet),
            constants=tuple(
                PalletConstant(
                    constant.name,
                    self.registry.type_id(constant.annotation),
                    self.codecs.codec_for(constant.annotation).encode(constant.value),
                    constant.docs,
                )
                for constant in pallet.constants()
            ),
            error=self.error(pallet),
            index=pallet.index,
        )

    def storage_entry(self, item: StorageItem) -> StorageEntry:
        """Return the metadata of a storage item."""
        value = self.registry.type_id(item.value_type)
        place: Plain | Map = Plain(value)
        if item.hashers:
            keys = tuple(key for key, _ in item.hashers)
            key_type = keys[0] if len(keys) == 1 else tuple.__class_getitem__(keys)
            hashers = tuple(StorageHasher(hasher.name) for _, hasher in item.hashers)
            place = Map(hashers, self.registry.type_id(key_type), value)
        if item.default is None:
            modifier, default = StorageModifier.OPTIONAL, b"\0"
        else:
            modifier = StorageModifier.DEFAULT
            default = self.codecs.codec_for(item.value_type).encode(item.default)
        return StorageEntry(item.name, modifier, place, default, tuple(item.docs.splitlines()))

    def calls(self, pallet: Pallet) -> int | None:
        """Return the type of a pallet's calls, None if it has none."""
        specs = pallet.call_specs()
        if not specs:
            return None
        path = (pallet.crate_name(), "pallet", "Call")
        docs = ("Contains a variant per dispatchable extrinsic that this pallet has.",)
        return self.registry.define(("calls", pallet.name), path, lambda: self.call_variants(specs), docs=docs)

    def call_variants(self, specs: tuple[CallSpec, ...]) -> EnumDef:
        """Return the definition of a pallet's calls."""
        return EnumDef(
            tuple(VariantDef(spec.name, self.registry.fields(spec.arguments), spec.index, spec.docs) for spec in specs)
        )

    def event(self, pallet: Pallet) -> int | None:
        """Return the type of a pallet's events, None if it has none."""
        root: Any = pallet.Event
        if root is None:
            return None
        path = (pallet.crate_name(), "pallet", "Event")
        return self.registry.define(root, path, lambda: self.registry.variants(root), docs=docs_of(root))

    def error(self, pallet: Pallet) -> int | None:
        """Return the type of a pallet's errors, None if it has none."""
        errors = pallet.Error
        if errors is None:
            return None
        path = (pallet.crate_name(), "pallet", "Error")
        return self.registry.define(errors, path, lambda: EnumDef(enum_variants(errors)), docs=docs_of(errors))

    def outer(self, name: str, inner: Any) -> int:
        """Return an outer enum: one variant per pallet that has the inner type."""

        def make() -> EnumDef:
            variants: list[VariantDef] = []
            for pallet in self.pallets:
                found = inner(pallet)
                if found is not None:
                    fields = (Field(None, found, f"{pallet.name}{name.removeprefix('Runtime')}"),)
                    variants.append(VariantDef(pallet.name, fields, pallet.index))
            return EnumDef(tuple(variants))

        return self.registry.define(("outer", name), (RUNTIME_CRATE, name), make)

    def outer_call(self) -> int:
        """Return the type RuntimeCall."""
        return self.outer("RuntimeCall", self.calls)

    def outer_event(self) -> int:
        """Return the type RuntimeEvent."""
        return self.outer("RuntimeEvent", self.event)

    def outer_error(self) -> int:
        """Return the type RuntimeError."""
        return self.outer("RuntimeError", self.error)

    def extrinsic(self) -> ExtrinsicMetadata:
        """Return the metadata of the extrinsic format."""
        registry = self.registry
        extensions = tuple(
            ExtensionMetadata(extension.identifier, self.extension(extension), registry.type_id(extension.additional))
            for extension in EXTENSIONS
        )
        registry.define("Extra", (), lambda: TupleDef(tuple(extension.type for extension in extensions)))
        number = registry.define(
            "UncheckedExtrinsic",
            EXTRINSIC_PATH,
            lambda: CompositeDef((registry.field(None, bytes),)),
            params=(
                ("Address", MultiAddress),
                ("Call", RuntimeCall),
                ("Signature", MultiSignature),
                ("Extra", "Extra"),
            ),
        )
        return ExtrinsicMetadata(number, EXTRINSIC_VERSION, extensions)

    def extension(self, extension: Extension) -> int:
        """Return the type of what a signed extension puts into the extrinsic."""
        extra = extension.extra
        return self.registry.define(
            ("extension", extension.identifier),
            type_path(extension.path),
            lambda: CompositeDef(() if extra is None else (self.registry.field(extension.field, extra),)),
        )


def metadata_v14(pallets: Sequence[Pallet], codecs: Codecs) -> bytes:
    """Return the encoded metadata of a runtime of these pallets, beginning with "meta" and 14."""
    return codec_for(MetadataV14).encode(MetadataBuilder(pallets, codecs).build())

