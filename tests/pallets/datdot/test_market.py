"""The whole market, from publishing a plan to the refund, with every invariant checked after every block."""

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
from tests.pallets.datdot.world import GENEROUS, World


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
