"""Balances: transfers, dust, holds, and an issuance that never changes."""

from __future__ import annotations

from typing import Any

import pytest

from pallets.balances import TREASURY, Balances, BalancesConfig, BalancesError, HoldReason
from pallets.datdot.types import PLAN_ESCROW
from runtime.account import Address32, Id
from runtime.call import RuntimeCall
from runtime.errors import (
    DispatchError,
    InvariantBroken,
    LookupFailed,
    Module,
    OriginRefused,
    Token,
    TokenErrorKind,
)
from runtime.genesis_fields import GenesisError
from tests.pallets.chainfiles import ENDOWMENT, account
from tests.pallets.harness import Chain, Outcome, address

STRANGER = b"\x07" * 32
DEPOSIT = 500


def names(outcome: Outcome) -> list[str]:
    return [type(event).__name__ for event in outcome.events]


def module_error(error: BalancesError) -> tuple[int, int]:
    return (5, list(BalancesError).index(error))


def test_a_transfer_moves_free_balance_and_says_so(chain: Chain) -> None:
    outcome = chain.submit("Bob", "Balances", "transfer_allow_death", dest=address("Eve"), value=1_000)
    assert names(outcome) == ["Transfer"]
    assert chain.free(account("Eve")) == ENDOWMENT + 1_000


def test_a_transfer_creates_an_account(chain: Chain) -> None:
    outcome = chain.submit("Bob", "Balances", "transfer_keep_alive", dest=Id(STRANGER), value=DEPOSIT)
    assert names(outcome) == ["NewAccount", "Endowed", "Transfer"]
    assert chain.free(STRANGER) == DEPOSIT


def test_a_transfer_to_oneself_changes_nothing(chain: Chain) -> None:
    with chain.inside():
        before = chain.balances.free(account("Bob"))
        chain.balances.transfer(account("Bob"), account("Bob"), 1_000)
        assert chain.balances.free(account("Bob")) == before


@pytest.mark.parametrize(
    ("function", "value", "kind"),
    [
        ("transfer_keep_alive", DEPOSIT - 1, TokenErrorKind.BELOW_MINIMUM),
        ("transfer_allow_death", DEPOSIT - 1, TokenErrorKind.BELOW_MINIMUM),
        ("transfer_keep_alive", ENDOWMENT * 2, TokenErrorKind.FUNDS_UNAVAILABLE),
        ("transfer_allow_death", ENDOWMENT * 2, TokenErrorKind.FUNDS_UNAVAILABLE),
    ],
)
def test_a_transfer_that_cannot_be_fails_and_changes_nothing(
    chain: Chain, function: str, value: int, kind: TokenErrorKind
) -> None:
    outcome = chain.submit("Bob", "Balances", function, dest=Id(STRANGER), value=value)
    assert outcome.error == Token(kind)
    assert outcome.events == ()
    assert chain.free(STRANGER) == 0


def test_keep_alive_refuses_to_empty_the_sender(chain: Chain) -> None:
    with chain.inside(), pytest.raises(DispatchError) as raised:
        bob = account("Bob")
        chain.balances.transfer(bob, account("Eve"), chain.balances.free(bob) - DEPOSIT + 1)
    assert raised.value.to_scale() == Token(TokenErrorKind.NOT_EXPENDABLE)


def test_an_address_that_is_no_account_id_is_refused(chain: Chain) -> None:
    outcome = chain.submit("Bob", "Balances", "transfer_keep_alive", dest=Address32(STRANGER), value=DEPOSIT)
    assert outcome.error == LookupFailed()


def test_what_is_too_small_to_stay_goes_to_the_treasury_and_the_account_disappears(chain: Chain) -> None:
    with chain.inside():
        bob, eve = account("Bob"), account("Eve")
        treasury = chain.balances.free(TREASURY)
        chain.balances.transfer(bob, eve, chain.balances.free(bob) - (DEPOSIT - 1), keep_alive=False)
        assert chain.balances.free(bob) == 0
        assert not chain.runtime.system.is_referenced(bob)
        assert chain.balances.free(TREASURY) == treasury + DEPOSIT - 1
        assert [type(event).__name__ for event in chain.events()] == ["KilledAccount", "DustLost", "Transfer"]
        chain.balances.try_state()


def test_transfer_all_empties_the_sender_or_leaves_the_existential_deposit(chain: Chain) -> None:
    chain.submit("Bob", "Balances", "transfer_all", dest=address("Eve"), keep_alive=True)
    assert chain.free(account("Bob")) == DEPOSIT
    outcome = chain.submit("Charlie", "Balances", "transfer_all", dest=address("Eve"), keep_alive=False)
    assert chain.free(account("Charlie")) == 0
    assert "KilledAccount" in names(outcome)


def test_an_emptied_sender_with_a_hold_stays(chain: Chain) -> None:
    with chain.inside():
        bob = account("Bob")
        chain.balances.hold(PLAN_ESCROW, bob, 10_000)
        assert chain.balances.reducible(bob, keep_alive=False) == chain.balances.free(bob) - DEPOSIT
        with pytest.raises(DispatchError) as raised:
            chain.balances.transfer(bob, account("Eve"), chain.balances.free(bob), keep_alive=False)
    assert raised.value.to_scale() == Token(TokenErrorKind.NOT_EXPENDABLE)


@pytest.mark.parametrize("function", ["force_transfer", "force_set_balance"])
def test_only_root_may_force(chain: Chain, function: str) -> None:
    arguments: dict[str, Any] = (
        {"source": address("Eve"), "dest": address("Bob"), "value": 1_000}
        if function == "force_transfer"
        else {"who": address("Bob"), "new_free": 1_000}
    )
    assert chain.submit("Bob", "Balances", function, **arguments).error == OriginRefused()


def test_root_moves_between_any_two_accounts(chain: Chain) -> None:
    call = RuntimeCall("Balances", "force_transfer", {"source": address("Eve"), "dest": address("Bob"), "value": 1_000})
    chain.sudo(call)
    assert chain.free(account("Eve")) == ENDOWMENT - 1_000


@pytest.mark.parametrize(
    ("new_free", "stored"), [(1_000, 1_000), (DEPOSIT - 1, 0), (0, 0), (ENDOWMENT + 5, ENDOWMENT + 5)]
)
def test_a_balance_that_root_sets_comes_from_the_treasury(chain: Chain, new_free: int, stored: int) -> None:
    outcome = chain.sudo(RuntimeCall("Balances", "force_set_balance", {"who": address("Eve"), "new_free": new_free}))
    assert "BalanceSet" in names(outcome)
    assert chain.free(account("Eve")) == stored
    assert chain.free(TREASURY) == ENDOWMENT + ENDOWMENT - stored


@pytest.mark.parametrize(
    ("who", "new_free", "error"),
    [
        (account("Eve"), 2 * ENDOWMENT, BalancesError.INSUFFICIENT_BALANCE),
        (STRANGER, 2**127, BalancesError.INSUFFICIENT_BALANCE),
        (TREASURY, ENDOWMENT * 2, BalancesError.ISSUANCE_DEACTIVATED),
    ],
)
def test_root_cannot_make_tokens(chain: Chain, who: bytes, new_free: int, error: BalancesError) -> None:
    outcome = chain.sudo(RuntimeCall("Balances", "force_set_balance", {"who": Id(who), "new_free": new_free}))
    [sudid] = [event for event in outcome.events if type(event).__name__ == "Sudid"]
    failure = sudid.sudo_result.error  # type: ignore[attr-defined]
    assert isinstance(failure, Module)
    assert (failure.value.index, failure.value.error[0]) == module_error(error)


def test_the_treasury_never_disappears(chain: Chain) -> None:
    with chain.inside():
        balances = chain.balances
        balances.transfer(TREASURY, account("Eve"), balances.reducible(TREASURY, keep_alive=False), keep_alive=False)
        assert balances.free(TREASURY) == DEPOSIT
        with pytest.raises(DispatchError):
            balances.transfer(TREASURY, account("Eve"), 1, keep_alive=False)


def test_a_hold_is_reserved_and_named(chain: Chain) -> None:
    with chain.inside():
        bob, balances = account("Bob"), chain.balances
        free = balances.free(bob)
        balances.hold(PLAN_ESCROW, bob, 600)
        balances.hold(PLAN_ESCROW, bob, 400)
        assert (balances.free(bob), balances.held(PLAN_ESCROW, bob)) == (free - 1_000, 1_000)
        balances.release(PLAN_ESCROW, bob, 300)
        assert (balances.free(bob), balances.held(PLAN_ESCROW, bob)) == (free - 700, 700)
        balances.try_state()
        balances.release(PLAN_ESCROW, bob, 700)
        assert not balances.holds.contains(bob)
        assert [type(event).__name__ for event in chain.events()] == ["Held", "Held", "Released", "Released"]
        balances.try_state()


def test_a_hold_leaves_the_existential_deposit_free(chain: Chain) -> None:
    with chain.inside():
        bob, balances = account("Bob"), chain.balances
        free = balances.free(bob)
        with pytest.raises(DispatchError) as raised:
            balances.hold(PLAN_ESCROW, bob, free - DEPOSIT + 1)
        assert raised.value.to_scale() == Token(TokenErrorKind.FUNDS_UNAVAILABLE)
        balances.hold(PLAN_ESCROW, bob, free - DEPOSIT)
        assert balances.free(bob) == DEPOSIT


def test_an_account_that_does_not_exist_holds_nothing(chain: Chain) -> None:
    with chain.inside():
        with pytest.raises(DispatchError):
            chain.balances.hold(PLAN_ESCROW, STRANGER, 1)
        chain.balances.hold(PLAN_ESCROW, STRANGER, 0)
        assert chain.balances.held(PLAN_ESCROW, STRANGER) == 0


@pytest.mark.parametrize("amount", [1_001, 2**127])
def test_more_than_is_held_is_neither_released_nor_paid(chain: Chain, amount: int) -> None:
    with chain.inside():
        chain.balances.hold(PLAN_ESCROW, account("Bob"), 1_000)
        with pytest.raises(DispatchError):
            chain.balances.release(PLAN_ESCROW, account("Bob"), amount)
        with pytest.raises(DispatchError):
            chain.balances.transfer_held(PLAN_ESCROW, account("Bob"), account("Eve"), amount)
        chain.balances.try_state()


def test_held_balance_is_paid_to_a_free_balance(chain: Chain) -> None:
    with chain.inside():
        balances = chain.balances
        balances.hold(PLAN_ESCROW, account("Bob"), 1_000)
        balances.transfer_held(PLAN_ESCROW, account("Bob"), account("Eve"), 1)
        balances.transfer_held(PLAN_ESCROW, account("Bob"), STRANGER, DEPOSIT)
        assert balances.free(account("Eve")) == ENDOWMENT + 1
        assert balances.free(STRANGER) == DEPOSIT
        assert balances.held(PLAN_ESCROW, account("Bob")) == 1_000 - DEPOSIT - 1
        balances.try_state()


def test_a_pay_too_small_to_open_an_account_goes_to_the_treasury(chain: Chain) -> None:
    with chain.inside():
        balances = chain.balances
        balances.hold(PLAN_ESCROW, account("Bob"), 1_000)
        balances.transfer_held(PLAN_ESCROW, account("Bob"), STRANGER, DEPOSIT - 1)
        assert balances.free(STRANGER) == 0
        assert balances.free(TREASURY) == ENDOWMENT + DEPOSIT - 1
        assert "DustLost" in [type(event).__name__ for event in chain.events()]
        balances.try_state()


def test_a_fee_leaves_the_payer_alive(chain: Chain) -> None:
    with chain.inside(), pytest.raises(DispatchError):
        chain.balances.withdraw_fee(account("Bob"), chain.balances.free(account("Bob")) - DEPOSIT + 1)


def test_hold_reasons_are_those_that_pallets_declare() -> None:
    assert PLAN_ESCROW in [type(PLAN_ESCROW)(reason) for reason in type(PLAN_ESCROW.reason)]
    assert isinstance(PLAN_ESCROW, HoldReason)


# Invariants and genesis


def test_try_state_finds_tokens_out_of_nowhere(chain: Chain) -> None:
    with chain.inside(), pytest.raises(InvariantBroken, match="sum up"):
        chain.balances.total_issuance.put(1)
        chain.balances.try_state()


def test_try_state_finds_a_hold_that_is_not_reserved(chain: Chain) -> None:
    with chain.inside(), pytest.raises(InvariantBroken, match="by reason"):
        chain.balances.hold(PLAN_ESCROW, account("Bob"), 1_000)
        chain.balances.holds.remove(account("Bob"))
        chain.balances.try_state()


@pytest.mark.parametrize(
    ("entries", "place"),
    [
        ([[account("Bob"), DEPOSIT - 1]], "balances[0][1]"),
        ([[account("Bob"), 2**128]], "balances[0][1]"),
        ([[account("Bob"), 1_000], [account("Bob"), 1_000]], "balances[1][0]"),
        ([[account("Bob"), 2**128 - 1], [account("Eve"), 2**128 - 1]], "balances"),
    ],
)
def test_genesis_names_the_balance_that_is_wrong(entries: list[tuple[bytes, int]], place: str) -> None:
    with pytest.raises(GenesisError) as raised:
        Chain(balances=entries)
    assert raised.value.path == f"genesis.Balances.{place}"


def test_an_unlisted_treasury_gets_the_existential_deposit() -> None:
    chain = Chain(balances=[(account("Bob"), 1_000)])
    with chain.inside():
        assert chain.balances.free(TREASURY) == DEPOSIT
        assert chain.balances.total_issuance.get() == 1_000 + DEPOSIT


def test_a_chain_without_existential_deposit_is_refused() -> None:
    with pytest.raises(ValueError, match="existential_deposit"):
        BalancesConfig(existential_deposit=0)


def test_a_pallet_wants_its_own_config() -> None:
    with pytest.raises(TypeError, match="BalancesConfig"):
        Balances(None, system=None)  # type: ignore[arg-type]
