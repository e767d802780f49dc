"""The metadata, read back by an independent decoder, describes exactly what the codecs do."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.keys.keypair import Keypair
from runtime.call import RuntimeCall
from runtime.codec import codec_for
from runtime.extrinsic import EXTENSIONS
from runtime.portable import MetadataV14
from tests.runtime.conftest import Counter, TinyChain, make_runtime
from tests.runtime.independent_metadata import Cursor, Metadata, read_metadata, references

FOLDER = Path(__file__).parent.parent / "vectors/substrate"


@pytest.fixture(scope="module")
def metadata() -> Metadata:
    """The tiny runtime's metadata, as the independent decoder reads it to the last byte."""
    return read_metadata(make_runtime().metadata_v14)


def test_every_type_that_is_mentioned_exists(metadata: Metadata) -> None:
    assert set(metadata.types) == set(range(len(metadata.types)))
    assert references(metadata) <= set(metadata.types)


def test_the_same_runtime_always_gives_the_same_bytes() -> None:
    assert make_runtime().metadata_v14 == make_runtime().metadata_v14


@pytest.mark.parametrize("name", ["pynode_metadata_v14.hex", "real_node_template_metadata_v14.hex"])
def test_our_metadata_structs_read_and_write_the_metadata_of_other_chains(name: str) -> None:
    blob = bytes.fromhex((FOLDER / name).read_text().strip()[2:])
    assert codec_for(MetadataV14).encode(codec_for(MetadataV14).decode(blob)) == blob


@pytest.mark.parametrize(
    "path",
    [
        "sp_core::crypto::AccountId32",
        "sp_runtime::multiaddress::MultiAddress",
        "sp_runtime::MultiSignature",
        "sp_runtime::generic::era::Era",
        "frame_system::EventRecord",
        "frame_system::Phase",
        "frame_system::AccountInfo",
        "pallet_balances::types::AccountData",
        "datdot_runtime::RuntimeEvent",
        "datdot_runtime::RuntimeCall",
        "datdot_runtime::Runtime",
        "sp_runtime::generic::unchecked_extrinsic::UncheckedExtrinsic",
        "sp_runtime::DispatchError",
        "sp_runtime::ModuleError",
        "sp_runtime::TokenError",
        "sp_arithmetic::ArithmeticError",
        "sp_runtime::TransactionalError",
        "frame_support::dispatch::DispatchInfo",
        "frame_support::dispatch::DispatchClass",
        "frame_support::dispatch::Pays",
        "sp_weights::weight_v2::Weight",
        "primitive_types::H256",
        "sp_runtime::generic::digest::Digest",
        "sp_runtime::generic::digest::DigestItem",
        "sp_version::RuntimeVersion",
        "frame_system::pallet::Call",
        "frame_system::pallet::Event",
        "frame_system::pallet::Error",
        "Option",
    ],
)
def test_types_have_the_paths_that_clients_look_for(metadata: Metadata, path: str) -> None:
    assert [found["path"] for found in metadata.types.values()].count(path.split("::")) >= 1


def test_era_has_256_variants(metadata: Metadata) -> None:
    kind, variants = metadata.types[metadata.find("sp_runtime", "generic", "era", "Era")]["def"]
    assert kind == "variant"
    assert [variant["index"] for variant in variants] == list(range(256))
    assert [variant["name"] for variant in variants[:2]] == ["Immortal", "Mortal1"]
    assert variants[0]["fields"] == []
    assert all(metadata.types[variant["fields"][0]["type"]]["def"] == ("primitive", "u8") for variant in variants[1:])


def test_the_extrinsic_type_names_its_parts(metadata: Metadata) -> None:
    assert metadata.extrinsic["version"] == 4
    extrinsic = metadata.types[metadata.extrinsic["type"]]
    assert [name for name, _ in extrinsic["params"]] == ["Address", "Call", "Signature", "Extra"]
    kinds = [metadata.types[kind]["path"][-1:] for _, kind in extrinsic["params"][:3]]
    assert kinds == [["MultiAddress"], ["RuntimeCall"], ["MultiSignature"]]
    extra = metadata.types[extrinsic["params"][3][1]]["def"]
    assert extra == ("tuple", [kind for _, kind, _ in metadata.extrinsic["extensions"]])
    (field,) = extrinsic["def"][1]
    assert field["name"] is None
    assert [name for name, _, _ in metadata.extrinsic["extensions"]] == [entry.identifier for entry in EXTENSIONS]


def test_signed_extras_decode_by_the_metadata(metadata: Metadata, chain: TinyChain, alice: Keypair) -> None:
    extrinsic = chain.runtime.extrinsic_codec.decode(chain.signed(alice, "count", amount=1, nonce=300, tip=5))
    assert extrinsic.signed is not None
    cursor = Cursor(extrinsic.signed.extra_bytes)
    values = {name: metadata.decode(kind, cursor) for name, kind, _ in metadata.extrinsic["extensions"]}
    assert cursor.finished
    assert values["CheckMortality"] == {"Immortal": []}
    assert (values["CheckNonce"], values["ChargeTransactionPayment"]) == (300, 5)
    assert values["CheckMetadataHash"] == {"mode": {"Disabled": []}}


def test_additional_data_has_the_types_that_are_signed(metadata: Metadata) -> None:
    kinds = [metadata.types[kind]["def"] for _, _, kind in metadata.extrinsic["extensions"]]
    unit: tuple[str, list[int]] = ("tuple", [])
    assert [kind == unit for kind in kinds] == [True, False, False, False, False, True, True, True, False]
    assert kinds[1] == kinds[2] == ("primitive", "u32")


def test_calls_decode_by_the_metadata_even_when_nested(metadata: Metadata) -> None:
    runtime = make_runtime()
    inner = RuntimeCall("Counter", "count", {"amount": 77})
    outer = RuntimeCall("Counter", "wrap", {"inner": RuntimeCall("Counter", "wrap", {"inner": inner})})
    cursor = Cursor(runtime.call_codec.encode(outer))
    decoded = metadata.decode(metadata.find("datdot_runtime", "RuntimeCall"), cursor)
    assert cursor.finished
    for _ in range(2):
        decoded = decoded["Counter"]["wrap"]["inner"]
    assert decoded == {"Counter": {"count": {"amount": 77}}}


def test_events_of_a_block_decode_by_the_metadata(metadata: Metadata, chain: TinyChain, alice: Keypair) -> None:
    execution = chain.begin()
    execution.apply(chain.signed(alice, "count", amount=5))
    execution.apply(chain.signed(alice, "count", amount=5_000, nonce=1))
    executed = execution.finalize()
    system = chain.runtime.pallet("System")
    stored = executed.changes[system.events.key_of()]  # type: ignore[attr-defined]
    entry = next(e for e in metadata.pallet("System")["storage"]["entries"] if e["name"] == "Events")
    assert stored is not None
    cursor = Cursor(stored)
    decoded = metadata.decode(entry["value"], cursor)
    assert cursor.finished
    assert [next(iter(record["event"])) for record in decoded] == ["System", "Counter", "System", "System"]
    assert decoded[1]["phase"] == {"ApplyExtrinsic": 1}
    assert decoded[1]["event"]["Counter"]["Counted"]["total"] == 5
    failed = decoded[3]["event"]["System"]["ExtrinsicFailed"]
    assert failed["dispatch_error"] == {"Module": {"index": 7, "error": [0, 0, 0, 0]}}
    assert list(failed["dispatch_info"]) == ["weight", "class", "pays_fee"]


def test_storage_entries_say_how_keys_are_made(metadata: Metadata) -> None:
    counter = metadata.pallet("Counter")
    assert counter["storage"]["prefix"] == "Counter"
    entries = {entry["name"]: entry for entry in counter["storage"]["entries"]}
    assert list(entries) == ["Total", "Moment", "ByAccount", "Notes", "Trail"]
    assert [entries[name]["modifier"] for name in entries] == ["Default", "Optional", "Optional", "Optional", "Default"]
    assert entries["Total"]["default"] == bytes(8)
    assert entries["Moment"]["default"] == b"\0"
    assert entries["Notes"]["hashers"] == [5, 5]
    assert metadata.types[entries["Notes"]["key"]]["def"][0] == "tuple"
    assert entries["ByAccount"]["docs"] == ["What each account counted."]
    account = next(e for e in metadata.pallet("System")["storage"]["entries"] if e["name"] == "Account")
    assert len(account["default"]) == 80
    assert account["hashers"] == [2]


def test_constants_hold_encoded_values_and_docs(metadata: Metadata) -> None:
    constants = {constant["name"]: constant for constant in metadata.pallet("System")["constants"]}
    assert list(constants) == ["BlockWeights", "BlockLength", "BlockHashCount", "DbWeight", "SS58Prefix", "Version"]
    for constant in constants.values():
        cursor = Cursor(constant["value"])
        metadata.decode(constant["type"], cursor)
        assert cursor.finished
        assert constant["docs"] != []
    assert constants["SS58Prefix"]["value"] == b"\x2a\0"
    (most,) = metadata.pallet("Counter")["constants"]
    assert (most["name"], most["value"]) == ("Most", (1000).to_bytes(8, "little"))


def test_errors_are_listed_with_their_sentences(metadata: Metadata) -> None:
    kind, variants = metadata.types[metadata.pallet("Counter")["error"]]["def"]
    assert kind == "variant"
    assert [(variant["index"], variant["name"], variant["docs"]) for variant in variants] == [
        (0, "TooHigh", ["The counter would pass its bound."]),
        (1, "Odd", ["The amount is odd."]),
    ]


def test_calls_are_listed_in_the_order_of_declaration_with_docs(metadata: Metadata) -> None:
    _, variants = metadata.types[metadata.pallet("Counter")["calls"]]["def"]
    assert [variant["index"] for variant in variants] == list(range(len(Counter.call_specs())))
    assert variants[1]["name"] == "count"
    assert variants[1]["docs"] == ["Count `amount` more."]
    _, system = metadata.types[metadata.pallet("System")["calls"]]["def"]
    assert [variant["index"] for variant in system] == [0, 2, 4, 5, 6, 7]
    assert [system[0]["name"], system[-1]["name"]] == ["remark", "remark_with_event"]
