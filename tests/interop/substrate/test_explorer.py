"""The pages of polkadot.js Apps, by the API calls that they make: everything the node has is listed, read and built."""

from __future__ import annotations

from typing import Any

import pytest

from node.client.state_proof import verify_answer
from pallets.chain import build_runtime
from runtime.crypto import ss58_encode
from tests.interop import node
from tests.interop.substrate.conftest import DevNode
from tests.interop.substrate.scenario import ALICE, Report, run_client

pytestmark = pytest.mark.interop

NOBODY = ss58_encode(bytes(range(32)))
RUNTIME = build_runtime()


@pytest.fixture(scope="module")
def pages(dev_node: DevNode) -> Report:
    node.install(node.FOLDER)
    scenario: dict[str, Any] = {"client": "explorer", "url": dev_node.url, "nobody": NOBODY}
    return run_client("explorer", [str(node.find_node()), "explorer.mjs"], scenario)


def test_heads_follow_each_other_with_their_author(pages: Report) -> None:
    explorer = pages["explorer"]
    start = explorer["numbers"][0]
    assert explorer["numbers"] == [start, start + 1, start + 2]
    assert set(explorer["authors"]) == {ALICE["sr25519"]}
    assert explorer["finalized"] <= explorer["best"]
    assert explorer["extrinsics"] >= 1
    assert int(explorer["issuance"]) > 2**60
    assert explorer["session"] == 0


def test_a_block_shows_its_author_extrinsics_and_events(pages: Report) -> None:
    block = pages["block"]
    assert block["author"] == block["header_author"] == block["signer"] == ALICE["sr25519"]
    assert (block["same"], block["failed"], block["fee_class"]) == (True, False, "Normal")
    wanted = {"system.Remarked", "system.ExtrinsicSuccess", "transactionPayment.TransactionFeePaid"}
    assert wanted <= set(block["events"])
    assert block["timestamp"] == "set"


def test_the_node_page_is_filled(pages: Report) -> None:
    shown = pages["node"]
    assert (shown["name"], shown["chain_type"], shown["roles"]) == ("DatDot node", "Development", ["Authority"])
    assert shown["health"] == {"peers": 0, "isSyncing": False, "shouldHavePeers": False}
    assert shown["peers"] == []
    assert shown["sync"]["currentBlock"] <= shown["sync"]["highestBlock"]
    assert all(address.endswith(shown["peer_id"]) for address in shown["addresses"])
    assert shown["methods"] > 100


def test_accounts_are_listed_with_their_balances(pages: Report) -> None:
    accounts = pages["accounts"]
    assert accounts["listed"] == 10
    assert 0 < int(accounts["transferable"]) <= int(accounts["free"])
    assert int(accounts["locked"]) == 0
    assert accounts["nonce"] == accounts["signing_nonce"] >= 1
    assert accounts["info"] == ALICE["sr25519"]
    assert accounts["mortal_length"] > 4


def test_the_form_builds_every_call(pages: Report) -> None:
    built = pages["extrinsics"]["built"]
    assert len(built) == len(RUNTIME.calls)
    assert [name for name, works in built.items() if not works] == []


def test_the_storage_browser_reads_every_item(pages: Report) -> None:
    values, maps = pages["storage"]["values"], pages["storage"]["maps"]
    declared = [(pallet.name, item) for pallet in RUNTIME.pallets for item in pallet.storage().values()]
    assert len(values) + len(maps) == len(declared)
    assert [name for name, works in values.items() if not works] == []
    assert [name for name, count in maps.items() if count is None] == []
    assert maps["system.account"] >= 10
    assert maps["datDot.getUserByID"] >= 9


def test_every_constant_is_shown_with_its_text(pages: Report) -> None:
    shown = pages["constants"]["shown"]
    assert len(shown) == sum(len(pallet.constants()) for pallet in RUNTIME.pallets)
    assert [name for name, works in shown.items() if not works] == []


def test_every_event_is_decoded_with_its_text(pages: Report) -> None:
    events = pages["events"]
    assert {"system.ExtrinsicSuccess", "system.Remarked"} <= set(events["seen"])
    variants = [pallet.Event.__scale_variants__ for pallet in RUNTIME.pallets if pallet.Event is not None]
    assert events["events"] == sum(map(len, variants))
    assert events["errors"] == sum(len(list(pallet.Error)) for pallet in RUNTIME.pallets if pallet.Error is not None)


def test_the_runtime_calls_are_those_that_the_version_lists(pages: Report) -> None:
    runtime = pages["runtime"]
    assert runtime["listed"] == len(runtime["apis"]) == len(RUNTIME.version.apis)
    assert runtime["apis"]["datDotApi"] == 11
    assert (runtime["spec"], runtime["inherents"], runtime["unknown_plan"]) == ("datdot", 0, True)
    assert int(runtime["fee"]) > 0


def test_methods_of_ours_are_called_raw(pages: Report) -> None:
    raw = pages["raw"]
    assert raw["blocks"] >= 2
    assert raw["free"] == 12_345
    assert raw["traced"] == ["Sudo.sudo"]
    assert raw["refused"] == -32602
    (value,) = verify_answer(raw["proof"], bytes.fromhex(raw["state_root"][2:])).values()
    assert value is not None
    assert int.from_bytes(value[16:32], "little") == 12_345


def test_nothing_is_warned_about_but_methods_that_the_client_does_not_know(pages: Report) -> None:
    lines = [line for line in pages.stderr.splitlines() if "RPC methods not decorated" not in line]
    assert lines == []
