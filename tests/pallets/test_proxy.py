"""Proxies: accounts act for others within their limits, after announcements where asked for, and deposits come back."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallets.multisig import multi_account
from pallets.proxy import (
    Announced,
    Announcement,
    DepositKind,
    DepositPoked,
    ProxyAdded,
    ProxyConfig,
    ProxyDefinition,
    ProxyError,
    ProxyExecuted,
    ProxyFilter,
    ProxyRemoved,
    ProxyType,
    PureCreated,
    PureKilled,
    allows,
    is_superset,
    pure_account,
)
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.crypto import blake2_256
from runtime.errors import (
    DispatchErrorValue,
    Module,
    ModuleError,
    ModuleErrorValue,
    OriginRefused,
    Token,
    TokenErrorKind,
)
from runtime.origin import NoneOrigin, Root, Signed, SystemOrigin
from runtime.types import Err, Ok
from runtime.weights import Weight
from tests.pallets.chainfiles import ENDOWMENT, account
from tests.pallets.harness import Chain, Outcome, address, transfer

ANY, NON_TRANSFER, MARKET = ProxyType.ANY, ProxyType.NON_TRANSFER, ProxyType.MARKET
PROVIDER, SPONSOR = ProxyType.PROVIDER, ProxyType.SPONSOR
GOOD = transfer(account("Eve"), 1_000)
REMARK = RuntimeCall("System", "remark_with_event", {"remark": b"hello"})
FILTERED = Module(ModuleErrorValue(0, bytes([5, 0, 0, 0])))
NO_FUNDS = Token(TokenErrorKind.FUNDS_UNAVAILABLE)
BASE, FACTOR = 20_000_000_000, 1_000_000_000
ANNOUNCED_BASE, ANNOUNCED_FACTOR = 20_000_000_000, 2_000_000_000


def error(kind: ProxyError) -> DispatchErrorValue:
    return ModuleError(kind).to_scale()


def reserved(chain: Chain, who: bytes) -> int:
    with chain.runtime.at(chain.state):
        return chain.runtime.system.account_data(who).reserved  # type: ignore[attr-defined, no-any-return]


def add(chain: Chain, name: str, delegate: str, kind: ProxyType = ANY, delay: int = 0) -> Outcome:
    return chain.submit(name, "Proxy", "add_proxy", delegate=address(delegate), proxy_type=kind, delay=delay)


def remove(chain: Chain, name: str, delegate: str, kind: ProxyType = ANY, delay: int = 0) -> Outcome:
    return chain.submit(name, "Proxy", "remove_proxy", delegate=address(delegate), proxy_type=kind, delay=delay)


def proxy_call(real: bytes, call: RuntimeCall, kind: ProxyType | None = None) -> RuntimeCall:
    return RuntimeCall("Proxy", "proxy", {"real": Id(real), "force_proxy_type": kind, "call": call})


def act(chain: Chain, delegate: str, real: bytes, call: RuntimeCall, kind: ProxyType | None = None) -> Outcome:
    return chain.block_with(delegate, proxy_call(real, call, kind))


def batch(*calls: RuntimeCall, function: str = "batch") -> RuntimeCall:
    return RuntimeCall("Utility", function, {"calls": calls})


def result_of(outcome: Outcome) -> Any:
    assert outcome.error is None
    last = outcome.events[-1]
    assert isinstance(last, ProxyExecuted)
    return last.result


# Who may act for whom


def test_a_proxy_acts_for_an_account(chain: Chain) -> None:
    added = add(chain, "Bob", "Charlie")
    assert added.events[-1] == ProxyAdded(account("Bob"), account("Charlie"), ANY, 0)
    assert reserved(chain, account("Bob")) == BASE + FACTOR
    assert result_of(act(chain, "Charlie", account("Bob"), GOOD)) == Ok(None)
    assert chain.free(account("Eve")) == ENDOWMENT + 1_000


def test_what_fails_is_undone_and_reported(chain: Chain) -> None:
    add(chain, "Bob", "Charlie")
    assert result_of(act(chain, "Charlie", account("Bob"), transfer(account("Eve"), 2**100))) == Err(NO_FUNDS)


def test_nobody_else_acts_for_it(chain: Chain) -> None:
    add(chain, "Bob", "Charlie", NON_TRANSFER)
    strangers = (("Dave", "Bob", None), ("Bob", "Charlie", None), ("Charlie", "Bob", ANY), ("Bob", "Bob", None))
    for name, real, kind in strangers:
        assert act(chain, name, account(real), GOOD, kind).error == error(ProxyError.NOT_PROXY)


def test_nobody_is_a_proxy_twice_or_of_itself(chain: Chain) -> None:
    add(chain, "Bob", "Charlie")
    assert add(chain, "Bob", "Charlie").error == error(ProxyError.DUPLICATE)
    assert add(chain, "Bob", "Bob").error == error(ProxyError.NO_SELF_PROXY)
    assert add(chain, "Bob", "Charlie", MARKET).error is None
    assert add(chain, "Bob", "Charlie", delay=1).error is None


def test_the_list_of_proxies_is_bounded(chain: Chain) -> None:
    small = Chain(constants={"Proxy": {"MaxProxies": 2}})
    add(small, "Bob", "Charlie")
    add(small, "Bob", "Dave")
    assert add(small, "Bob", "Eve").error == error(ProxyError.TOO_MANY)


def test_removed_proxies_act_no_more_and_the_deposit_comes_back(chain: Chain) -> None:
    add(chain, "Bob", "Charlie")
    add(chain, "Bob", "Dave", MARKET, 7)
    assert remove(chain, "Bob", "Dave", MARKET, 6).error == error(ProxyError.NOT_FOUND)
    assert remove(chain, "Bob", "Dave", ANY, 7).error == error(ProxyError.NOT_FOUND)
    removed = remove(chain, "Bob", "Dave", MARKET, 7)
    assert removed.events[-1] == ProxyRemoved(account("Bob"), account("Dave"), MARKET, 7)
    assert reserved(chain, account("Bob")) == BASE + FACTOR
    assert chain.submit("Bob", "Proxy", "remove_proxies").error is None
    assert reserved(chain, account("Bob")) == 0
    assert act(chain, "Charlie", account("Bob"), GOOD).error == error(ProxyError.NOT_PROXY)


def test_a_deposit_that_cannot_be_held_adds_nothing() -> None:
    poor = Chain(constants={"Proxy": {"ProxyDepositBase": 2**100, "AnnouncementDepositBase": 2**100}})
    assert add(poor, "Bob", "Charlie").error == NO_FUNDS
    assert poor.submit("Bob", "Proxy", "create_pure", proxy_type=ANY, delay=0, index=0).error == NO_FUNDS
    assert poor.submit("Bob", "Proxy", "remove_proxies").error is None


# What a kind allows


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


def proxy_admin(function: str, kind: ProxyType, delegate: str = "Dave") -> RuntimeCall:
    return RuntimeCall("Proxy", function, {"delegate": address(delegate), "proxy_type": kind, "delay": 0})


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


# Pure accounts


def create(chain: Chain, name: str, kind: ProxyType = ANY, index: int = 0) -> bytes:
    outcome = chain.submit(name, "Proxy", "create_pure", proxy_type=kind, delay=0, index=index)
    assert outcome.error is None
    created = outcome.events[-1]
    assert isinstance(created, PureCreated)
    assert (created.who, created.proxy_type, created.disambiguation_index) == (account(name), kind, index)
    return created.pure


def test_a_pure_account_is_derived_as_frame_does() -> None:
    who = account("Alice")
    height, extrinsic_index = (300).to_bytes(4, "little"), (2).to_bytes(4, "little")
    entropy = b"modlpy/proxy____" + who + height + extrinsic_index + b"\x01" + b"\x07\x00"
    assert pure_account(who, 300, 2, NON_TRANSFER, 7) == blake2b(entropy, digest_size=32).digest()


def kill_call(created_at: int, **changed: Any) -> RuntimeCall:
    arguments = {"spawner": address("Bob"), "proxy_type": ANY, "index": 0, "height": created_at, "ext_index": 1}
    return RuntimeCall("Proxy", "kill_pure", {**arguments, **changed})


def test_a_pure_account_lives_through_its_proxies_and_is_given_up_by_them(chain: Chain) -> None:
    pure = create(chain, "Bob")
    height = chain.header.number
    assert pure == pure_account(account("Bob"), height, 1, ANY, 0)
    assert reserved(chain, account("Bob")) == BASE + FACTOR
    chain.submit("Dave", "Balances", "transfer_keep_alive", dest=Id(pure), value=10**12)
    assert result_of(act(chain, "Bob", pure, GOOD)) == Ok(None)
    assert result_of(act(chain, "Bob", pure, proxy_admin("add_proxy", ANY))) == Ok(None)
    assert (reserved(chain, pure), reserved(chain, account("Bob"))) == (FACTOR, BASE + FACTOR)
    for wrong in ({"index": 1}, {"ext_index": 0}, {"proxy_type": MARKET}, {"spawner": address("Dave")}, {"height": 0}):
        refused = act(chain, "Bob", pure, kill_call(height, **wrong))
        assert result_of(refused) == Err(error(ProxyError.NO_PERMISSION))
    assert chain.block_with("Bob", kill_call(height)).error == error(ProxyError.NO_PERMISSION)
    killed = act(chain, "Dave", pure, kill_call(height))
    assert PureKilled(pure, account("Bob"), ANY, 0) in killed.events
    assert (reserved(chain, pure), reserved(chain, account("Bob"))) == (0, 0)
    assert act(chain, "Bob", pure, GOOD).error == error(ProxyError.NOT_PROXY)


def test_a_pure_account_that_drops_its_proxies_gives_its_spawner_the_deposit_back(chain: Chain) -> None:
    pure = create(chain, "Bob")
    assert result_of(act(chain, "Bob", pure, RuntimeCall("Proxy", "remove_proxies", {}))) == Ok(None)
    assert reserved(chain, account("Bob")) == 0


def test_one_extrinsic_makes_each_pure_account_once(chain: Chain) -> None:
    def spawn(index: int) -> RuntimeCall:
        return RuntimeCall("Proxy", "create_pure", {"proxy_type": ANY, "delay": 0, "index": index})

    twice = chain.block_with("Bob", batch(spawn(0), spawn(0), function="batch_all"))
    assert twice.error == error(ProxyError.DUPLICATE)
    assert chain.block_with("Bob", batch(spawn(0), spawn(1), function="batch_all")).error is None
    assert reserved(chain, account("Bob")) == 2 * (BASE + FACTOR)


# Announcements


def hash_of(chain: Chain, call: RuntimeCall) -> bytes:
    return blake2_256(chain.runtime.call_codec.encode(call))


def announce(chain: Chain, name: str, real: str, call: RuntimeCall) -> Outcome:
    return chain.submit(name, "Proxy", "announce", real=address(real), call_hash=hash_of(chain, call))


def announced(chain: Chain, sender: str, delegate: str, real: str, call: RuntimeCall) -> Outcome:
    arguments = {"delegate": address(delegate), "real": address(real), "force_proxy_type": None, "call": call}
    return chain.submit(sender, "Proxy", "proxy_announced", **arguments)


def test_a_delayed_proxy_announces_waits_and_acts(chain: Chain) -> None:
    add(chain, "Bob", "Charlie", delay=3)
    assert act(chain, "Charlie", account("Bob"), GOOD).error == error(ProxyError.UNANNOUNCED)
    outcome = announce(chain, "Charlie", "Bob", GOOD)
    assert outcome.events[-1] == Announced(account("Bob"), account("Charlie"), hash_of(chain, GOOD))
    assert reserved(chain, account("Charlie")) == ANNOUNCED_BASE + ANNOUNCED_FACTOR
    for _ in range(2):
        assert announced(chain, "Dave", "Charlie", "Bob", GOOD).error == error(ProxyError.UNANNOUNCED)
    assert announced(chain, "Dave", "Charlie", "Bob", REMARK).error == error(ProxyError.UNANNOUNCED)
    assert result_of(announced(chain, "Dave", "Charlie", "Bob", GOOD)) == Ok(None)
    assert reserved(chain, account("Charlie")) == 0
    assert announced(chain, "Dave", "Charlie", "Bob", GOOD).error == error(ProxyError.UNANNOUNCED)


def test_the_account_may_reject_and_the_delegate_take_back(chain: Chain) -> None:
    add(chain, "Bob", "Charlie", delay=1)
    rejected = {"delegate": address("Charlie"), "call_hash": hash_of(chain, GOOD)}
    taken_back = {"real": address("Bob"), "call_hash": hash_of(chain, GOOD)}
    for sender, function, arguments in (
        ("Bob", "reject_announcement", rejected),
        ("Charlie", "remove_announcement", taken_back),
    ):
        assert chain.submit(sender, "Proxy", function, **arguments).error == error(ProxyError.NOT_FOUND)
        announce(chain, "Charlie", "Bob", GOOD)
        announce(chain, "Charlie", "Bob", GOOD)
        assert chain.submit("Dave", "Proxy", function, **arguments).error == error(ProxyError.NOT_FOUND)
        assert chain.submit(sender, "Proxy", function, **arguments).error is None
        assert reserved(chain, account("Charlie")) == 0
        chain.blocks(2)
        assert announced(chain, "Charlie", "Charlie", "Bob", GOOD).error == error(ProxyError.UNANNOUNCED)


def test_only_proxies_announce_and_not_without_end() -> None:
    chain = Chain(constants={"Proxy": {"MaxPending": 2}})
    assert announce(chain, "Charlie", "Bob", GOOD).error == error(ProxyError.NOT_PROXY)
    add(chain, "Bob", "Charlie", delay=5)
    for _ in range(2):
        assert announce(chain, "Charlie", "Bob", GOOD).error is None
    assert announce(chain, "Charlie", "Bob", GOOD).error == error(ProxyError.TOO_MANY)


# Deposits


def test_deposits_of_another_time_are_brought_up_to_date_for_free(chain: Chain) -> None:
    add(chain, "Bob", "Charlie")
    add(chain, "Charlie", "Bob", delay=1)
    announce(chain, "Bob", "Charlie", GOOD)
    bob = account("Bob")
    with chain.runtime.at(chain.state):
        pallet: Any = chain.runtime.pallet("Proxy")
        for item, change in ((pallet.proxies, 5), (pallet.announcements, -7)):
            entries, deposit = item.get(bob)
            item.put(bob, (entries, deposit + change))
        reasons = [hold.id for hold in chain.balances.holds.get(bob)]
        chain.balances.hold(reasons[0], bob, 5)
        chain.balances.release(reasons[1], bob, 7)
        chain.state.apply(chain.runtime.host.overlay.changes())
    before = chain.free(bob) + reserved(chain, bob)
    outcome = chain.submit("Bob", "Proxy", "poke_deposit")
    proxies, pending = BASE + FACTOR, ANNOUNCED_BASE + ANNOUNCED_FACTOR
    assert [event for event in outcome.events if isinstance(event, DepositPoked)] == [
        DepositPoked(bob, DepositKind.PROXIES, proxies + 5, proxies),
        DepositPoked(bob, DepositKind.ANNOUNCEMENTS, pending - 7, pending),
    ]
    assert chain.free(bob) + reserved(chain, bob) == before
    again = chain.submit("Bob", "Proxy", "poke_deposit")
    assert again.events == ()
    assert chain.free(bob) + reserved(chain, bob) < before


@pytest.mark.parametrize("origin", [Root(), NoneOrigin()])
@pytest.mark.parametrize("function", [
    "proxy", "add_proxy", "remove_proxy", "remove_proxies", "create_pure", "kill_pure", "announce",
    "remove_announcement", "reject_announcement", "proxy_announced", "poke_deposit",
])  # fmt: skip
def test_only_accounts_sign(chain: Chain, origin: Any, function: str) -> None:
    arguments: dict[str, Any] = {
        "real": address("Bob"), "force_proxy_type": None, "call": GOOD, "delegate": address("Charlie"),
        "proxy_type": ANY, "delay": 0, "index": 0, "spawner": address("Bob"), "height": 1, "ext_index": 1,
        "call_hash": bytes(32),
    }  # fmt: skip
    wanted = dict(chain.runtime.calls["Proxy", function].spec.arguments)
    call = RuntimeCall("Proxy", function, {name: arguments[name] for name in wanted})
    with chain.inside():
        result = chain.runtime.dispatch(call, origin)
    assert result.error is not None
    assert result.error.to_scale() == OriginRefused()


def test_the_configuration_has_room_in_storage() -> None:
    for wrong in (0, 33):
        with pytest.raises(ValueError, match="max_proxies"):
            ProxyConfig(max_proxies=wrong)
        with pytest.raises(ValueError, match="max_pending"):
            ProxyConfig(max_pending=wrong)


def test_proxies_sort_as_frame_sorts_them() -> None:
    first, second = bytes(32), b"\x01" + bytes(31)
    sorted_ranks = [
        ProxyDefinition(first, ANY, 9), ProxyDefinition(first, NON_TRANSFER, 0), ProxyDefinition(first, MARKET, 0),
        ProxyDefinition(first, MARKET, 1), ProxyDefinition(second, ANY, 0),
    ]  # fmt: skip
    mixed = [sorted_ranks[place] for place in (3, 0, 4, 2, 1)]
    assert sorted(mixed, key=lambda one: one.rank) == sorted_ranks
    assert Announcement(first, bytes(32), 1) != Announcement(second, bytes(32), 1)


NAMES = st.sampled_from(("Bob", "Charlie", "Dave"))
KINDS = st.sampled_from((ANY, NON_TRANSFER, PROVIDER))
STEPS = st.lists(
    st.tuples(st.sampled_from(("add", "remove", "clear", "pure", "announce", "reject", "act")), NAMES, NAMES, KINDS),
    max_size=12,
)


@settings(max_examples=15, deadline=None)
@given(STEPS)
def test_any_sequence_of_calls_keeps_the_invariants(steps: list[tuple[str, str, str, ProxyType]]) -> None:
    """After every block the deposits are what accounts hold; pure accounts too add and drop proxies."""
    chain = Chain()
    pures: list[tuple[str, bytes]] = []
    for step, name, other, kind in steps:
        if step == "add":
            add(chain, name, other, kind)
        elif step == "remove":
            remove(chain, name, other, kind)
        elif step == "clear":
            chain.submit(name, "Proxy", "remove_proxies")
        elif step == "pure":
            pures.append((name, create(chain, name, kind)))
            chain.submit("Eve", "Balances", "transfer_keep_alive", dest=Id(pures[-1][1]), value=10**13)
        elif step == "announce":
            announce(chain, name, other, GOOD)
        elif step == "reject":
            chain.submit(name, "Proxy", "reject_announcement", delegate=address(other), call_hash=hash_of(chain, GOOD))
        else:
            for owner, pure in pures:
                act(chain, owner, pure, batch(proxy_admin("add_proxy", kind), proxy_admin("remove_proxy", kind, owner)))
                act(chain, owner, pure, RuntimeCall("Proxy", "remove_proxies", {}))
