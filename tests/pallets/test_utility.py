"""Batches: in order, as far as they come, all or nothing, or in spite of everything."""

from __future__ import annotations

import pytest

from pallets.sudo import Sudid
from pallets.utility import (
    BatchCompleted,
    BatchCompletedWithErrors,
    BatchInterrupted,
    DispatchedAs,
    IfElseFallbackCalled,
    IfElseMainSuccess,
    ItemCompleted,
    ItemFailed,
    derivative_account,
)
from runtime.call import RuntimeCall
from runtime.codec import codec_for
from runtime.errors import (
    InvalidTransaction,
    Module,
    ModuleErrorValue,
    OriginRefused,
    Token,
    TokenErrorKind,
    Transactional,
    TransactionalKind,
)
from runtime.origin import NoneOrigin, Origin, OriginCaller, Root, Signed, SystemOrigin
from runtime.types import Err, Ok
from runtime.weights import NORMAL, OPERATIONAL, Weight
from tests.pallets.chainfiles import ENDOWMENT, account
from tests.pallets.harness import Chain, Outcome, transfer

GOOD = transfer(account("Eve"), 1_000)
BAD = transfer(account("Eve"), 2**100)
FILTERED = Module(ModuleErrorValue(0, bytes([5, 0, 0, 0])))
NO_FUNDS = Token(TokenErrorKind.FUNDS_UNAVAILABLE)


def batch(chain: Chain, function: str, *calls: RuntimeCall) -> Outcome:
    return chain.submit("Bob", "Utility", function, calls=calls)


def batch_events(outcome: Outcome) -> list[object]:
    return [event for event in outcome.events if type(event).__module__ == "pallets.utility"]


@pytest.mark.parametrize("function", ["batch", "batch_all", "force_batch"])
def test_every_batch_runs_all_good_calls(chain: Chain, function: str) -> None:
    outcome = batch(chain, function, GOOD, GOOD)
    assert batch_events(outcome) == [ItemCompleted(), ItemCompleted(), BatchCompleted()]
    assert chain.free(account("Eve")) == ENDOWMENT + 2_000


@pytest.mark.parametrize("function", ["batch", "batch_all", "force_batch"])
def test_an_empty_batch_completes(chain: Chain, function: str) -> None:
    assert batch_events(batch(chain, function)) == [BatchCompleted()]


def test_a_batch_stops_at_the_first_error_and_keeps_what_was_done(chain: Chain) -> None:
    outcome = batch(chain, "batch", GOOD, BAD, GOOD)
    assert outcome.error is None
    assert batch_events(outcome) == [ItemCompleted(), BatchInterrupted(1, NO_FUNDS)]
    assert chain.free(account("Eve")) == ENDOWMENT + 1_000


def test_batch_all_undoes_everything(chain: Chain) -> None:
    outcome = batch(chain, "batch_all", GOOD, BAD, GOOD)
    assert outcome.error == NO_FUNDS
    assert outcome.events == ()
    assert chain.free(account("Eve")) == ENDOWMENT


def test_force_batch_goes_on(chain: Chain) -> None:
    outcome = batch(chain, "force_batch", GOOD, BAD, GOOD)
    assert batch_events(outcome) == [
        ItemCompleted(),
        ItemFailed(NO_FUNDS),
        ItemCompleted(),
        BatchCompletedWithErrors(),
    ]
    assert chain.free(account("Eve")) == ENDOWMENT + 2_000


def test_a_batch_does_not_make_its_sender_root(chain: Chain) -> None:
    forced = RuntimeCall("Sudo", "remove_key", {})
    outcome = batch(chain, "batch", forced)
    assert batch_events(outcome) == [BatchInterrupted(0, Module(ModuleErrorValue(7, bytes(4))))]


@pytest.mark.parametrize("function", ["batch", "batch_all", "force_batch"])
def test_a_batch_has_a_bound(function: str) -> None:
    chain = Chain(constants={"Utility": {"batched_calls_limit": 2}})
    assert batch(chain, function, GOOD, GOOD).error is None
    assert batch(chain, function, GOOD, GOOD, GOOD).error == Module(ModuleErrorValue(8, bytes(4)))


@pytest.mark.parametrize("function", ["batch", "batch_all", "force_batch"])
def test_nobody_cannot_batch(chain: Chain, function: str) -> None:
    with chain.inside():
        result = chain.runtime.dispatch(RuntimeCall("Utility", function, {"calls": ()}), NoneOrigin())
    assert result.error is not None
    assert result.error.to_scale() == OriginRefused()


def test_a_batch_weighs_what_its_calls_weigh(chain: Chain) -> None:
    one = chain.runtime.dispatch_info(GOOD).weight.ref_time
    info = chain.runtime.dispatch_info(RuntimeCall("Utility", "batch", {"calls": (GOOD, GOOD)}))
    assert 2 * one < info.weight.ref_time < 3 * one
    assert info.class_ is NORMAL


def test_a_batch_is_operational_only_if_all_its_calls_are(chain: Chain) -> None:
    report = RuntimeCall("DatDot", "amendment_report", {"amendment": 1, "results": ()})
    for calls, kind in (((report, report), OPERATIONAL), ((report, GOOD), NORMAL), ((), NORMAL)):
        assert chain.runtime.dispatch_info(RuntimeCall("Utility", "batch", {"calls": calls})).class_ is kind


def nested(depth: int, function: str = "batch") -> RuntimeCall:
    call = GOOD
    for _ in range(depth - 1):
        call = RuntimeCall("Utility", function, {"calls": (call,)})
    return call


def test_calls_nest_sixteen_deep(chain: Chain) -> None:
    assert chain.submit("Bob", "Utility", "batch", calls=(nested(15),)).error is None
    assert chain.free(account("Eve")) == ENDOWMENT + 1_000


def test_calls_nested_deeper_are_refused_before_they_run(chain: Chain) -> None:
    with pytest.raises(InvalidTransaction, match="nested deeper"):
        chain.block(chain.sign("Bob", nested(17)))
    with chain.inside():
        result = chain.runtime.dispatch(nested(17, "batch_all"), Root())
    assert result.error is not None
    assert result.error.to_scale() == Transactional(TransactionalKind.LIMIT_REACHED)


def test_a_derivative_account_acts_for_itself(chain: Chain) -> None:
    child = derivative_account(account("Bob"), 7)
    assert child != derivative_account(account("Bob"), 8)
    chain.submit("Bob", "Balances", "transfer_keep_alive", dest=transfer(child, 0).arguments["dest"], value=10_000)
    outcome = chain.submit("Bob", "Utility", "as_derivative", index=7, call=GOOD)
    assert outcome.error is None
    assert chain.free(child) == 9_000


def test_an_empty_derivative_account_can_pay_nothing(chain: Chain) -> None:
    assert chain.submit("Bob", "Utility", "as_derivative", index=7, call=GOOD).error == NO_FUNDS


def test_batch_all_holds_no_batch_all(chain: Chain) -> None:
    inner = RuntimeCall("Utility", "batch_all", {"calls": (GOOD,)})
    for call in (inner, RuntimeCall("Utility", "as_derivative", {"index": 0, "call": inner})):
        assert batch(chain, "batch_all", call).error == FILTERED
    assert chain.free(account("Eve")) == ENDOWMENT


def if_else(chain: Chain, main: RuntimeCall, fallback: RuntimeCall) -> Outcome:
    return chain.submit("Bob", "Utility", "if_else", main=main, fallback=fallback)


def test_if_else_takes_the_second_call_only_when_the_first_fails(chain: Chain) -> None:
    assert batch_events(if_else(chain, GOOD, BAD)) == [IfElseMainSuccess()]
    half_done = RuntimeCall("Utility", "batch_all", {"calls": (GOOD, BAD)})
    assert batch_events(if_else(chain, half_done, GOOD)) == [IfElseFallbackCalled(NO_FUNDS)]
    assert chain.free(account("Eve")) == ENDOWMENT + 2_000
    assert if_else(chain, BAD, BAD).error == NO_FUNDS


AS_BOB = SystemOrigin(Signed(account("Bob")))


@pytest.mark.parametrize("function", ["dispatch_as", "dispatch_as_fallible"])
def test_root_dispatches_from_any_origin(chain: Chain, function: str) -> None:
    call = RuntimeCall("Utility", function, {"as_origin": AS_BOB, "call": GOOD})
    assert DispatchedAs(Ok(None)) in chain.sudo(call).events
    assert chain.free(account("Eve")) == ENDOWMENT + 1_000
    assert chain.submit("Bob", "Utility", function, as_origin=AS_BOB, call=GOOD).error == OriginRefused()


def test_a_dispatch_that_fails_is_an_event_or_a_failure(chain: Chain) -> None:
    arguments = {"as_origin": AS_BOB, "call": BAD}
    assert chain.sudo(RuntimeCall("Utility", "dispatch_as", arguments)).events[0] == DispatchedAs(Err(NO_FUNDS))
    failed = chain.sudo(RuntimeCall("Utility", "dispatch_as_fallible", arguments))
    assert failed.events == (Sudid(Err(NO_FUNDS)),)


@pytest.mark.parametrize("origin", [NoneOrigin(), Root()])
def test_not_even_root_sets_the_time_inside_another_call(chain: Chain, origin: Origin) -> None:
    late = RuntimeCall("Timestamp", "set", {"now": (chain.slot + 1) * 1_000})
    call = RuntimeCall("Utility", "dispatch_as", {"as_origin": SystemOrigin(origin), "call": late})
    assert chain.sudo(call).events[0] == DispatchedAs(Err(OriginRefused()))
    chain.sudo(RuntimeCall("Scheduler", "schedule_after", {
        "after": 0, "maybe_periodic": None, "priority": 0, "call": call,
    }))  # fmt: skip
    chain.blocks(2)


def test_with_weight_is_for_root_and_counts_the_weight_stated(chain: Chain) -> None:
    forced = RuntimeCall("Balances", "force_set_balance", {"who": GOOD.arguments["dest"], "new_free": 1_000})
    call = RuntimeCall("Utility", "with_weight", {"call": forced, "weight": Weight(7)})
    assert chain.runtime.dispatch_info(call).weight == Weight(7)
    assert chain.sudo(call).events[-1] == Sudid(Ok(None))
    assert chain.free(account("Eve")) == 1_000
    assert chain.submit("Bob", "Utility", "with_weight", call=GOOD, weight=Weight(7)).error == OriginRefused()


def test_an_origin_with_filters_is_the_same_on_the_wire() -> None:
    codec = codec_for(OriginCaller)
    limited = SystemOrigin(Signed(account("Bob"), (lambda call: False,)))
    assert codec.encode(limited) == codec.encode(AS_BOB)
    assert codec.decode(codec.encode(limited)) == AS_BOB
