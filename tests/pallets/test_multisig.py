"""Multisig: a call is made once enough signatories approved it, and deposits always come back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallets.multisig import (
    DepositPoked,
    MultisigApproval,
    MultisigCancelled,
    MultisigConfig,
    MultisigError,
    MultisigExecuted,
    NewMultisig,
    Operation,
    Timepoint,
    multi_account,
)
from pallets.utility import derivative_account
from runtime.account import Id
from runtime.call import RuntimeCall
from runtime.crypto import blake2_256
from runtime.errors import DispatchErrorValue, ModuleError, OriginRefused, Token, TokenErrorKind
from runtime.origin import NoneOrigin, Root
from runtime.types import Err, Ok
from runtime.weights import PICOSECONDS_PER_SECOND, Weight
from tests.pallets.chainfiles import account
from tests.pallets.harness import Chain, Outcome, transfer

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "substrate" / "derived_accounts.json").read_text())
NAMES = ("Alice", "Bob", "Charlie")
SIGNATORIES = tuple(sorted(account(name) for name in NAMES))
SHARED = multi_account(SIGNATORIES, 2)
GOOD = transfer(account("Eve"), 1_000)
ENOUGH = Weight(PICOSECONDS_PER_SECOND // 10)
NO_FUNDS = Token(TokenErrorKind.FUNDS_UNAVAILABLE)
DEPOSIT = 20_000_000_000 + 2 * 1_000_000_000


def others(name: str, among: tuple[bytes, ...] = SIGNATORIES) -> tuple[bytes, ...]:
    return tuple(one for one in among if one != account(name))


def hash_of(chain: Chain, call: RuntimeCall) -> bytes:
    return blake2_256(chain.runtime.call_codec.encode(call))


def approve(
    chain: Chain,
    name: str,
    call: RuntimeCall = GOOD,
    when: Timepoint | None = None,
    *,
    by_hash: bool = False,
    **changed: Any,
) -> Outcome:
    arguments = {"threshold": 2, "other_signatories": others(name), "maybe_timepoint": when, "max_weight": ENOUGH}
    what: dict[str, Any] = {"call_hash": hash_of(chain, call)} if by_hash else {"call": call}
    function = "approve_as_multi" if by_hash else "as_multi"
    return chain.submit(name, "Multisig", function, **{**arguments, **what, **changed})


def error(kind: MultisigError) -> DispatchErrorValue:
    return ModuleError(kind).to_scale()


def held(chain: Chain, name: str) -> int:
    with chain.runtime.at(chain.state):
        return chain.runtime.system.account_data(account(name)).reserved  # type: ignore[attr-defined, no-any-return]


def open_operation(chain: Chain, name: str = "Alice", *, by_hash: bool = False, call: RuntimeCall = GOOD) -> Timepoint:
    assert approve(chain, name, call, by_hash=by_hash).error is None
    return Timepoint(chain.header.number, 1)


@pytest.fixture
def funded(chain: Chain) -> Chain:
    chain.submit("Dave", "Balances", "transfer_keep_alive", dest=Id(SHARED), value=10**9)
    return chain


@pytest.mark.parametrize("vector", VECTORS["multisig_accounts"])
def test_accounts_are_those_that_wallets_derive(vector: dict[str, Any]) -> None:
    signatories = tuple(sorted(bytes.fromhex(one[2:]) for one in vector["signatories"]))
    assert multi_account(signatories, vector["threshold"]).hex() == vector["account"][2:]


@pytest.mark.parametrize("vector", VECTORS["derived_accounts"])
def test_derivative_accounts_are_those_that_wallets_derive(vector: dict[str, Any]) -> None:
    assert derivative_account(bytes.fromhex(vector["who"][2:]), vector["index"]).hex() == vector["account"][2:]


def test_the_second_of_two_approvals_makes_the_call(funded: Chain) -> None:
    before = funded.free(account("Eve"))
    opened = approve(funded, "Alice")
    assert opened.events[-1] == NewMultisig(account("Alice"), SHARED, hash_of(funded, GOOD))
    assert held(funded, "Alice") == DEPOSIT
    when = Timepoint(funded.header.number, 1)
    done = approve(funded, "Bob", when=when)
    assert done.events[-1] == MultisigExecuted(account("Bob"), when, SHARED, hash_of(funded, GOOD), Ok(None))
    assert funded.free(account("Eve")) == before + 1_000
    assert held(funded, "Alice") == 0


def test_approvals_by_hash_need_the_call_at_the_end(funded: Chain) -> None:
    when = open_operation(funded, by_hash=True)
    approved = approve(funded, "Bob", when=when, by_hash=True)
    assert approved.events == (MultisigApproval(account("Bob"), when, SHARED, hash_of(funded, GOOD)),)
    assert approve(funded, "Charlie", when=when, by_hash=True).error == error(MultisigError.ALREADY_APPROVED)
    done = approve(funded, "Charlie", when=when)
    assert isinstance(done.events[-1], MultisigExecuted)


def test_who_approved_by_hash_may_make_the_call(funded: Chain) -> None:
    when = open_operation(funded, by_hash=True)
    approve(funded, "Bob", when=when, by_hash=True)
    assert isinstance(approve(funded, "Bob", when=when).events[-1], MultisigExecuted)


def test_a_call_that_fails_ends_the_operation_and_says_so(chain: Chain) -> None:
    when = open_operation(chain)
    done = approve(chain, "Bob", when=when)
    assert done.error is None
    assert done.events[-1] == MultisigExecuted(account("Bob"), when, SHARED, hash_of(chain, GOOD), Err(NO_FUNDS))
    assert held(chain, "Alice") == 0
    assert approve(chain, "Charlie", when=when).error == error(MultisigError.UNEXPECTED_TIMEPOINT)


def test_nobody_approves_twice(chain: Chain) -> None:
    when = open_operation(chain)
    for by_hash in (False, True):
        assert approve(chain, "Alice", when=when, by_hash=by_hash).error == error(MultisigError.ALREADY_APPROVED)


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"threshold": 0}, MultisigError.MINIMUM_THRESHOLD),
        ({"threshold": 1}, MultisigError.MINIMUM_THRESHOLD),
        ({"other_signatories": ()}, MultisigError.TOO_FEW_SIGNATORIES),
        ({"other_signatories": tuple(sorted(bytes([n] * 32) for n in range(100)))}, MultisigError.TOO_MANY_SIGNATORIES),
        ({"other_signatories": SIGNATORIES[::-1]}, MultisigError.SIGNATORIES_OUT_OF_ORDER),
        ({"other_signatories": (bytes(32), bytes(32))}, MultisigError.SIGNATORIES_OUT_OF_ORDER),
        ({"other_signatories": SIGNATORIES}, MultisigError.SENDER_IN_SIGNATORIES),
        ({"when": Timepoint(1, 1)}, MultisigError.UNEXPECTED_TIMEPOINT),
    ],
)
@pytest.mark.parametrize("by_hash", [False, True])
def test_what_opens_no_operation(chain: Chain, by_hash: bool, changed: dict[str, Any], kind: MultisigError) -> None:
    outcome = approve(chain, "Alice", by_hash=by_hash, **changed)
    assert (outcome.error, outcome.events) == (error(kind), ())
    assert held(chain, "Alice") == 0


def test_an_operation_goes_on_at_its_own_timepoint_only(chain: Chain) -> None:
    when = open_operation(chain)
    for by_hash in (False, True):
        assert approve(chain, "Bob", by_hash=by_hash).error == error(MultisigError.NO_TIMEPOINT)
        for wrong in (Timepoint(when.height + 1, 1), Timepoint(when.height, 0)):
            assert approve(chain, "Bob", when=wrong, by_hash=by_hash).error == error(MultisigError.WRONG_TIMEPOINT)


def test_the_last_approval_states_enough_weight(funded: Chain) -> None:
    when = open_operation(funded)
    needed = funded.runtime.dispatch_info(GOOD).weight
    short = Weight(needed.ref_time - 1)
    assert approve(funded, "Bob", when=when, max_weight=short).error == error(MultisigError.MAX_WEIGHT_TOO_LOW)
    assert approve(funded, "Bob", when=when, max_weight=needed).error is None


def test_strangers_have_another_account(funded: Chain) -> None:
    when = open_operation(funded)
    outcome = approve(funded, "Dave", when=when, other_signatories=SIGNATORIES)
    assert outcome.error == error(MultisigError.UNEXPECTED_TIMEPOINT)


def cancel(chain: Chain, name: str, when: Timepoint, **changed: Any) -> Outcome:
    operation = {"threshold": 2, "other_signatories": others(name), "call_hash": hash_of(chain, GOOD)}
    return chain.submit(name, "Multisig", "cancel_as_multi", **{**operation, "timepoint": when, **changed})


def test_only_who_opened_an_operation_cancels_it(chain: Chain) -> None:
    when = open_operation(chain)
    assert cancel(chain, "Bob", when).error == error(MultisigError.NOT_OWNER)
    assert cancel(chain, "Alice", Timepoint(0, 0)).error == error(MultisigError.WRONG_TIMEPOINT)
    assert cancel(chain, "Alice", when, call_hash=bytes(32)).error == error(MultisigError.NOT_FOUND)
    assert cancel(chain, "Alice", when, threshold=3).error == error(MultisigError.NOT_FOUND)
    assert cancel(chain, "Alice", when, threshold=1).error == error(MultisigError.MINIMUM_THRESHOLD)
    done = cancel(chain, "Alice", when)
    assert done.events[-1] == MultisigCancelled(account("Alice"), when, SHARED, hash_of(chain, GOOD))
    assert held(chain, "Alice") == 0
    assert cancel(chain, "Alice", when).error == error(MultisigError.NOT_FOUND)


def test_a_deposit_that_cannot_be_held_opens_nothing(chain: Chain) -> None:
    poor = Chain(constants={"Multisig": {"DepositBase": 2**100}})
    assert approve(poor, "Alice").error == NO_FUNDS
    with poor.runtime.at(poor.state):
        assert list(poor.runtime.pallet("Multisig").multisigs.items()) == []  # type: ignore[attr-defined]


def poke(chain: Chain, name: str, **changed: Any) -> Outcome:
    arguments = {"threshold": 2, "other_signatories": others(name), "call_hash": hash_of(chain, GOOD)}
    return chain.submit(name, "Multisig", "poke_deposit", **{**arguments, **changed})


@pytest.mark.parametrize("deposit", [0, 1, DEPOSIT - 1, DEPOSIT + 10**9])
def test_a_deposit_of_another_time_is_brought_up_to_date_for_free(chain: Chain, deposit: int) -> None:
    open_operation(chain)
    alice, call_hash = account("Alice"), hash_of(chain, GOOD)
    with chain.runtime.at(chain.state):
        pallet: Any = chain.runtime.pallet("Multisig")
        operation = pallet.multisigs.get(SHARED, call_hash)
        reason = chain.balances.holds.get(alice)[0].id
        chain.balances.hold(reason, alice, max(deposit - DEPOSIT, 0))
        chain.balances.release(reason, alice, max(DEPOSIT - deposit, 0))
        pallet.multisigs.put(SHARED, call_hash, Operation(operation.when, deposit, alice, operation.approvals))
        chain.state.apply(chain.runtime.host.overlay.changes())
    before = chain.free(alice) + held(chain, "Alice")
    outcome = poke(chain, "Alice")
    assert DepositPoked(alice, call_hash, deposit, DEPOSIT) in outcome.events
    assert (held(chain, "Alice"), chain.free(alice) + held(chain, "Alice")) == (DEPOSIT, before)


def test_a_deposit_that_is_right_stays_and_others_cannot_touch_it(chain: Chain) -> None:
    open_operation(chain)
    assert poke(chain, "Alice").events == ()
    assert poke(chain, "Bob").error == error(MultisigError.NOT_OWNER)
    assert poke(chain, "Alice", call_hash=bytes(32)).error == error(MultisigError.NOT_FOUND)


def test_one_of_several_acts_alone(chain: Chain) -> None:
    alone = multi_account(SIGNATORIES, 1)
    chain.submit("Dave", "Balances", "transfer_keep_alive", dest=Id(alone), value=10**6)
    outcome = chain.submit("Bob", "Multisig", "as_multi_threshold_1", other_signatories=others("Bob"), call=GOOD)
    assert outcome.error is None
    assert chain.free(alone) == 10**6 - 1_000
    for wrong, kind in (
        ((), MultisigError.TOO_FEW_SIGNATORIES),
        (SIGNATORIES, MultisigError.SENDER_IN_SIGNATORIES),
        (others("Bob")[::-1], MultisigError.SIGNATORIES_OUT_OF_ORDER),
    ):
        refused = chain.submit("Bob", "Multisig", "as_multi_threshold_1", other_signatories=wrong, call=GOOD)
        assert refused.error == error(kind)


def test_a_failing_call_of_one_signatory_is_its_own_failure(chain: Chain) -> None:
    outcome = chain.submit("Bob", "Multisig", "as_multi_threshold_1", other_signatories=others("Bob"), call=GOOD)
    assert (outcome.error, outcome.events) == (NO_FUNDS, ())


@pytest.mark.parametrize("origin", [Root(), NoneOrigin()])
@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("as_multi_threshold_1", {"call": GOOD}),
        ("as_multi", {"threshold": 2, "maybe_timepoint": None, "call": GOOD, "max_weight": ENOUGH}),
        ("approve_as_multi", {"threshold": 2, "maybe_timepoint": None, "call_hash": bytes(32), "max_weight": ENOUGH}),
        ("cancel_as_multi", {"threshold": 2, "timepoint": Timepoint(1, 1), "call_hash": bytes(32)}),
        ("poke_deposit", {"threshold": 2, "call_hash": bytes(32)}),
    ],
)
def test_only_accounts_sign(chain: Chain, origin: Any, function: str, arguments: dict[str, Any]) -> None:
    call = RuntimeCall("Multisig", function, {"other_signatories": SIGNATORIES, **arguments})
    with chain.inside():
        result = chain.runtime.dispatch(call, origin)
    assert result.error is not None
    assert result.error.to_scale() == OriginRefused()


def test_a_call_that_approves_itself_again_cannot_run_twice(funded: Chain) -> None:
    """The operation is closed before its call runs, so a call that comes back to it finds nothing."""
    inner = RuntimeCall("Utility", "batch", {"calls": (GOOD, GOOD)})
    when = open_operation(funded, call=inner)
    before = funded.free(account("Eve"))
    arguments = {"threshold": 2, "other_signatories": others("Bob"), "maybe_timepoint": when, "max_weight": ENOUGH}
    again = RuntimeCall("Multisig", "as_multi", {**arguments, "call": inner})
    funded.submit("Bob", "Utility", "force_batch", calls=(again, again, again))
    assert funded.free(account("Eve")) == before + 2_000


def test_the_configuration_has_room_in_storage() -> None:
    for wrong in (0, 1, 101):
        with pytest.raises(ValueError, match="max_signatories"):
            MultisigConfig(max_signatories=wrong)


KINDS = st.sampled_from(("call", "hash", "cancel", "poke"))
ACTIONS = st.lists(st.tuples(st.sampled_from(NAMES), KINDS, st.booleans(), st.integers(2, 3)), max_size=14)


@settings(max_examples=15)
@given(ACTIONS)
def test_any_sequence_of_calls_keeps_the_invariants(actions: list[tuple[str, str, bool, int]]) -> None:
    """After every block the deposits are what is held; an operation runs only after its threshold of approvals."""
    chain = Chain()
    accounts = {threshold: multi_account(SIGNATORIES, threshold) for threshold in (2, 3)}
    seen: dict[int, set[str]] = {2: set(), 3: set()}
    for name, action, knows_when, threshold in actions:
        with chain.runtime.at(chain.state):
            pallet: Any = chain.runtime.pallet("Multisig")
            operation = pallet.multisigs.get(accounts[threshold], hash_of(chain, GOOD))
        when = operation.when if operation is not None and knows_when else None
        if action == "cancel":
            outcome = cancel(chain, name, when or Timepoint(1, 1), threshold=threshold)
        elif action == "poke":
            outcome = poke(chain, name, threshold=threshold)
        else:
            outcome = approve(chain, name, when=when, by_hash=action == "hash", threshold=threshold)
        for event in outcome.events:
            if isinstance(event, NewMultisig | MultisigApproval):
                seen[threshold].add(name)
            if isinstance(event, MultisigExecuted):
                assert len(seen[threshold] | {name}) >= threshold
            if isinstance(event, MultisigExecuted | MultisigCancelled):
                seen[threshold].clear()
