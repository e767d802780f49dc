"""Reports on amendments: who may report, what is checked, and what follows."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from pallets.datdot.components import NotStored
from pallets.datdot.events import (
    AmendmentTimedOut,
    DatDotError,
    HostingStarted,
    NewAmendment,
    Paid,
    SetupFailed,
)
from pallets.datdot.types import AmendmentKind, AmendmentState, ContractState, PlanState, Role
from runtime.origin import Root
from tests.pallets.datdot.people import Person
from tests.pallets.datdot.world import World


@pytest.fixture
def running(market: World) -> World:
    """A market in which the only amendment of a plan of one contract was booked in the latest block."""
    market.publish(market.people[1], [(0, 9)], market.number + 100)
    while not market.seen(NewAmendment):
        market.block()
    return market


def test_a_full_report_starts_three_hosters_and_pays_the_setup(running: World) -> None:
    amendment_id, attestor = _amendment(running)
    encoders = [running.person(user or 0) for user in running.amendment(amendment_id).encoders]
    before = [running.free(person) for person in (attestor, *encoders)]
    running.do(attestor, "amendment_report", **running.report(amendment_id))
    amendment = running.amendment(amendment_id)
    assert amendment.state is AmendmentState.DONE
    started = running.seen(HostingStarted)
    assert [event.hoster for event in started] == list(amendment.hosters)
    contract = running.contract(amendment.contract)
    assert contract.state is ContractState.HOSTED
    assert [position and position.since for position in contract.positions] == [running.number] * 3
    earned = [running.free(person) - old for person, old in zip((attestor, *encoders), before, strict=True)]
    assert earned == [3 * 10 * 470_000, *[10 * 1_250_000 // 2] * 3]
    assert {event.role for event in running.seen(Paid)} == {Role.ATTESTOR, Role.ENCODER}


def test_the_booked_seven_are_distinct_and_neither_sponsor_nor_publisher(running: World) -> None:
    amendment = running.amendment(_amendment(running)[0])
    seven = [*amendment.encoders, *amendment.hosters, *amendment.attestors]
    assert len(set(seven)) == 7
    assert running.user_id(running.people[1]) not in seven


def test_only_the_attestor_reports(running: World) -> None:
    amendment_id, _ = _amendment(running)
    amendment = running.amendment(amendment_id)
    report = running.report(amendment_id)
    for user_id in (amendment.encoders[0], amendment.hosters[0], running.user_id(running.people[1])):
        assert _refused(running, running.person(user_id or 0), report) is DatDotError.NOT_ASSIGNED
    assert _refused(running, running.people[30], report) is DatDotError.UNKNOWN_USER
    assert _refused(running, running.people[1], report | {"amendment": 999}) is DatDotError.MISSING_AMENDMENT


@pytest.mark.parametrize("forged", ["encoder_signature", "hoster_signature"])
def test_one_forged_signature_refuses_the_whole_report(running: World, forged: str) -> None:
    amendment_id, attestor = _amendment(running)
    report = running.report(amendment_id)
    good = report["results"]
    other = getattr(good[0], forged)
    for signature in (bytes(64), other):
        results = (*good[:2], replace(good[2], **{forged: signature}))
        assert _refused(running, attestor, report | {"results": results}) is DatDotError.BAD_SIGNATURE
    assert running.seen(HostingStarted) == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"root": bytes(32)}, DatDotError.BAD_SIGNATURE),
        ({"key_hash": bytes(32)}, DatDotError.BAD_SIGNATURE),
        ({"leaves": 1}, DatDotError.BAD_PROOF),
        ({"leaves": 0}, DatDotError.BAD_PROOF),
        ({"encoded_bytes": 0, "leaves": 0}, DatDotError.BAD_PROOF),
        ({"encoded_bytes": 10 * 66_688 + 1, "leaves": 652}, DatDotError.BAD_PROOF),
        ({"position": 1}, DatDotError.BAD_REFERENCE),
        ({"position": 3}, DatDotError.BAD_REFERENCE),
    ],
)
def test_a_commitment_must_fit_the_contract_and_its_signatures(
    running: World, change: dict[str, Any], error: DatDotError
) -> None:
    amendment_id, attestor = _amendment(running)
    report = running.report(amendment_id)
    results = (replace(report["results"][0], **change), *report["results"][1:])
    assert _refused(running, attestor, report | {"results": results}) is error


def test_a_report_is_made_once(running: World) -> None:
    amendment_id, attestor = _amendment(running)
    report = running.report(amendment_id)
    running.do(attestor, "amendment_report", **report)
    assert _refused(running, attestor, report) is DatDotError.ALREADY_REPORTED


def test_a_report_in_the_last_block_of_the_deadline_wins(running: World) -> None:
    amendment_id, attestor = _amendment(running)
    booked = running.number
    deadline = running.amendment(amendment_id).deadline
    assert deadline == booked + 5
    running.blocks(4)
    running.do(attestor, "amendment_report", **running.report(amendment_id))
    assert running.number == deadline
    running.blocks(2)
    assert running.seen(AmendmentTimedOut) == []


def test_after_the_deadline_the_report_is_refused_and_another_attestor_takes_over(running: World) -> None:
    amendment_id, attestor = _amendment(running)
    old = running.amendment(amendment_id)
    running.blocks(6)
    expected = AmendmentTimedOut(amendment_id, old.contract, (running.user_id(attestor),))
    assert running.seen(AmendmentTimedOut) == [expected]
    timed_out_in = running.number
    assert running.amendment(amendment_id).state is AmendmentState.TIMED_OUT
    report = running.report(amendment_id)
    (result,) = running.block((attestor, "amendment_report", report))
    assert "EXPIRED" in str(result.error)
    running.block()
    assert running.number == timed_out_in + 2
    retry_id = running.seen(NewAmendment)[-1].amendment
    retry = running.amendment(retry_id)
    assert (retry.kind, retry.retries) == (AmendmentKind.RETRY, 1)
    assert (retry.encoders, retry.hosters) == (old.encoders, old.hosters)
    assert retry.attestors != old.attestors
    running.work()
    assert running.contract(old.contract).state is ContractState.HOSTED


def test_a_partial_report_starts_the_good_positions_and_retries_only_the_others(running: World) -> None:
    amendment_id, attestor = _amendment(running)
    old = running.amendment(amendment_id)
    suspect = old.encoders[1]
    blamed = NotStored(1, 2, suspect)
    results = (running.stored(amendment_id, 0), blamed, running.stored(amendment_id, 2))
    running.do(attestor, "amendment_report", amendment=amendment_id, results=results)
    contract = running.contract(old.contract)
    assert running.amendment(amendment_id).state is AmendmentState.DONE_PARTIAL
    assert contract.state is ContractState.DEGRADED
    assert [position is None for position in contract.positions] == [False, True, False]
    assert running.seen(SetupFailed) == [SetupFailed(amendment_id, old.contract, ((1, 2),))]
    running.work_for(lambda: running.contract(old.contract).state is ContractState.HOSTED, limit=8)
    retry = running.amendment(running.contract(old.contract).amendments[-1])
    assert (retry.kind, retry.positions, len(retry.encoders)) == (AmendmentKind.RETRY, (1,), 1)
    assert not {*retry.encoders, *retry.hosters} & {old.encoders[1], old.hosters[1]}
    assert [position and position.amendment for position in running.contract(old.contract).positions][::2] == [
        amendment_id, amendment_id,
    ]


def test_a_report_of_nothing_fails_and_everybody_is_free_again(running: World) -> None:
    amendment_id, attestor = _amendment(running)
    contract_id = running.amendment(amendment_id).contract
    running.do(attestor, "amendment_report", amendment=amendment_id, results=())
    assert running.amendment(amendment_id).state is AmendmentState.FAILED
    assert running.seen(SetupFailed)[-1].codes == ((0, 255), (1, 255), (2, 255))
    assert running.contract(contract_id).state is ContractState.SETTING_UP
    assert running.run(lambda: list(running.market.bookings.items())) == []
    assert running.seen(Paid) == []


def test_a_report_after_the_plan_is_over_is_refused(running: World) -> None:
    amendment_id, attestor = _amendment(running)
    report = running.report(amendment_id)
    plan_id = running.contract(running.amendment(amendment_id).contract).plan
    end, late = running.block((Root(), "end_plan", {"plan": plan_id}), (attestor, "amendment_report", report))
    assert end.error is None
    assert "EXPIRED" in str(late.error)
    assert running.plan(plan_id).until == running.number
    running.blocks(2)
    assert running.plan(plan_id).state is PlanState.ENDED
    assert running.amendment(amendment_id).state is AmendmentState.SUPERSEDED


def test_retries_wait_longer_and_longer_and_then_in_the_queue(market: World) -> None:
    market.silent_attestors = {market.user_id(market.people[number]) for number in range(2, 11)}
    market.publish(market.people[1], [(0, 9)], 3_000)
    market.check = False
    booked: list[int] = []
    while len(booked) < 12:
        market.block()
        if any(isinstance(event, NewAmendment) for event in market.events):
            booked.append(market.number)
    pauses = [later - earlier - 6 - 1 for earlier, later in pairwise(booked)]
    assert pauses[:10] == [1, 2, 4, 8, 16, 32, 64, 64, 64, 64]
    market.try_state()
    contract = market.contract(market.seen(NewAmendment)[0].contract)
    assert len(contract.amendments) == 12


def test_a_setup_is_paid_from_what_was_set_aside_and_never_beyond(market: World) -> None:
    market.publish(market.people[1], [(0, 9)], 3_000)
    plan_id = market.run(lambda: next(iter(market.market.plan_by_id.items()))[0])
    budget = market.funds(plan_id).setup_budget  # type: ignore[union-attr]
    for _ in range(4):
        market.work_for(lambda: any(isinstance(event, NewAmendment) for event in market.events), limit=80)
        amendment_id = market.seen(NewAmendment)[-1].amendment
        attestor = market.person(market.amendment(amendment_id).attestors[0] or 0)
        stored = market.amendment(amendment_id).positions[:-1] or market.amendment(amendment_id).positions
        market.do(attestor, "amendment_report", **market.report(amendment_id, stored))
        if market.contract(market.amendment(amendment_id).contract).state is ContractState.HOSTED:
            break
    spent = sum(event.amount for event in market.seen(Paid) if event.role is not Role.HOSTER)
    left = market.funds(plan_id).setup_budget  # type: ignore[union-attr]
    assert spent == budget - left
    assert left >= 0


def _amendment(world: World) -> tuple[int, Person]:
    amendment_id = world.seen(NewAmendment)[-1].amendment
    return amendment_id, world.person(world.amendment(amendment_id).attestors[0] or 0)


def _refused(world: World, who: Person, report: dict[str, Any]) -> DatDotError:
    return world.refused(who, "amendment_report", **report)

