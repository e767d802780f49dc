"""Fees: what is announced is what is charged, and the author gets it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallets.balances import Transfer
from pallets.system import ExtrinsicFailed, ExtrinsicSuccess
from pallets.transaction_payment import ONE, TransactionFeePaid, TransactionPayment
from runtime.call import RuntimeCall
from runtime.errors import InvalidTransaction, Validity
from runtime.state import DictState
from runtime.transition import validate_transaction
from runtime.weights import NORMAL, OPERATIONAL, DispatchInfo, Pays, PerDispatchClass, Weight
from tests.pallets.chainfiles import ENDOWMENT, account
from tests.pallets.harness import Chain, address, calls_own, transfer

LENGTH = 150


def fees(chain: Chain) -> TransactionPayment:
    pallet = chain.runtime.pallet("TransactionPayment")
    assert isinstance(pallet, TransactionPayment)
    return pallet


def paid(chain: Chain, extrinsic: bytes) -> TransactionFeePaid:
    events = [record.event for record in chain.block(extrinsic).events]
    return next(event for event in events if isinstance(event, TransactionFeePaid))


@pytest.mark.parametrize("tip", [0, 1, 10**9])
def test_the_announced_fee_is_charged_to_the_planck(chain: Chain, tip: int) -> None:
    extrinsic = chain.sign("Bob", transfer(account("Eve"), 1_000), tip=tip)
    info = chain.runtime.dispatch_info(transfer(account("Eve"), 1_000))
    with chain.runtime.at(chain.state):
        announced = fees(chain).query_info(info, len(extrinsic)).partial_fee
        details = fees(chain).fee_details(info, len(extrinsic), tip)
    assert details.inclusion_fee is not None
    assert details.inclusion_fee.total == announced
    event = paid(chain, extrinsic)
    assert (event.actual_fee, event.tip) == (announced + tip, tip)
    assert chain.free(account("Bob")) == ENDOWMENT - 1_000 - announced - tip


def test_fee_and_tip_go_to_the_author_of_the_block() -> None:
    chain = Chain(("Alice", "Charlie"))
    chain.block(chain.sign("Bob", transfer(account("Eve"), 1_000), tip=77), slot=1_001)
    lost = ENDOWMENT - 1_000 - chain.free(account("Bob"))
    assert chain.free(account("Charlie")) == ENDOWMENT + lost
    assert chain.free(account("Alice")) == ENDOWMENT


def test_a_failed_call_is_paid(chain: Chain) -> None:
    event = paid(chain, chain.sign("Bob", transfer(account("Eve"), 2**100)))
    assert event.actual_fee > 0


def test_a_call_of_root_is_free_but_for_the_tip(chain: Chain) -> None:
    call = RuntimeCall("Sudo", "sudo", {"call": transfer(account("Eve"), 1_000)})
    event = paid(chain, chain.sign("Alice", call, tip=5))
    assert (event.actual_fee, event.tip) == (5, 5)
    assert chain.free(account("Alice")) == ENDOWMENT


def test_unused_weight_is_refunded(chain: Chain) -> None:
    failing, wanted = transfer(account("Eve"), 2**100), transfer(account("Eve"), 1_000)
    call = RuntimeCall("Utility", "batch", {"calls": (failing, wanted, wanted)})
    executed = chain.block(chain.sign("Bob", call))
    events = tuple(record.event for record in executed.events)[1:]
    kinds = [type(event).__name__ for event in events]
    assert kinds == ["Withdraw", "BatchInterrupted", "Deposit", "Deposit", "TransactionFeePaid", "ExtrinsicSuccess"]
    assert [type(event).__name__ for event in calls_own(events)] == ["BatchInterrupted"]
    withdrawn, refunded = events[0].amount, events[2].amount  # type: ignore[attr-defined]
    assert events[4] == TransactionFeePaid(account("Bob"), withdrawn - refunded, 0)


@pytest.mark.parametrize("tip", [ENDOWMENT, 2**128 - 1])
def test_who_cannot_pay_is_refused_by_pool_and_block(chain: Chain, tip: int) -> None:
    extrinsic = chain.sign("Bob", transfer(account("Eve"), 1_000), tip=tip)
    with pytest.raises(InvalidTransaction) as in_pool:
        validate_transaction(chain.runtime, chain.header, chain.state, extrinsic)
    with pytest.raises(InvalidTransaction) as in_block:
        chain.block(extrinsic)
    assert in_pool.value.kind is in_block.value.kind is Validity.PAYMENT


def test_who_leaves_while_paying_gets_no_refund_below_the_existential_deposit(chain: Chain) -> None:
    call = RuntimeCall("Balances", "transfer_all", {"dest": address("Eve"), "keep_alive": False})
    chain.block(chain.sign("Bob", RuntimeCall("Utility", "batch", {"calls": (call,)})))
    assert chain.free(account("Bob")) == 0


def test_a_free_call_costs_only_the_tip(chain: Chain) -> None:
    with chain.inside():
        info = DispatchInfo(Weight(10**9), NORMAL, Pays.NO)
        assert fees(chain).fee_details(info, LENGTH, 3).inclusion_fee is None
        assert fees(chain).fee(info, LENGTH, 3) == 3


def test_the_multiplier_scales_the_weight_fee_only(chain: Chain) -> None:
    info = DispatchInfo(Weight(10**9))
    with chain.inside():
        plain = fees(chain).fee_details(info, LENGTH).inclusion_fee
        fees(chain).next_fee_multiplier.put(3 * ONE)
        tripled = fees(chain).fee_details(info, LENGTH).inclusion_fee
    assert plain is not None
    assert tripled is not None
    assert (tripled.base_fee, tripled.len_fee) == (plain.base_fee, plain.len_fee)
    assert tripled.adjusted_weight_fee == 3 * plain.adjusted_weight_fee == 3 * 10**6


def multiplier_after(chain: Chain, before: int, used_ppm: int) -> int:
    with chain.inside():
        system = chain.runtime.pallet("System")
        limit = system.config.block_weights.per_class.normal.max_total.ref_time
        used = Weight(limit * used_ppm // 10**6)
        system.block_weight.put(PerDispatchClass(used, Weight(), Weight()))  # type: ignore[attr-defined]
        fees(chain).next_fee_multiplier.put(before)
        fees(chain).on_finalize(1)
        return fees(chain).next_fee_multiplier.get()


def test_the_multiplier_follows_the_fullness_of_blocks(chain: Chain) -> None:
    # d = 1 - 0.25, v = 0.000075: 1 + 0.00005625 + 0.00005625^2 / 2
    assert multiplier_after(chain, ONE, 1_000_000) == ONE + 56_250_000_000_000 + 1_582_031_250
    assert multiplier_after(chain, 2 * ONE, 250_000) == 2 * ONE
    assert multiplier_after(chain, 2 * ONE, 0) < 2 * ONE
    assert multiplier_after(chain, ONE, 0) == ONE


@settings(max_examples=40)
@given(st.integers(ONE, 10**6 * ONE), st.integers(0, 2_000_000))
def test_the_multiplier_stays_in_its_bounds_and_moves_towards_the_target(before: int, used_ppm: int) -> None:
    after = multiplier_after(CHAIN, before, used_ppm)
    assert ONE <= after <= 10**6 * ONE
    assert after >= before if used_ppm > 250_000 else after <= before


CHAIN = Chain()


def priority(chain: Chain, tip: int, kind: object = NORMAL, length: int = LENGTH, weight: int = 10**8) -> int:
    with chain.inside():
        info = DispatchInfo(Weight(weight), kind)  # type: ignore[arg-type]
        return fees(chain).validate(account("Bob"), info, length, tip)


def test_priority_rises_with_the_tip_and_for_operational_calls(chain: Chain) -> None:
    assert priority(chain, 10) > priority(chain, 0)
    assert priority(chain, 0, OPERATIONAL) > priority(chain, 0)
    assert priority(chain, 0, length=150_000) < priority(chain, 0)
    assert priority(chain, 0, weight=10**11) < priority(chain, 0)
    assert priority(chain, 0, weight=0) > 0


REMARKS = st.integers(0, 400).map(lambda length: RuntimeCall("System", "remark", {"remark": bytes(length)}))
TRANSFERS = st.integers(1, 2**40).map(lambda value: transfer(account("Eve"), value))
FAILING = st.sampled_from((transfer(account("Eve"), 2**100), RuntimeCall("Sudo", "remove_key", {})))
SIMPLE = st.one_of(REMARKS, TRANSFERS, FAILING)
BATCHES = st.tuples(st.sampled_from(("batch", "batch_all", "force_batch")), st.lists(SIMPLE, max_size=4)).map(
    lambda drawn: RuntimeCall("Utility", drawn[0], {"calls": tuple(drawn[1])})
)
CALLS = st.one_of(SIMPLE, BATCHES, SIMPLE.map(lambda call: RuntimeCall("Sudo", "sudo", {"call": call})))


@settings(max_examples=20)
@given(st.lists(st.tuples(CALLS, st.integers(0, 2**40), st.integers(ONE, 50 * ONE)), min_size=1, max_size=6))
def test_what_is_announced_is_charged_whatever_the_call_the_tip_and_the_multiplier(
    sequence: list[tuple[RuntimeCall, int, int]],
) -> None:
    """To the unit: what is announced for the weight that the call turned out to use is what leaves the account."""
    chain = Chain()
    bob = account("Bob")
    for call, tip, multiplier in sequence:
        with chain.runtime.at(chain.state):
            fees(chain).next_fee_multiplier.put(multiplier)
            chain.state.apply(chain.runtime.host.overlay.changes())
        extrinsic = chain.sign("Bob", call, tip=tip)
        info = chain.runtime.dispatch_info(call)
        with chain.runtime.at(chain.state):
            announced = fees(chain).query_info(info, len(extrinsic)).partial_fee
        before = chain.free(bob)
        parent = DictState(dict(chain.state.pairs))
        events = [record.event for record in chain.block(extrinsic).events]
        (used,) = [event.dispatch_info for event in events if isinstance(event, ExtrinsicFailed | ExtrinsicSuccess)][1:]
        (payment,) = [event for event in events if isinstance(event, TransactionFeePaid)]
        with chain.runtime.at(parent):
            due = fees(chain).fee(used, len(extrinsic), tip)
        sent = sum(event.amount for event in events if isinstance(event, Transfer))
        assert payment == TransactionFeePaid(bob, due, tip)
        assert before - chain.free(bob) == due + sent
        assert due <= announced + tip
        if used == info:
            assert due == announced + tip
