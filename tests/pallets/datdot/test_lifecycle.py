"""Plans from their first block to their last, block by block."""

import pytest

from pallets.datdot.config import DatDotConfig
from pallets.datdot.events import (
    AmendmentTimedOut,
    DropHosting,
    HostingStarted,
    NewAmendment,
    NewStorageChallenge,
    Paid,
    PlanClosing,
    PlanEnded,
    PlanStarted,
    Refunded,
)
from pallets.datdot.types import AmendmentState, ChallengeState, ContractState, PlanState, Role
from tests.pallets.datdot.people import GENEROUS, core
from tests.pallets.datdot.world import World


def test_the_worked_timeline_of_one_authority() -> None:
    world = World()
    world.join(1)
    world.staff(*range(2, 30), capacity=4)
    world.blocks(99 - world.number)
    plan_id = world.publish(world.people[1], [(0, 24)], 1_105, from_=105)
    first, second, third = world.plan(plan_id).contracts
    assert world.number == 100
    world.blocks(5)
    assert world.number == 105
    assert PlanStarted(plan_id) in world.events
    drawing = [world.amendment(world.contract(one).amendments[-1]) for one in (first, second, third)]
    assert {(one.state, one.freeze.block if one.freeze else 0) for one in drawing} == {(AmendmentState.DRAWING, 105)}
    world.block()
    assert [event.contract for event in world.seen(NewAmendment)] == [first, second, third]
    assert [world.amendment(event.amendment).deadline for event in world.seen(NewAmendment)] == [111] * 3
    third_id = world.contract(third).amendments[-1]
    silent = world.amendment(third_id).attestors[0]
    world.blocks(1)
    for contract_id in (first, second):
        amendment_id = world.contract(contract_id).amendments[-1]
        attestor = world.person(world.amendment(amendment_id).attestors[0] or 0)
        world.block((attestor, "amendment_report", world.report(amendment_id)))
    assert world.number == 109
    assert len(world.seen(HostingStarted)) == 6
    world.work_until(111)
    assert world.seen(AmendmentTimedOut) == []
    world.work()
    assert world.number == 112
    assert world.seen(AmendmentTimedOut) == [AmendmentTimedOut(third_id, third, (silent or 0,))]
    world.work()
    assert world.amendment(world.contract(third).amendments[-1]).state is AmendmentState.DRAWING
    world.work()
    assert world.number == 114
    assert world.seen(NewAmendment)[-1].contract == third
    world.work()
    assert world.contract(third).state is ContractState.HOSTED
    world.check = False
    world.work_until(1_104)
    world.check = True
    assert world.plan(plan_id).state is PlanState.RUNNING
    world.work()
    assert PlanClosing(plan_id) in world.events
    world.work_until(1_112)
    assert world.plan(plan_id).state is PlanState.ENDED
    assert len(world.seen(DropHosting)) == 9
    assert len(world.seen(Refunded)) == 1


def test_after_the_end_nobody_is_asked_and_nothing_is_left(market: World) -> None:
    plan_id = market.publish(market.people[1], [(0, 24)], market.number + 40)
    market.work_for(lambda: market.plan(plan_id).state is PlanState.ENDED, limit=60)
    asked = len(market.seen(NewStorageChallenge))
    market.work_until(market.number + 40)
    assert len(market.seen(NewStorageChallenge)) == asked
    assert market.funds(plan_id) is None
    assert market.run(lambda: list(market.market.bookings.items())) == []
    assert all(market.contract(one).state is ContractState.ENDED for one in market.plan(plan_id).contracts)
    assert market.run(lambda: list(market.market.due.items())) == []


def test_hosters_are_paid_up_to_the_last_block_of_the_plan_and_not_beyond(market: World) -> None:
    plan_id = market.publish(market.people[1], [(0, 9)], market.number + 40)
    market.work_for(lambda: len(market.seen(HostingStarted)) == 3, limit=8)
    started = market.number
    market.work_for(lambda: market.plan(plan_id).state is PlanState.ENDED, limit=60)
    earned = sum(event.amount for event in market.seen(Paid) if event.role is Role.HOSTER)
    gross = 3 * 10 * 1_700_000 * (market.plan(plan_id).until - started)
    assert earned + market.free_treasury() == gross


def test_whoever_misses_the_closing_challenge_gets_nothing_for_the_last_interval(market: World) -> None:
    plan_id = market.publish(market.people[1], [(0, 9)], market.number + 8)
    market.work_for(lambda: len(market.seen(HostingStarted)) == 3, limit=8)
    market.silent_hosters = {event.hoster for event in market.seen(HostingStarted)}
    market.work_for(lambda: market.plan(plan_id).state is PlanState.ENDED, limit=40)
    assert not [event for event in market.seen(Paid) if event.role is Role.HOSTER]
    assert len(market.seen(DropHosting)) == 3
    (refund,) = market.seen(Refunded)
    assert refund.amount == GENEROUS - sum(event.amount for event in market.seen(Paid))


def test_a_closing_challenge_asks_for_its_lane_only_and_has_twice_the_time(market: World) -> None:
    plan_id = market.publish(market.people[1], [(0, 19)], market.number + 30)
    market.work_until(market.plan(plan_id).until - 1)
    before = len(market.seen(NewStorageChallenge))
    market.work()
    closing = {}
    for _ in range(3):
        market.block()
        for event in market.seen(NewStorageChallenge)[before:]:
            challenge = market.challenge(event.challenge)
            if challenge.closing is not None:
                closing[event.challenge] = challenge
    assert len(closing) == 6
    for challenge in closing.values():
        lane = challenge.closing
        assert lane is not None
        assert {(check.contract, check.position) for check in challenge.checks} == {(lane.contract, lane.position)}
        assert (challenge.deadline or 0) - (challenge.opened or 0) == 6


def test_a_plan_that_ends_before_its_setup_pays_nobody(market: World) -> None:
    market.silent_attestors = {market.user_id(market.people[number]) for number in range(2, 11)}
    plan_id = market.publish(market.people[1], [(0, 24)], market.number + 4)
    market.work_for(lambda: market.plan(plan_id).state is PlanState.ENDED, limit=20)
    assert market.seen(Paid) == []
    assert [event.amount for event in market.seen(Refunded)] == [GENEROUS]
    states = {amendment.state for _, amendment in market.run(lambda: list(market.market.amendment_by_id.items()))}
    assert states == {AmendmentState.SUPERSEDED}
    market.work_until(market.number + 20)
    assert market.seen(AmendmentTimedOut) == []


def test_a_large_plan_starts_and_closes_a_few_contracts_per_block() -> None:
    world = World(DatDotConfig(contract_set_size=1, contract_activation_cap=4))
    world.join(1)
    world.staff(*range(2, 20), capacity=60)
    plan_id = world.publish(world.people[1], [(0, 29)], 90, from_=10)
    world.blocks(10 - world.number)
    per_block = []
    while world.number < 24:
        started = len(world.seen(HostingStarted))
        world.work()
        per_block.append(len(world.seen(HostingStarted)) - started)
    assert max(per_block) == 12
    assert sum(per_block) == 90
    world.work_for(lambda: world.plan(plan_id).state is PlanState.ENDED, limit=120)
    assert len(world.seen(PlanEnded)) == 1


@pytest.mark.parametrize("authorities", [2, 3])
def test_with_more_authorities_a_draw_waits_for_a_reveal_of_each(authorities: int) -> None:
    world = World(authorities=authorities)
    world.join(1)
    world.staff(*range(2, 11))
    plan_id = world.publish(world.people[1], [(0, 9)], 100, from_=10)
    world.blocks(10 + authorities - 1 - world.number)
    assert world.seen(NewAmendment) == []
    world.block()
    assert len(world.seen(NewAmendment)) == 1
    world.work_for(lambda: world.plan(plan_id).state is PlanState.ENDED, limit=130)


def test_two_nodes_that_execute_the_same_calls_have_the_same_state_root() -> None:
    roots = []
    for _ in range(2):
        world = World(check=False)
        world.join(1)
        world.staff(*range(2, 14))
        world.publish(world.people[1], [(0, 24)], 120)
        world.silent_attestors = {4}
        world.silent_hosters = {5}
        world.work_until(140)
        roots.append(world.header.hash)
    assert roots[0] == roots[1]


def test_two_plans_of_one_sponsor_keep_their_money_apart(market: World) -> None:
    first = market.publish(market.people[1], [(0, 9)], market.number + 30)
    second = market.publish(market.people[1], [(10, 19)], market.number + 60, deposit=50_000 * 10**9)
    market.work_for(lambda: market.plan(first).state is PlanState.ENDED, limit=60)
    spent = 50_000 * 10**9 - market.funds(second).escrow  # type: ignore[union-attr]
    fees = sum(event.amount for event in market.seen(Paid) if event.plan == second)
    assert fees <= spent <= fees * 102 // 100
    market.work_for(lambda: market.plan(second).state is PlanState.ENDED, limit=60)
    assert len(market.seen(Refunded)) == 2


def test_an_unneeded_challenge_is_void_when_its_lanes_are_gone(market: World) -> None:
    until = market.number + 14
    market.publish(market.people[1], [(0, 9)], until, feed=core(40))
    while market.number < until + 12:
        market.block(*[call for call in market.answers() if call[1] == "amendment_report"])
    challenges = market.run(lambda: list(market.market.storage_challenge_by_id.items()))
    states = {challenge.state for _, challenge in challenges}
    assert states <= {ChallengeState.VOID, ChallengeState.MISSED}
