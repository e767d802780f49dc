"""What each kind of proxy allows, however calls are nested."""

from __future__ import annotations

import pytest

from pallets.multisig import multi_account
from pallets.proxy import ProxyFilter, ProxyType, allows, is_superset
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.origin import Signed, SystemOrigin
from runtime.types import Err, Ok
from runtime.weights import Weight
from tests.pallets.chainfiles import account
from tests.pallets.harness import Chain
from tests.pallets.proxies import (
    ANY,
    FILTERED,
    GOOD,
    MARKET,
    NON_TRANSFER,
    PROVIDER,
    REMARK,
    SPONSOR,
    act,
    add,
    batch,
    proxy_admin,
    proxy_call,
    reserved,
    result_of,
)


@pytest.mark.parametrize("kind", ProxyType)
@pytest.mark.parametrize("other", ProxyType)
def test_a_superset_allows_everything_that_the_other_does(chain: Chain, kind: ProxyType, other: ProxyType) -> None:
    calls = [RuntimeCall(pallet, function, {"proxy_type": other}) for pallet, function in chain.runtime.calls]
    everything = all(ProxyFilter(kind)(call) for call in calls if ProxyFilter(other)(call))
    assert is_superset(kind, other) == everything


SPENDING = ("transfer_allow_death", "transfer_keep_alive", "transfer_all", "force_transfer", "force_set_balance")


@pytest.mark.parametrize("kind", [NON_TRANSFER, MARKET, PROVIDER, SPONSOR])
def test_limited_kinds_never_spend_nor_act_as_yet_another_account(chain: Chain, kind: ProxyType) -> None:
    for function in SPENDING:
        assert not allows(kind, RuntimeCall("Balances", function, {}))
    for pallet, function in chain.runtime.calls:
        if pallet in ("Multisig", "Sudo") or (pallet, function) in (("Proxy", "proxy"), ("Proxy", "proxy_announced")):
            assert not ProxyFilter(kind)(RuntimeCall(pallet, function, {}))


@pytest.mark.parametrize(
    "call",
    [
        GOOD,
        batch(GOOD),
        batch(GOOD, function="force_batch"),
        batch(batch(batch(GOOD, function="batch_all")), function="force_batch"),
        RuntimeCall("Utility", "if_else", {"main": GOOD, "fallback": GOOD}),
        RuntimeCall("Utility", "if_else", {"main": RuntimeCall("Sudo", "remove_key", {}), "fallback": batch(GOOD)}),
        RuntimeCall("Utility", "as_derivative", {"index": 0, "call": GOOD}),
        RuntimeCall("Utility", "as_derivative", {"index": 0, "call": batch(GOOD)}),
        RuntimeCall("Utility", "dispatch_as", {"as_origin": SystemOrigin(Signed(account("Bob"))), "call": GOOD}),
        RuntimeCall("Utility", "with_weight", {"call": GOOD, "weight": Weight(10**9)}),
        RuntimeCall("Multisig", "as_multi_threshold_1", {"other_signatories": (account("Dave"),), "call": GOOD}),
        batch(RuntimeCall("Multisig", "as_multi_threshold_1", {"other_signatories": (account("Dave"),), "call": GOOD})),
        proxy_call(account("Ferdie"), GOOD),
        batch(proxy_call(account("Ferdie"), proxy_call(account("Bob"), GOOD))),
        RuntimeCall("Sudo", "sudo", {"call": GOOD}),
        RuntimeCall("Scheduler", "schedule", {"when": 9, "maybe_periodic": None, "priority": 0, "call": GOOD}),
    ],
)
@pytest.mark.parametrize("kind", [NON_TRANSFER, MARKET, PROVIDER, SPONSOR])
def test_no_nesting_of_calls_escapes_a_limited_kind(kind: ProxyType, call: RuntimeCall) -> None:
    """Not even when the account is itself a proxy without limits, and has one of those as its own."""
    chain = Chain()
    add(chain, "Bob", "Charlie", kind)
    add(chain, "Bob", "Ferdie")
    add(chain, "Ferdie", "Bob")
    shared = multi_account(tuple(sorted((account("Bob"), account("Dave")))), 1)
    chain.submit("Dave", "Balances", "transfer_keep_alive", dest=Id(shared), value=10**6)
    before = {name: chain.free(account(name)) for name in ("Bob", "Eve", "Ferdie")} | {"shared": chain.free(shared)}
    act(chain, "Charlie", account("Bob"), call)
    after = {name: chain.free(account(name)) for name in ("Bob", "Eve", "Ferdie")} | {"shared": chain.free(shared)}
    assert after == before


def test_the_error_of_a_filtered_call_says_that_it_was_filtered(chain: Chain) -> None:
    add(chain, "Bob", "Charlie", NON_TRANSFER)
    assert result_of(act(chain, "Charlie", account("Bob"), GOOD)) == Err(FILTERED)
    outcome = act(chain, "Charlie", account("Bob"), batch(REMARK, GOOD, REMARK))
    assert result_of(outcome) == Ok(None)
    assert [type(event).__name__ for event in outcome.events] == [
        "Remarked", "ItemCompleted", "BatchInterrupted", "ProxyExecuted",
    ]  # fmt: skip
    assert result_of(act(chain, "Charlie", account("Bob"), batch(REMARK, GOOD, function="batch_all"))) == Err(FILTERED)


def test_a_market_proxy_works_on_the_market_only(chain: Chain) -> None:
    add(chain, "Bob", "Charlie", MARKET)
    ended = RuntimeCall("DatDot", "end_plan", {"plan": 7})
    assert result_of(act(chain, "Charlie", account("Bob"), ended)) not in (Ok(None), Err(FILTERED))
    assert result_of(act(chain, "Charlie", account("Bob"), REMARK)) == Err(FILTERED)


def test_a_proxy_gives_and_takes_no_more_than_it_has(chain: Chain) -> None:
    add(chain, "Bob", "Charlie", NON_TRANSFER)
    add(chain, "Bob", "Ferdie", ANY)
    for call in (
        proxy_admin("add_proxy", ANY),
        proxy_admin("add_proxy", MARKET),
        proxy_admin("remove_proxy", ANY, "Ferdie"),
        RuntimeCall("Proxy", "remove_proxies", {}),
        batch(proxy_admin("add_proxy", ANY, "Charlie"), function="batch_all"),
    ):
        assert result_of(act(chain, "Charlie", account("Bob"), call)) == Err(FILTERED)
    for kind in (NON_TRANSFER, PROVIDER):
        assert result_of(act(chain, "Charlie", account("Bob"), proxy_admin("add_proxy", kind))) == Ok(None)
    assert result_of(act(chain, "Ferdie", account("Bob"), RuntimeCall("Proxy", "remove_proxies", {}))) == Ok(None)
    assert reserved(chain, account("Bob")) == 0


def test_filters_of_different_depths_all_hold(chain: Chain) -> None:
    add(chain, "Bob", "Charlie", ANY)
    inner = batch(batch(REMARK, function="batch_all"), function="batch_all")
    assert result_of(act(chain, "Charlie", account("Bob"), inner)) == Err(FILTERED)
