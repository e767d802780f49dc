"""Proxies: accounts act for others within their limits, after announcements where asked for, and deposits come back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallets.proxy import (
    Announced,
    Announcement,
    DepositKind,
    DepositPoked,
    ProxyAdded,
    ProxyConfig,
    ProxyDefinition,
    ProxyError,
    ProxyRemoved,
    ProxyType,
)
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.crypto import blake2_256
from runtime.errors import OriginRefused, Token, TokenErrorKind
from runtime.origin import NoneOrigin, Root
from runtime.types import Err, Ok
from tests.pallets.chainfiles import ENDOWMENT, account
from tests.pallets.harness import Chain, Outcome, address, transfer
from tests.pallets.proxies import (
    ANY,
    BASE,
    FACTOR,
    GOOD,
    MARKET,
    NON_TRANSFER,
    PROVIDER,
    REMARK,
    act,
    add,
    batch,
    create,
    error,
    proxy_admin,
    remove,
    reserved,
    result_of,
)

NO_FUNDS = Token(TokenErrorKind.FUNDS_UNAVAILABLE)
ANNOUNCED_BASE, ANNOUNCED_FACTOR = 20_000_000_000, 2_000_000_000

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


@settings(max_examples=15)
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
