"""Waiting for providers: nobody is penalised, nothing is forgotten, nothing is scanned."""

from dataclasses import replace
from typing import Any

from pallets.datdot import agenda, setup, waiting
from pallets.datdot.agenda import Line
from pallets.datdot.components import Components, Performance, Region, Resources, Timetable
from pallets.datdot.config import DatDotConfig
from pallets.datdot.events import AmendmentQueued, HostingStarted, NewAmendment, Paid
from pallets.datdot.types import ContractState, Role
from runtime.state import Overlay
from tests.pallets.datdot.people import GIB, core, offer_arguments, plan_arguments
from tests.pallets.datdot.world import World


def test_a_plan_without_providers_waits_and_starts_when_they_come(world: World) -> None:
    world.join(1)
    plan_id = world.publish(world.people[1], [(0, 24)], 400)
    world.blocks(30)
    contracts = world.plan(plan_id).contracts
    assert all(world.contract(one).state is ContractState.QUEUED for one in contracts)
    assert len(world.seen(AmendmentQueued)) == 3
    world.staff(*range(2, 9), capacity=3)
    came = world.number
    world.work_for(lambda: len(world.seen(HostingStarted)) == 9, limit=12)
    assert world.number - came <= 8
    assert all(world.contract(one).amendments == (world.contract(one).amendments[0],) for one in contracts)


def test_a_setup_that_finds_everybody_busy_starts_when_their_job_ends() -> None:
    world = World()
    world.join(1)
    world.staff(*range(2, 9), roles=(Role.ENCODER, Role.ATTESTOR), capacity=1)
    world.staff(*range(9, 12), roles=(Role.HOSTER,), capacity=64)
    world.publish(world.people[1], [(0, 39)], 400)
    world.work_for(lambda: len(world.seen(HostingStarted)) == 12, limit=60)
    assert world.seen(AmendmentQueued)
    assert len(world.seen(NewAmendment)) == 4


def test_a_lost_wakeup_between_freeze_and_draw_is_noticed() -> None:
    world = World(authorities=3)
    world.join(1)
    plan_id = world.publish(world.people[1], [(0, 9)], 400, from_=10)
    world.join(*range(2, 9))
    world.blocks(10 - world.number)
    world.block(*(world.offering(world.people[number]) for number in range(2, 9)))
    (contract_id,) = world.plan(plan_id).contracts
    world.work_for(lambda: world.contract(contract_id).state is ContractState.HOSTED, limit=12)
    assert len(world.seen(AmendmentQueued)) == 1


def test_whoever_joins_after_the_freeze_is_not_drawn() -> None:
    world = World(authorities=3)
    world.join(1)
    world.staff(*range(2, 9))
    world.join(*range(9, 30))
    plan_id = world.publish(world.people[1], [(0, 9)], 400, from_=20)
    world.blocks(20 - world.number)
    world.block(*(world.offering(world.people[number]) for number in range(9, 30)))
    world.work_for(lambda: world.seen(NewAmendment) != [], limit=6)
    amendment = world.amendment(world.seen(NewAmendment)[0].amendment)
    early = {world.user_id(world.people[number]) for number in range(2, 9)}
    assert {*amendment.encoders, *amendment.hosters, *amendment.attestors} == early
    assert world.plan(plan_id).contracts


def test_somebody_who_offers_anew_during_the_draw_is_left_out() -> None:
    world = World(authorities=3)
    world.join(1)
    world.staff(*range(2, 10))
    world.publish(world.people[1], [(0, 9)], 400, from_=20)
    world.blocks(20 - world.number)
    world.do(world.people[2], "register_for_work", **offer_arguments((), 0, storage=2 * GIB))
    world.work_for(lambda: world.seen(NewAmendment) != [], limit=6)
    amendment = world.amendment(world.seen(NewAmendment)[0].amendment)
    assert world.user_id(world.people[2]) not in {*amendment.encoders, *amendment.hosters, *amendment.attestors}


def test_repairs_are_served_before_retries_and_these_before_new_setups(world: World) -> None:
    order = [Line.REPLACEMENTS, Line.RETRIES, Line.SETUPS]
    assert tuple(order) == agenda.FRESH_ORDER
    assert agenda.PARKED_ORDER == (Line.PARKED_REPLACEMENTS, Line.PARKED_RETRIES, Line.PARKED_SETUPS)
    with world.runtime.bind(Overlay(world.state)):
        for number, line in enumerate((Line.SETUPS, Line.RETRIES, Line.REPLACEMENTS), start=1):
            waiting.push(world.market, line, number)
        served = [found for line in agenda.FRESH_ORDER if (found := waiting.pop(world.market, line))]
    assert served == [3, 2, 1]


def test_a_line_serves_in_order_and_parked_entries_only_after_a_wake(world: World) -> None:
    with world.runtime.bind(Overlay(world.state)):
        market = world.market
        for number in (5, 6, 7):
            waiting.push(market, Line.PARKED_SETUPS, number, tried=True)
        assert waiting.pop(market, Line.PARKED_SETUPS) is None
        waiting.wake(market)
        waiting.push(market, Line.PARKED_SETUPS, 8, tried=True)
        served = [waiting.pop(market, Line.PARKED_SETUPS) for _ in range(4)]
        assert served == [5, 6, 7, None]


def test_the_calendar_carries_out_a_bounded_number_and_keeps_the_rest(world: World) -> None:
    with world.runtime.bind(Overlay(world.state)):
        market = world.market
        for amendment_id in range(5):
            waiting.schedule(market, 3, agenda.EnqueueAmendment(amendment_id))
        waiting.schedule(market, 8, agenda.EnqueueAmendment(99))
        assert waiting.next_due(market, 2) is None
        assert [waiting.next_due(market, 3) for _ in range(2)] == [agenda.EnqueueAmendment(n) for n in (0, 1)]
        assert [waiting.next_due(market, 7) for _ in range(4)] == [
            *(agenda.EnqueueAmendment(n) for n in (2, 3, 4)), None,
        ]
        waiting.schedule(market, 7, agenda.EnqueueAmendment(7))
        assert waiting.next_due(market, 8) == agenda.EnqueueAmendment(7)
        assert waiting.next_due(market, 8) == agenda.EnqueueAmendment(99)
        assert waiting.next_due(market, 8) is None


def test_no_more_setups_are_taken_up_in_a_block_than_allowed() -> None:
    world = World(DatDotConfig(contract_activation_cap=2))
    world.join(1)
    world.publish(world.people[1], [(0, 39)], 400)
    world.publish(world.people[1], [(0, 39)], 400)
    queued = []
    for _ in range(12):
        before = len(world.seen(AmendmentQueued))
        world.block()
        queued.append(len(world.seen(AmendmentQueued)) - before)
    assert max(queued) == 2
    assert sum(queued) == 8


def test_backoff_doubles_up_to_64_blocks() -> None:
    assert [setup.backoff_blocks(retries, 6) for retries in range(9)] == [1, 2, 4, 8, 16, 32, 64, 64, 64]


def test_regions_hours_performance_and_storage_are_conditions(world: World) -> None:
    world.join(1)
    feed = core(40)
    arguments = plan_arguments(
        feed, [(0, 9)], 300, regions=(Region("u33"),), performances=(Performance(900_000, 10**6, 100),)
    )
    program = (replace(arguments["plan"].program[0], regions=(-1,), performances=(-1,)),)
    arguments["plan"] = replace(arguments["plan"], program=program)
    world.do(world.people[1], "publish_plan", **arguments)
    (contract_id,) = world.plan(world.run(lambda: next(iter(world.market.plan_by_id.items()))[0])).contracts
    world.join(*range(2, 40))
    good = Components(
        resources=(Resources(GIB, 1, 1),),
        regions=(Region("u33db"), Region("9q8")),
        performances=(Performance(950_000, 10**7, 50), Performance(950_000, 10**7, 500)),
        timetables=(Timetable(0, 5_000, None, None), Timetable(0, 10, 10, None)),
    )
    bad_offers: list[dict[str, Any]] = [
        {"regions": (-2,)},
        {"regions": (), "performances": (-1,)},
        {"performances": (-2,)},
        {"performances": ()},
        {"timetables": (-2,)},
        {"until": 250},
        {"from_": 200},
        {"components": replace(good, resources=(Resources(600_000, 1, 1),))},
    ]
    fitting: dict[str, Any] = {"components": good, "regions": (-1,), "performances": (-1,), "timetables": (-1,)}
    hosters = (Role.HOSTER,)
    world.block(*(
        world.offering(world.people[2 + number], hosters, **(fitting | bad)) for number, bad in enumerate(bad_offers)
    ))
    others = (Role.ENCODER, Role.ATTESTOR)
    world.block(*(world.offering(world.people[number], others, **fitting) for number in range(20, 26)))
    world.blocks(8)
    assert world.contract(contract_id).state is ContractState.QUEUED
    world.block(*(world.offering(world.people[number], hosters, **fitting) for number in range(30, 33)))
    world.work_for(lambda: world.contract(contract_id).state is ContractState.HOSTED, limit=10)
    chosen = {event.hoster for event in world.seen(HostingStarted)}
    assert chosen == {world.user_id(world.people[number]) for number in range(30, 33)}
    assert world.seen(Paid)

