"""The runtime's metadata, version 15: what version 14 says, and pallets' docs, the runtime APIs and the outer enums.

Types have the same numbers as in version 14; those that only the additions need come after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

from runtime.account import MultiAddress
from runtime.api_declaration import ApiDeclaration, ApiMethod
from runtime.codec import Codecs, codec_for
from runtime.crypto import MultiSignature
from runtime.metadata import EXTRINSIC_VERSION, RUNTIME_CRATE, MetadataBuilder
from runtime.pallet import Pallet
from runtime.portable import MAGIC, CompositeDef, Docs, ExtensionMetadata, PalletMetadata, PortableType
from runtime.types import U8, Bytes, CompactU32, Fixed, Ordered, Text, docs_of

VERSION = 15


@dataclass(frozen=True)
class PalletMetadataV15(PalletMetadata):
    """A pallet of the runtime: what version 14 says of it, and its docs."""

    docs: Docs


@dataclass(frozen=True)
class ExtrinsicMetadataV15:
    """The extrinsic format: its version and the types of its parts."""

    version: U8
    address: CompactU32
    call: CompactU32
    signature: CompactU32
    extra: CompactU32
    extensions: tuple[ExtensionMetadata, ...]


@dataclass(frozen=True)
class ApiInput:
    """An argument of a runtime API function."""

    name: Text
    type: CompactU32


@dataclass(frozen=True)
class ApiFunction:
    """A function of a runtime API."""

    name: Text
    inputs: tuple[ApiInput, ...]
    output: CompactU32
    docs: Docs


@dataclass(frozen=True)
class ApiMetadata:
    """A runtime API."""

    name: Text
    methods: tuple[ApiFunction, ...]
    docs: Docs


@dataclass(frozen=True)
class OuterEnums:
    """The enums with one variant per pallet."""

    call: CompactU32
    event: CompactU32
    error: CompactU32


@dataclass(frozen=True)
class CustomValue:
    """A value under a key of the chain's own choice."""

    type: CompactU32
    value: Bytes


@dataclass(frozen=True)
class MetadataV15:
    """The whole metadata; `magic` is "meta", `version` 15. This chain puts nothing into `custom`."""

    __scale_path__: ClassVar[tuple[str, ...]] = ("frame_metadata", "v15", "RuntimeMetadataV15")
    magic: Annotated[bytes, Fixed(4)]
    version: U8
    types: tuple[PortableType, ...]
    pallets: tuple[PalletMetadataV15, ...]
    extrinsic: ExtrinsicMetadataV15
    runtime: CompactU32
    apis: tuple[ApiMetadata, ...]
    outer_enums: OuterEnums
    custom: Annotated[tuple[tuple[Text, CustomValue], ...], Ordered(mapping=True)]


class MetadataBuilderV15(MetadataBuilder):
    """Adds to the registry of version 14 what version 15 says more."""

    def __init__(self, pallets: Sequence[Pallet], codecs: Codecs) -> None:
        super().__init__(pallets, codecs)
        self.registry.outer["UncheckedExtrinsic"] = lambda: self.extrinsic().type
        self.registry.outer["OpaqueMetadata"] = self.opaque_metadata

    def build_v15(self, apis: Sequence[ApiDeclaration]) -> MetadataV15:
        """Return the metadata."""
        pallets = tuple(self.pallet_v15(pallet) for pallet in self.pallets)
        extrinsic = self.extrinsic_v15()
        runtime = self.registry.define("Runtime", (RUNTIME_CRATE, "Runtime"), lambda: CompositeDef(()))
        outer = OuterEnums(self.outer_call(), self.outer_event(), self.outer_error())
        described = tuple(self.api(api) for api in apis)
        types = self.registry.types()
        return MetadataV15(MAGIC, VERSION, types, pallets, extrinsic, runtime, described, outer, ())

    def pallet_v15(self, pallet: Pallet) -> PalletMetadataV15:
        """Return the metadata of a pallet."""
        return PalletMetadataV15(**vars(self.pallet(pallet)), docs=docs_of(type(pallet)))

    def extrinsic_v15(self) -> ExtrinsicMetadataV15:
        """Return the metadata of the extrinsic format."""
        extensions = self.extrinsic().extensions
        return ExtrinsicMetadataV15(
            version=EXTRINSIC_VERSION,
            address=self.registry.type_id(MultiAddress),
            call=self.outer_call(),
            signature=self.registry.type_id(MultiSignature),
            extra=self.registry.type_id("Extra"),
            extensions=extensions,
        )

    def api(self, api: ApiDeclaration) -> ApiMetadata:
        """Return the metadata of a runtime API."""
        return ApiMetadata(api.name, tuple(self.api_function(method) for method in api.methods), api.docs)

    def api_function(self, method: ApiMethod) -> ApiFunction:
        """Return the metadata of a function."""
        inputs = tuple(ApiInput(name, self.registry.type_id(annotation)) for name, annotation in method.inputs)
        return ApiFunction(method.name, inputs, self.registry.type_id(method.output), method.docs)

    def opaque_metadata(self) -> int:
        """Return the type OpaqueMetadata: bytes that hold metadata."""
        path = ("sp_core", "OpaqueMetadata")
        return self.registry.define("OpaqueMetadata", path, lambda: CompositeDef((self.registry.field(None, bytes),)))


def metadata_v15(pallets: Sequence[Pallet], codecs: Codecs, apis: Sequence[ApiDeclaration]) -> bytes:
    """Return the encoded metadata of a runtime of these pallets and its APIs, beginning with "meta" and 15."""
    return codec_for(MetadataV15).encode(MetadataBuilderV15(pallets, codecs).build_v15(apis))
