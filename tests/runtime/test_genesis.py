"""Chain files: the genesis block is a function of the file, and every mistake is named with its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.crypto import ss58_encode
from runtime.genesis import ChainSpec, build_genesis
from runtime.genesis_fields import (
    GenesisError,
    GenesisPath,
    read_account,
    read_bytes,
    read_integer,
    read_list,
    read_mapping,
    read_text,
)
from runtime.trie import EMPTY_ROOT
from runtime.version import CODE_KEY
from tests.runtime.conftest import TinyChain, make_runtime, make_signer

ALICE = make_signer("alice").account_id
FILE: dict[str, Any] = {
    "name": "Tiny",
    "id": "tiny",
    "chain_type": "Development",
    "properties": {"ss58Format": 42, "tokenDecimals": 9, "tokenSymbol": "DAT"},
    "slot_duration_ms": 1_000,
    "bootnodes": ["/ip4/127.0.0.1/tcp/1"],
    "genesis": {"Counter": {"accounts": [ss58_encode(ALICE)]}},
}


def test_a_chain_file_reads_back_what_it_writes() -> None:
    spec = ChainSpec.parse(json.dumps(FILE))
    assert spec.to_json() == FILE
    assert ChainSpec.from_json(spec.to_json()) == spec


def test_the_same_file_gives_the_same_genesis_block() -> None:
    one, two = (build_genesis(make_runtime(), ChainSpec.from_json(FILE)) for _ in range(2))
    assert one.header == two.header
    assert (one.header.number, one.header.parent_hash, one.header.extrinsics_root) == (0, bytes(32), EMPTY_ROOT)
    assert one.header.state_root == one.trie.root != EMPTY_ROOT


def test_another_genesis_has_another_hash() -> None:
    other = {**FILE, "genesis": {"Counter": {"accounts": []}}}
    one, two = (build_genesis(make_runtime(), ChainSpec.from_json(file)).header.hash for file in (FILE, other))
    assert one != two


def test_the_code_stands_under_its_well_known_key(chain: TinyChain) -> None:
    assert chain.state.get(CODE_KEY) == chain.runtime.code
    assert chain.runtime.code.endswith((100).to_bytes(4, "little"))


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"name": ""}, "file.name"),
        ({"name": 5}, "file.name"),
        ({"id": None}, "file.id"),
        ({"chain_type": "Fun"}, "file.chain_type"),
        ({"slot_duration_ms": 0}, "file.slot_duration_ms"),
        ({"slot_duration_ms": 1.5}, "file.slot_duration_ms"),
        ({"slot_duration_ms": True}, "file.slot_duration_ms"),
        ({"properties": {"ss58Format": 42}}, "file.properties.tokenDecimals"),
        ({"properties": {**FILE["properties"], "ss58Format": 20_000}}, "file.properties.ss58Format"),
        ({"properties": {**FILE["properties"], "colour": 1}}, "file.properties.colour"),
        ({"bootnodes": "x"}, "file.bootnodes"),
        ({"bootnodes": ["ok", 5]}, "file.bootnodes[1]"),
        ({"genesis": []}, "file.genesis"),
        ({"surplus": 1}, "file.surplus"),
    ],
)
def test_mistakes_of_the_file_are_named_with_their_place(change: dict[str, Any], path: str) -> None:
    with pytest.raises(GenesisError) as caught:
        ChainSpec.from_json({**FILE, **change})
    assert caught.value.path == path
    assert str(caught.value).startswith(f"{path}: expected ")


@pytest.mark.parametrize("missing", [key for key in FILE if key != "bootnodes"])
def test_a_missing_key_is_named(missing: str) -> None:
    with pytest.raises(GenesisError) as caught:
        ChainSpec.from_json({key: value for key, value in FILE.items() if key != missing})
    assert caught.value.path == f"file.{missing}"


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '"x"', "\xff", "[" * 100_000])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(GenesisError):
        ChainSpec.parse(text)


@pytest.mark.parametrize(
    ("genesis", "path"),
    [
        ({"Countr": {}}, "genesis.Countr"),
        ({"System": {"surplus": 1}}, "genesis.System.surplus"),
        ({"Counter": {"acounts": []}}, "genesis.Counter.acounts"),
        ({"Counter": []}, "genesis.Counter"),
        ({"Counter": {"accounts": {}}}, "genesis.Counter.accounts"),
        ({"Counter": {"accounts": [ss58_encode(ALICE), "5x"]}}, "genesis.Counter.accounts[1]"),
        ({"Counter": {"accounts": ["0x00"]}}, "genesis.Counter.accounts[0]"),
    ],
)
def test_mistakes_of_a_section_are_named_with_their_place(genesis: dict[str, Any], path: str) -> None:
    with pytest.raises(GenesisError) as caught:
        build_genesis(make_runtime(), ChainSpec.from_json({**FILE, "genesis": genesis}))
    assert caught.value.path == path


AT = GenesisPath("genesis")["Balances"]["balances"][3][1]


def test_a_path_reads_like_the_file() -> None:
    assert str(AT) == "genesis.Balances.balances[3][1]"


def test_integers_may_be_texts_of_digits() -> None:
    assert read_integer(5, AT) == read_integer("5", AT) == 5
    assert read_integer(str(2**128 - 1), AT) == 2**128 - 1


@pytest.mark.parametrize("value", [-1, 2**128, "x", "-1", "1.0", "", "٣", 1.0, True, None, [], "9" * 41])
def test_what_is_no_integer_is_refused(value: Any) -> None:
    with pytest.raises(GenesisError, match=r"genesis\.Balances\.balances\[3\]\[1\]: expected an integer from 0 to"):
        read_integer(value, AT)


def test_accounts_are_addresses_or_hexadecimal() -> None:
    assert read_account(ss58_encode(ALICE), AT) == read_account("0x" + ALICE.hex(), AT) == ALICE


@pytest.mark.parametrize("value", ["", None, 5, "0x", "0x" + "00" * 31, "0x" + "zz" * 32, "5Grw", ALICE])
def test_what_is_no_account_is_refused(value: Any) -> None:
    with pytest.raises(GenesisError):
        read_account(value, AT)


@pytest.mark.parametrize(("value", "length"), [("00", 1), ("0x0", None), ("0x00", 2), (b"\0", 1), (None, None)])
def test_what_is_no_hexadecimal_is_refused(value: Any, length: int | None) -> None:
    with pytest.raises(GenesisError, match="hexadecimal"):
        read_bytes(value, AT, length)


def test_lists_are_bounded() -> None:
    assert list(read_list([1, 2], AT, maximum=2)) == [1, 2]
    with pytest.raises(GenesisError, match="at most 1"):
        read_list([1, 2], AT, maximum=1)
    with pytest.raises(GenesisError, match="a list"):
        read_list("ab", AT)


def test_mappings_have_exactly_their_keys() -> None:
    assert read_mapping({"a": 1}, AT, required=("a",), optional=("b",)) == {"a": 1}
    wrong: list[Any] = [{}, {"a": 1, "c": 2}, [], None]
    for value in wrong:
        with pytest.raises(GenesisError):
            read_mapping(value, AT, required=("a",), optional=("b",))
    with pytest.raises(GenesisError, match="a text"):
        read_text("", AT)
