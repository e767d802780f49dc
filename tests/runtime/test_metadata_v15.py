"""Metadata version 15: what version 14 says, with the same type numbers, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.api import FRAMEWORK_APIS, RuntimeApis
from runtime.codec import codec_for
from runtime.metadata import MetadataBuilder
from runtime.metadata_v15 import ApiMetadata, MetadataV15
from runtime.portable import CompositeDef, EnumDef, MetadataV14, PortableType, PrimitiveDef, SequenceDef
from tests.runtime.conftest import make_runtime

FOLDER = Path(__file__).parent.parent / "vectors/substrate"


def made() -> MetadataV15:
    return codec_for(MetadataV15).decode(RuntimeApis(make_runtime(), FRAMEWORK_APIS).metadata_v15)


@pytest.fixture(scope="module")
def metadata() -> MetadataV15:
    """The tiny runtime's metadata, decoded."""
    return made()


@pytest.fixture(scope="module")
def older() -> MetadataV14:
    """The same runtime's metadata, version 14."""
    runtime = make_runtime()
    return MetadataBuilder(runtime.pallets, runtime.codecs).build()


def test_our_structs_read_and_write_the_metadata_of_another_chain() -> None:
    blob = bytes.fromhex((FOLDER / "pynode_metadata_at_version_15.hex").read_text().strip()[2:])
    start = blob.index(b"meta\x0f")
    decoded = codec_for(MetadataV15).decode(blob[start:])
    assert codec_for(MetadataV15).encode(decoded) == blob[start:]
    assert [api.name for api in decoded.apis][:1] == ["Core"]


def test_it_begins_with_its_version_and_is_always_the_same() -> None:
    first, second = (RuntimeApis(make_runtime(), FRAMEWORK_APIS).metadata_v15 for _ in range(2))
    assert first == second
    assert first[:5] == b"meta\x0f"


def test_types_keep_the_numbers_of_version_14(metadata: MetadataV15, older: MetadataV14) -> None:
    assert [one.id for one in metadata.types] == list(range(len(metadata.types)))
    assert metadata.types[: len(older.types)] == older.types
    assert metadata.runtime == older.runtime


def test_pallets_are_those_of_version_14_with_their_docs(metadata: MetadataV15, older: MetadataV14) -> None:
    for mine, theirs in zip(metadata.pallets, older.pallets, strict=True):
        for field in ("name", "index", "storage", "calls", "event", "constants", "error"):
            assert getattr(mine, field) == getattr(theirs, field)
        assert mine.docs != ()


def test_the_parts_of_an_extrinsic_are_named(metadata: MetadataV15, older: MetadataV14) -> None:
    extrinsic = metadata.extrinsic
    assert (extrinsic.version, extrinsic.extensions) == (4, older.extrinsic.extensions)
    parameters = {one.name: one.type for one in older.types[older.extrinsic.type].params}
    assert parameters == {
        "Address": extrinsic.address,
        "Call": extrinsic.call,
        "Signature": extrinsic.signature,
        "Extra": extrinsic.extra,
    }


def test_outer_enums_have_a_variant_per_pallet(metadata: MetadataV15) -> None:
    outer = metadata.outer_enums
    names = [metadata.types[number].path[-1] for number in (outer.call, outer.event, outer.error)]
    assert names == ["RuntimeCall", "RuntimeEvent", "RuntimeError"]
    errors = metadata.types[outer.error].definition
    assert isinstance(errors, EnumDef)
    expected = [(pallet.name, pallet.index) for pallet in metadata.pallets if pallet.error is not None]
    assert [(variant.name, variant.index) for variant in errors.variants] == expected


def api(metadata: MetadataV15, name: str) -> ApiMetadata:
    return next(one for one in metadata.apis if one.name == name)


def test_every_function_of_every_api_is_explained(metadata: MetadataV15) -> None:
    assert [one.name for one in metadata.apis] == [one.name for one in FRAMEWORK_APIS]
    for one in metadata.apis:
        assert one.docs != ()
        assert one.methods != ()
        for method in one.methods:
            assert method.docs != (), method.name
            assert {method.output, *(argument.type for argument in method.inputs)} <= set(range(len(metadata.types)))


def kind(metadata: MetadataV15, number: int) -> PortableType:
    return metadata.types[number]


def test_functions_have_the_types_that_clients_know(metadata: MetadataV15) -> None:
    (nonce,) = api(metadata, "AccountNonceApi").methods
    assert kind(metadata, nonce.inputs[0].type).path == ("sp_core", "crypto", "AccountId32")
    assert isinstance(kind(metadata, nonce.output).definition, PrimitiveDef)
    _, at_version, versions = api(metadata, "Metadata").methods
    assert (at_version.name, kind(metadata, at_version.output).path) == ("metadata_at_version", ("Option",))
    opaque = kind(metadata, kind(metadata, at_version.output).params[0].type or 0)
    assert opaque.path == ("sp_core", "OpaqueMetadata")
    assert isinstance(opaque.definition, CompositeDef)
    assert opaque.definition.fields[0].name is None
    assert isinstance(kind(metadata, versions.output).definition, SequenceDef)


def test_validating_takes_an_extrinsic_and_answers_as_substrate_does(metadata: MetadataV15) -> None:
    (validate,) = api(metadata, "TaggedTransactionQueue").methods
    assert [argument.name for argument in validate.inputs] == ["source", "tx", "block_hash"]
    paths = [kind(metadata, argument.type).path[-1] for argument in validate.inputs]
    assert paths == ["TransactionSource", "UncheckedExtrinsic", "H256"]
    valid, invalid = (kind(metadata, one.type or 0) for one in kind(metadata, validate.output).params)
    assert (valid.path[-1], invalid.path[-1]) == ("ValidTransaction", "TransactionValidityError")
    assert isinstance(invalid.definition, EnumDef)
    kinds = kind(metadata, invalid.definition.variants[0].fields[0].type).definition
    assert isinstance(kinds, EnumDef)
    assert [(one.index, one.name) for one in kinds.variants[:4]] == [
        (0, "Call"),
        (1, "Payment"),
        (2, "Future"),
        (3, "Stale"),
    ]
    assert [(one.index, one.name, len(one.fields)) for one in kinds.variants[7:8]] == [(7, "Custom", 1)]


def test_there_are_no_custom_values(metadata: MetadataV15) -> None:
    assert metadata.custom == ()
