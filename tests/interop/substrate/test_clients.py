"""Unmodified Substrate clients against `datdot dev`: one scenario, the same expectations for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.interop.substrate.conftest import DevNode
from tests.interop.substrate.scenario import (
    ALICE,
    AMOUNT_PLANCK,
    DEPOSIT_PLANCK,
    FEED_BLOCKS,
    PLAN_FROM,
    PLAN_UNTIL,
    TRANSFERS,
    Report,
    address,
)

pytestmark = pytest.mark.interop

EXPECTED_STATUSES = {
    "polkadot": ["Ready", "InBlock", "Finalized"],
    "papi": ["signed", "txBestBlocksState", "finalized"],
    "papi_legacy": ["signed", "txBestBlocksState", "finalized"],
    "papi_typed": ["signed", "txBestBlocksState", "finalized"],
    "polkadot_17": ["Ready", "InBlock", "Finalized"],
    "dedot": ["Validated", "BestChainBlockIncluded", "Finalized"],
    "dedot_legacy": ["Validated", "BestChainBlockIncluded", "Finalized"],
}
PAPI = ("papi", "papi_legacy", "papi_typed")
PYTHON = ("asi", "psi")
POLKADOT = ("polkadot", "polkadot_17")
DEDOT = ("dedot", "dedot_legacy")


def events_named(result: Mapping[str, Any], name: str) -> list[dict[str, str]]:
    """The data of a result's events of one name, numbers as text: clients differ in how they show them."""
    found = [event["data"] for event in result["events"] if event["name"] == name]
    return [{key: str(value) for key, value in (data or {}).items()} for data in found]


def the_event(result: Mapping[str, Any], name: str) -> dict[str, str]:
    found = events_named(result, name)
    assert len(found) == 1, (name, result["events"])
    return found[0]


def assert_succeeded(result: Mapping[str, Any]) -> None:
    assert result["error"] is None
    assert "Normal" in the_event(result, "System.ExtrinsicSuccess")["dispatch_info"]
    assert not events_named(result, "System.ExtrinsicFailed")


def assert_failed(result: Mapping[str, Any], pallet: str, name: str) -> None:
    assert [part.lower() for part in result["error"][:2]] == [pallet.lower(), name.lower()]
    assert len(events_named(result, "System.ExtrinsicFailed")) == 1
    assert not events_named(result, "System.ExtrinsicSuccess")
    assert int(the_event(result, "TransactionPayment.TransactionFeePaid")["actual_fee"]) > 0


def test_the_client_connects_and_reads_what_the_chain_is(report: Report) -> None:
    connected = report["connect"]
    assert connected["chain"] == "DatDot Development"
    assert (connected["spec"], connected["token"], connected["decimals"]) == ("datdot", "DAT", 9)


def test_constants_come_from_the_metadata(report: Report) -> None:
    constants = {name: int(value) for name, value in report["constants"].items()}
    assert constants == {"ss58_prefix": 42, "existential_deposit": 500, "challenge_delay": 5}


def test_storage_values_are_decoded(report: Report) -> None:
    storage = report["storage"]
    assert 2**59 < int(storage["free"]) < 2**61
    assert storage["number"] > 0
    assert storage["now_ms"] > 1_600_000_000_000


def test_the_plan_of_an_unknown_id_is_null(report: Report) -> None:
    assert report["storage"]["unknown_plan"] is None


def test_all_accounts_are_listed_once(report: Report) -> None:
    addresses = report["accounts"]["addresses"]
    assert len(addresses) == len(set(addresses))
    developers = {address(f"//{name}") for name in ("Alice", "Bob", "Charlie", "Dave", "Eve", "Ferdie")}
    providers = {address(f"//Provider//{index}") for index in range(1, 10)}
    assert {*developers, *providers, ALICE["ed25519"]} <= set(addresses)


@pytest.mark.parametrize("transfer", TRANSFERS, ids=lambda one: str(one["name"]))
def test_a_signed_transfer_is_finalized_with_its_events(
    report: Report, transfer: Mapping[str, Any], dev_node: DevNode
) -> None:
    result = report[transfer["name"]]
    sender, recipient = ALICE[transfer["scheme"]], report.scenario["recipient"]
    assert_succeeded(result)
    expected = {"from": sender, "to": recipient, "amount": str(AMOUNT_PLANCK)}
    assert the_event(result, "Balances.Transfer") == expected
    paid = the_event(result, "TransactionPayment.TransactionFeePaid")
    assert (paid["who"], paid["tip"]) == (sender, str(transfer["tip"]))
    block = dev_node.call("chain_getBlock", result["block"])["block"]
    assert int(result["index"]) == 1
    assert len(block["extrinsics"]) > 1
    assert dev_node.call("chain_getBlockHash", block["header"]["number"]) == result["block"]


def test_the_estimated_fee_is_the_fee_paid(report: Report) -> None:
    estimate = report["fee"]
    assert estimate["class"] == "Normal"
    assert int(estimate["ref_time"]) > 0
    paid = the_event(report["sr25519_mortal"], "TransactionPayment.TransactionFeePaid")
    # The estimate's nonce and era may be a byte shorter or longer; a byte costs one planck, as does the compact tip.
    assert abs(int(paid["actual_fee"]) - int(paid["tip"]) - int(estimate["partial_fee"])) <= 4


def test_the_recipient_has_every_transfer(report: Report) -> None:
    assert int(report["received"]["free"]) == AMOUNT_PLANCK * len(TRANSFERS)
    assert report["received"]["nonce"] == 0


def test_a_transaction_is_followed_to_its_block_and_to_finality(report: Report) -> None:
    if report.client not in EXPECTED_STATUSES:
        assert report["sr25519_mortal"]["block"].startswith("0x")
        return
    submitted = [report[one["name"]]["statuses"] for one in TRANSFERS]
    expected = EXPECTED_STATUSES[report.client]
    for statuses in submitted:
        # On a busy machine a client may tell the last two the other way round: it looks the block up before each.
        assert statuses[0] == expected[0]
        assert expected[-1] in statuses[-2:]
    assert any([status for status in statuses if status in expected] == expected for statuses in submitted)


def test_a_token_error_is_named(report: Report) -> None:
    assert_failed(report["token_error"], "Token", "FundsUnavailable")


def test_an_error_of_the_market_is_named_with_its_text(report: Report) -> None:
    result = report["module_error"]
    # The Python clients give "Module" for the pallet; PAPI gives no documentation.
    assert_failed(result, "Module" if report.client in PYTHON else "DatDot", "UnknownUser")
    assert result["error"][2:] in ([], ["The account is not a user of the market."])


def test_a_batch_does_all_its_calls(report: Report) -> None:
    result = report["batch_all"]
    assert_succeeded(result)
    assert len(events_named(result, "Utility.ItemCompleted")) == 2
    assert len(events_named(result, "Utility.BatchCompleted")) == 1
    assert the_event(result, "Balances.Transfer")["to"] == report.scenario["recipient"]


def test_a_batch_with_a_failing_call_does_nothing(report: Report) -> None:
    result = report["batch_all_undone"]
    assert_failed(result, "Module" if report.client in PYTHON else "Sudo", "RequireSudo")
    assert not events_named(result, "Balances.Transfer")
    assert not events_named(result, "Utility.ItemCompleted")


def test_an_account_with_an_ecdsa_key_signs(report: Report) -> None:
    if report.client in PYTHON:  # psi takes ecdsa accounts for those of Ethereum; asi leaves keys to others
        return
    assert_succeeded(report["ecdsa"])
    sent = the_event(report["ecdsa"], "Balances.Transfer")
    assert (sent["from"], sent["to"]) == (address(report.scenario["ecdsa"], "ecdsa"), ALICE["sr25519"])


def test_two_of_three_signatories_make_a_call(report: Report) -> None:
    opened, done = report["multisig_opened"], report["multisig"]
    assert_succeeded(opened)
    assert_succeeded(done)
    shared = done["account"]
    assert done["depositor"] == ALICE["sr25519"]
    assert the_event(opened, "Multisig.NewMultisig")["multisig"] == shared
    assert the_event(done, "System.Remarked")["sender"] == shared
    assert the_event(done, "Multisig.MultisigExecuted")["approving"] == address(report.scenario["user"])


def test_a_proxy_acts_within_its_limits(report: Report) -> None:
    user = address(report.scenario["user"])
    for step in ("proxy_added", "proxied", "proxy_limited", "proxy_removed", "pure"):
        assert_succeeded(report[step])
    assert the_event(report["proxy_added"], "Proxy.ProxyAdded")["delegator"] == user
    assert the_event(report["proxied"], "System.Remarked")["sender"] == user
    assert not events_named(report["proxy_limited"], "Balances.Transfer")
    refused = the_event(report["proxy_limited"], "Proxy.ProxyExecuted")["result"].lower()
    assert "err" in refused or "'success': false" in refused
    assert the_event(report["pure"], "Proxy.PureCreated")["who"] == user


def test_a_user_joins_the_market_and_publishes_a_feed(report: Report) -> None:
    assert_succeeded(report["new_user"])
    assert_succeeded(report["publish_feed"])
    assert int(the_event(report["new_user"], "DatDot.NewUser")["user"]) > 0
    assert int(the_event(report["publish_feed"], "DatDot.NewFeed")["feed"]) > 0


def test_a_published_plan_is_read_back(report: Report) -> None:
    result = report["publish_plan"]
    assert_succeeded(result)
    published = the_event(result, "DatDot.NewPlan")
    assert published["sponsor"] == the_event(report["new_user"], "DatDot.NewUser")["user"]
    assert the_event(result, "DatDot.NewContract")["plan"] == published["plan"]
    held = the_event(result, "Balances.Held")
    assert (held["who"], held["amount"]) == (address(report.scenario["user"]), str(DEPOSIT_PLANCK))
    contracts = -(-len(FEED_BLOCKS) // 10)
    assert result["plan"] == {"from": PLAN_FROM, "until": PLAN_UNTIL, "state": "Scheduled", "contracts": contracts}


def test_state_is_read_at_an_earlier_block(report: Report) -> None:
    past = report["at"]
    assert past["number"] >= report["storage"]["number"]
    if report.client in (*PAPI, "dedot"):  # they read pinned blocks only, so this one is new
        assert int(past["free"]) == AMOUNT_PLANCK * (len(TRANSFERS) + 1)
    else:
        assert (past["number"], int(past["free"])) == (report["storage"]["number"], 0)


def test_new_heads_arrive_in_order(report: Report) -> None:
    first, *_, last = numbers = report["heads"]["numbers"]
    assert numbers == list(range(first, last + 1))
    assert len(numbers) == 3


def test_a_storage_subscription_tells_every_change(report: Report) -> None:
    seen = report["storage_subscription"]["seen"]
    assert len(seen) == 3
    assert seen == sorted(set(seen))


def test_a_transaction_that_cannot_pay_is_refused_with_the_reason(report: Report) -> None:
    refused = report["refused"]
    if report.client in ("asi", "dedot_legacy"):  # they show the message and leave the data out
        assert refused["message"].endswith("Invalid Transaction")
    elif report.client == "dedot":
        assert refused["message"] == "Invalid Tx: Invalid - Payment"
    elif report.client in PAPI:
        assert refused["kind"] == {"type": "Invalid", "value": {"type": "Payment"}}
    else:
        assert refused["code"] == 1010
        assert "Inability to pay some fees" in refused["message"]


def test_nothing_is_warned_about(report: Report) -> None:
    """Nothing but what the clients say on any node: the refused transaction, newer methods that polkadot.js leaves
    alone, a coroutine that async-substrate-interface forgets to await."""
    expected = (
        "1010: Invalid Transaction",
        "'code': 1010, 'message': 'Invalid Transaction'",
        "RPC methods not decorated: archive_v1_body, archive_v1_call,",
        "coroutine 'AsyncSubstrateInterface.properties' was never awaited",
        "if self.properties:",
        "Enable tracemalloc to get the object allocation traceback",
        # Version 17.0.1 is run with siblings of 16.5.6.
        "@polkadot/api requires direct dependencies exactly matching version 17.0.1.",
        "Either remove and explicitly install matching versions",
        "The following conflicting packages were found:",
        "\t16.5.6\t",
    )
    assert [line for line in report.stderr.splitlines() if not any(part in line for part in expected)] == []


@pytest.mark.parametrize("client", POLKADOT, indirect=True)
def test_derived_balances_and_authors_are_found(report: Report) -> None:
    derived = report["derive"]
    assert derived["author"] == ALICE["sr25519"]
    assert int(derived["transferable"]) <= int(derived["free"])
    assert derived["nonce"] >= 4


@pytest.mark.parametrize("client", ["psi"], indirect=True)
def test_a_block_is_read_with_its_author(report: Report) -> None:
    assert report["author"]["author"] == ALICE["sr25519"]


@pytest.mark.parametrize("client", POLKADOT, indirect=True)
def test_the_newest_metadata_is_chosen(report: Report) -> None:
    assert report["connect"]["metadata_version"] == 15


@pytest.mark.parametrize("client", POLKADOT, indirect=True)
def test_the_parts_of_a_fee_add_up_to_it(report: Report) -> None:
    payment = report["payment"]
    assert sum(map(int, payment["parts"])) == int(payment["partial_fee"]) > 0
    assert int(payment["weight"]) > 0


@pytest.mark.parametrize("client", ["asi", *DEDOT, *POLKADOT, *PAPI], indirect=True)
def test_the_markets_queries_are_called_by_name(report: Report) -> None:
    found = report["runtime_api"]
    assert str(found["user"]) == the_event(report["new_user"], "DatDot.NewUser")["user"]
    assert str(found["feed"]) == the_event(report["publish_feed"], "DatDot.NewFeed")["feed"]
    assert found["unknown"] is None


@pytest.mark.parametrize("client", ["papi"], indirect=True)
def test_all_entries_of_a_map_are_followed(report: Report) -> None:
    watched = report["watch_entries"]
    assert watched["after"] == watched["before"] + 1
    assert int(watched["free"]) == AMOUNT_PLANCK


@pytest.mark.parametrize("client", PAPI, indirect=True)
def test_each_set_of_methods_is_enough_by_itself(report: Report) -> None:
    newer = {name for name in report["methods"]["asked"] if "_v1_" in name and not name.startswith("chainSpec_")}
    if report.client == "papi_legacy":
        assert newer == set()
    else:
        used = {"follow", "header", "body", "call", "storage", "unpin"}
        assert {f"chainHead_v1_{name}" for name in used} | {"transaction_v1_broadcast"} <= newer
        assert {name for name in report["methods"]["asked"] if "_v1_" not in name} == {"rpc_methods"}
