"""The whole market, from publishing a plan to the refund, with every invariant checked after every block."""

import random
from typing import Any

import pytest

from pallets.datdot.config import DatDotConfig
from pallets.datdot.events import (
    DropHosting,
    HostingStarted,
    NewAmendment,
    NewContract,
    NewFeed,
    NewPlan,
    Paid,
    PlanEnded,
    ProofOfStorageConfirmed,
    Refunded,
)
from pallets.datdot.types import ContractState, PlanState, Role
from runtime.origin import Origin
from tests.pallets.datdot.people import GENEROUS, GIB, Person, core, offer_arguments, plan_arguments
from tests.pallets.datdot.world import World


def test_a_plan_runs_from_escrow_to_refund_and_pays_everybody_who_worked(market: World) -> None:
    sponsor = market.people[1]
    plan_id = market.publish(sponsor, [(0, 24)], market.number + 60)
    plan = market.plan(plan_id)
    assert [len(market.seen(kind)) for kind in (NewFeed, NewPlan, NewContract)] == [1, 1, 3]
    assert [market.contract(contract).chunks for contract in plan.contracts] == [10, 10, 5]
    market.work_for(lambda: len(market.seen(HostingStarted)) == 9, limit=10)
    assert all(market.contract(contract).state is ContractState.HOSTED for contract in plan.contracts)
    assert len(market.seen(NewAmendment)) == 3
    market.work_for(lambda: market.plan(plan_id).state is PlanState.ENDED, limit=90)
    assert len(market.seen(DropHosting)) == 9
    assert market.seen(ProofOfStorageConfirmed)
    assert [event.plan for event in market.seen(PlanEnded)] == [plan_id]
    paid = market.seen(Paid)
    assert {event.role for event in paid} == set(Role)
    (refund,) = market.seen(Refunded)
    fees = market.free_treasury()
    assert refund.amount + sum(event.amount for event in paid) + fees == GENEROUS


@pytest.mark.parametrize("seed", range(12))
def test_no_sequence_of_honest_lazy_and_greedy_behaviour_breaks_an_invariant(seed: int) -> None:
    dice = random.Random(seed)
    config = DatDotConfig(
        contract_activation_cap=dice.choice([1, 3, 50]),
        leaves_per_challenge=dice.choice([1, 4, 10]),
        contract_set_size=dice.choice([1, 4, 10]),
        due_per_block=dice.choice([2, 200]),
        draws_per_block=dice.choice([1, 100]),
        max_amendments_per_contract=dice.choice([2, 100]),
        queue_retry_delay=20,
    )
    world = World(config, authorities=dice.choice([1, 2, 3]))
    world.join(1, 2)
    world.staff(*range(3, 13), capacity=dice.choice([1, 3, 8]), storage=dice.choice([3 * 10**6, GIB]))
    sponsors = [world.people[1], world.people[2]]
    feed = core(40)
    for _ in range(150):
        calls: list[tuple[Origin | Person, str, dict[str, Any]]] = []
        if dice.random() < 0.05:
            first = dice.randrange(35)
            last = min(39, first + dice.randrange(12))
            arguments = plan_arguments(feed, [(first, last)], world.number + 3 + dice.randrange(60))
            calls.append((dice.choice(sponsors), "publish_plan", arguments))
        if dice.random() < 0.1:
            roles = dice.sample(list(Role), dice.randrange(4))
            arguments = offer_arguments(roles, dice.choice([0, 1, 4]), storage=dice.choice([1, 3 * 10**6, GIB]))
            calls.append((world.people[dice.randrange(1, 14)], "register_for_work", arguments))
        world.silent_hosters = set(dice.sample(range(3, 13), dice.choice([0, 0, 1, 4])))
        world.silent_attestors = set(dice.sample(range(3, 13), dice.choice([0, 0, 1, 4])))
        _answer(world, *calls)
    world.silent_hosters = world.silent_attestors = set()
    plans = world.run(lambda: list(world.market.plan_by_id.items()))
    assert plans
    world.check = False
    for _ in range(400):
        _answer(world)
    assert {world.plan(plan_id).state for plan_id, _ in plans} == {PlanState.ENDED}
    world.try_state()
    spent = sum(event.amount for event in world.seen(Paid)) + sum(event.amount for event in world.seen(Refunded))
    assert spent + world.free_treasury() == GENEROUS * len(plans)
    assert world.run(lambda: list(world.market.bookings.items())) == []


def _answer(world: World, *calls: tuple[Origin | Person, str, dict[str, Any]]) -> None:
    """Make a block of these calls and of answers, which are refused only when the plan ended in between."""
    answers = world.answers()
    results = world.block(*calls, *answers)
    for result in results[len(calls) :]:
        assert result.error is None or "EXPIRED" in str(result.error)
