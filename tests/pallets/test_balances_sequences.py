"""Whatever is done with balances, and in whatever order: issuance stays, references agree, nothing is negative."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pallets.balances import TREASURY
from pallets.datdot.types import PLAN_ESCROW
from runtime.errors import DispatchError
from tests.pallets.chainfiles import account
from tests.pallets.harness import Chain

PEOPLE = (account("Alice"), account("Bob"), b"\x07" * 32, b"\x08" * 32, TREASURY)
START = 5_000

people = st.sampled_from(PEOPLE)
amounts = st.one_of(st.integers(0, 1_200), st.integers(START - 600, START + 600))
operations = st.one_of(
    st.tuples(st.just("transfer"), people, people, amounts, st.booleans()),
    st.tuples(st.just("hold"), people, amounts),
    st.tuples(st.just("release"), people, amounts),
    st.tuples(st.just("transfer_held"), people, people, amounts),
    st.tuples(st.just("fee"), people, people, amounts),
)


def run(chain: Chain, operation: tuple[object, ...]) -> None:
    balances = chain.balances
    match operation:
        case ("transfer", bytes(source), bytes(dest), int(amount), bool(keep_alive)):
            balances.transfer(source, dest, amount, keep_alive)
        case ("hold", bytes(who), int(amount)):
            balances.hold(PLAN_ESCROW, who, amount)
        case ("release", bytes(who), int(amount)):
            balances.release(PLAN_ESCROW, who, amount)
        case ("transfer_held", bytes(source), bytes(dest), int(amount)):
            balances.transfer_held(PLAN_ESCROW, source, dest, amount)
        case ("fee", bytes(who), bytes(author), int(amount)):
            balances.withdraw_fee(who, amount)
            balances.deposit_fee(author, amount)


@settings(max_examples=150)
@given(st.lists(operations, max_size=25))
def test_issuance_and_references_survive_every_sequence(steps: list[tuple[object, ...]]) -> None:
    chain = Chain(balances=[(account("Alice"), START), (account("Bob"), START), (TREASURY, START)])
    with chain.inside():
        issuance = chain.balances.total_issuance.get()
        overlay = chain.runtime.host.overlay
        for step in steps:
            overlay.begin()
            try:
                run(chain, step)
            except DispatchError:
                overlay.rollback()
            else:
                overlay.commit()
            for pallet in ("System", "Balances"):
                chain.runtime.pallet(pallet).try_state()
        assert chain.balances.total_issuance.get() == issuance == 3 * START
