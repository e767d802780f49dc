"""Feeds and plans: what is refused, in which order, and what a plan becomes."""

from dataclasses import replace
from typing import Any

import pytest

from hypercore.io.core import Core
from pallets.datdot import items
from pallets.datdot.components import Components, DatasetInput, FeedInput, PlanInput, ProgramInput
from pallets.datdot.config import DatDotConfig
from pallets.datdot.events import DatDotError, NewContract, NewFeed, NewPlan
from pallets.datdot.rewards import default_prices, required_escrow
from pallets.datdot.types import PLAN_ESCROW, ContractState, PlanState, Prices, Role
from runtime.origin import Root
from tests.pallets.datdot.people import GENEROUS, core, key_pair, plan_arguments, sizes_proof
from tests.pallets.datdot.world import WEALTH, World


@pytest.fixture
def sponsored(world: World) -> World:
    """A market of one user, the sponsor."""
    world.join(1)
    return world


def test_a_feed_is_stored_with_its_verified_head(sponsored: World) -> None:
    feed = core(12)
    sponsored.do(sponsored.people[1], "publish_feed", key=feed.key, head_proof=feed.head_proof())
    (event,) = sponsored.seen(NewFeed)
    stored = sponsored.run(lambda: sponsored.market.feed_by_id.get(event.feed))
    assert (stored.key, stored.publisher, stored.fork) == (feed.key, 1, 0)
    assert (stored.head.length, stored.head.byte_length) == (12, feed.byte_length)
    assert (stored.head.tree_hash, stored.discovery) == (feed.tree_hash(), feed.discovery_key)
    assert sponsored.run(lambda: sponsored.market.feed_by_key.get(feed.key)) == event.feed


def test_publishing_a_known_feed_changes_nothing(sponsored: World) -> None:
    feed = core(12)
    for _ in range(2):
        sponsored.do(sponsored.people[1], "publish_feed", key=feed.key, head_proof=feed.head_proof())
    sponsored.do(sponsored.people[1], "publish_feed", key=feed.key, head_proof=b"")
    assert len(sponsored.seen(NewFeed)) == 1


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "other key"])
def test_a_feed_without_a_valid_head_is_refused(sponsored: World, damage: str) -> None:
    feed = core(12)
    proof = feed.head_proof()
    proof = {
        "empty": b"",
        "truncated": proof[:-1],
        "flipped": proof[:40] + bytes([proof[40] ^ 1]) + proof[41:],
        "other key": proof,
    }[damage]
    key = core(12, "other").key if damage == "other key" else feed.key
    assert sponsored.refused(sponsored.people[1], "publish_feed", key=key, head_proof=proof) is DatDotError.BAD_PROOF


def test_strangers_publish_neither_feeds_nor_plans(world: World) -> None:
    feed = core(12)
    stranger = world.people[1]
    proof = feed.head_proof()
    assert world.refused(stranger, "publish_feed", key=feed.key, head_proof=proof) is DatDotError.UNKNOWN_USER
    assert world.refused(stranger, "publish_plan", **plan_arguments(feed, [(0, 9)], 50)) is DatDotError.UNKNOWN_USER


def test_the_demo_ranges_become_two_contracts_and_the_deposit_is_held(sponsored: World) -> None:
    sponsor = sponsored.people[1]
    plan_id = sponsored.publish(sponsor, [(0, 3), (5, 8), (10, 14)], 50, feed=core(17), from_=20)
    plan = sponsored.plan(plan_id)
    assert (plan.from_, plan.until, plan.state, plan.sponsor) == (20, 50, PlanState.SCHEDULED, 1)
    contracts = [sponsored.contract(contract_id) for contract_id in plan.contracts]
    assert [contract.ranges for contract in contracts] == [((0, 3), (5, 8), (10, 11)), ((12, 14),)]
    assert [contract.chunks for contract in contracts] == [10, 3]
    assert all(contract.state is ContractState.PENDING and contract.head_length == 17 for contract in contracts)
    assert len(sponsored.seen(NewPlan)) == 1
    assert [event.contract for event in sponsored.seen(NewContract)] == list(plan.contracts)
    assert sponsored.free(sponsor) == WEALTH - GENEROUS
    assert sponsored.run(lambda: sponsored.balances.held(PLAN_ESCROW, sponsor.account)) == GENEROUS
    kinds = sponsored.run(lambda: [sponsored.market.item_by_id.get(item) for item in (plan_id, *plan.contracts)])
    assert kinds == [items.Plan(), items.Contract(), items.Contract()]


def test_a_plan_without_a_start_begins_in_the_next_block(sponsored: World) -> None:
    sponsored.blocks(99 - sponsored.number)
    plan_id = sponsored.publish(sponsored.people[1], [(0, 0)], 102)
    assert sponsored.number == 100
    assert sponsored.plan(plan_id).from_ == 101
    assert sponsored.refused(
        sponsored.people[1], "publish_plan", **plan_arguments(core(40), [(0, 0)], 102)
    ) is DatDotError.BAD_TIMES


def test_two_datasets_of_one_feed_are_joined_within_an_entry_and_not_across(sponsored: World) -> None:
    feed = core(40)
    datasets = tuple(
        DatasetInput(-1, ranges, (sizes_proof(feed, 0, 39),)) for ranges in (((0, 6),), ((4, 12),))
    )
    components = Components(feeds=(FeedInput(feed.key, feed.head_proof()),), datasets=datasets)
    program = (ProgramInput((-1, -2), (), ()), ProgramInput((-2,), (), ()))
    sponsored.do(
        sponsored.people[1],
        "publish_plan",
        plan=PlanInput(None, 90, program, None),
        components=components,
        deposit=GENEROUS,
    )
    contracts = [sponsored.contract(event.contract) for event in sponsored.seen(NewContract)]
    assert [(one.entry, one.ranges) for one in contracts] == [(0, ((0, 9),)), (0, ((10, 12),)), (1, ((4, 12),))]


def test_a_stored_dataset_is_hosted_again_by_its_id_without_proofs(sponsored: World) -> None:
    plan_id = sponsored.publish(sponsored.people[1], [(0, 9)], 50)
    (dataset,) = sponsored.plan(plan_id).program[0].datasets
    program = (ProgramInput((dataset,), (), ()),)
    sponsored.do(
        sponsored.people[1],
        "publish_plan",
        plan=PlanInput(None, 60, program, None),
        components=Components(),
        deposit=GENEROUS,
    )
    assert len(sponsored.seen(NewContract)) == 2


def test_the_least_deposit_is_enough_and_one_planck_less_is_not(sponsored: World) -> None:
    until = sponsored.number + 30
    config, prices = DatDotConfig(), default_prices(DatDotConfig())
    blocks = until - (sponsored.number + 3)
    least = required_escrow(prices, [10, 4], blocks, config).total
    too_little = plan_arguments(core(40), [(0, 13)], until, from_=until - blocks, deposit=least - 1)
    assert sponsored.refused(sponsored.people[1], "publish_plan", **too_little) is DatDotError.INSUFFICIENT_FUNDS
    sponsored.publish(sponsored.people[1], [(0, 13)], until, from_=until - blocks, deposit=least)


def test_nobody_deposits_more_than_the_account_has(sponsored: World) -> None:
    arguments = plan_arguments(core(40), [(0, 9)], 50, deposit=WEALTH)
    assert sponsored.refused(sponsored.people[1], "publish_plan", **arguments) is DatDotError.INSUFFICIENT_FUNDS


@pytest.mark.parametrize("ranges", [[(3, 1)], [(0, 40)], [(40, 40)], [(0, 3), (9, 8)], []])
def test_ranges_outside_of_the_feed_are_refused(sponsored: World, ranges: list[tuple[int, int]]) -> None:
    arguments = plan_arguments(core(40), ranges, 50, proofs=[sizes_proof(core(40), 0, 39)])
    assert sponsored.refused(sponsored.people[1], "publish_plan", **arguments) is DatDotError.BAD_RANGES


@pytest.mark.parametrize(
    ("times", "until"), [({"from_": 1}, 50), ({"from_": 30}, 30), ({"from_": 30}, 20), ({}, 0), ({}, 3)]
)
def test_a_plan_in_the_past_or_without_any_time_is_refused(sponsored: World, times: dict[str, Any], until: int) -> None:
    arguments = plan_arguments(core(40), [(0, 9)], until, **times)
    assert sponsored.refused(sponsored.people[1], "publish_plan", **arguments) is DatDotError.BAD_TIMES


def test_every_chunk_must_be_proven_small_enough(sponsored: World) -> None:
    feed = core(40)
    other = core(24, "other")
    whole = sizes_proof(feed, 0, 39)
    one_short, one_late, strange = sizes_proof(feed, 0, 8), sizes_proof(feed, 1, 39), sizes_proof(other, 0, 23)
    for proofs in ([], [one_short], [one_late], [strange], [whole[:-1]], [b""]):
        arguments = plan_arguments(feed, [(0, 9)], 50, proofs=proofs)
        assert sponsored.refused(sponsored.people[1], "publish_plan", **arguments) is DatDotError.BAD_PROOF


def test_chunks_of_64_kib_are_accepted_and_larger_ones_refused(sponsored: World) -> None:
    def feed_of(size: int) -> Core:
        made = Core.create(None, key_pair=key_pair(f"chunks of {size}"))
        made.append([bytes(size), bytes(1)])
        return made

    sponsored.publish(sponsored.people[1], [(0, 1)], 50, feed=feed_of(65_536))
    arguments = plan_arguments(feed_of(65_537), [(0, 1)], 50)
    assert sponsored.refused(sponsored.people[1], "publish_plan", **arguments) is DatDotError.BAD_PROOF


@pytest.mark.parametrize("reference", [0, -2, 777])
def test_a_reference_to_nothing_is_refused(sponsored: World, reference: int) -> None:
    arguments = plan_arguments(core(40), [(0, 9)], 50)
    plan = replace(arguments["plan"], program=(ProgramInput((reference,), (), ()),))
    assert sponsored.refused(
        sponsored.people[1], "publish_plan", **(arguments | {"plan": plan})
    ) is DatDotError.BAD_REFERENCE


def test_a_reference_to_another_kind_is_refused(sponsored: World) -> None:
    arguments = plan_arguments(core(40), [(0, 9)], 50)
    arguments["plan"] = replace(arguments["plan"], program=(ProgramInput((1,), (), ()),))
    assert sponsored.refused(sponsored.people[1], "publish_plan", **arguments) is DatDotError.WRONG_TYPE


@pytest.mark.parametrize("program", [(), (ProgramInput((), (), ()),)])
def test_a_plan_must_name_data(sponsored: World, program: tuple[ProgramInput, ...]) -> None:
    arguments = plan_arguments(core(40), [(0, 9)], 50)
    plan = replace(arguments["plan"], program=program)
    assert sponsored.refused(
        sponsored.people[1], "publish_plan", **(arguments | {"plan": plan})
    ) is DatDotError.BAD_REFERENCE


def test_too_many_ranges_or_contracts_are_refused() -> None:
    world = World(DatDotConfig(max_ranges_per_dataset=2, max_contracts_per_plan=3))
    world.join(1)
    for ranges in ([(0, 0), (2, 2), (4, 4)], [(0, 30)]):
        arguments = plan_arguments(core(40), ranges, 50, proofs=[sizes_proof(core(40), 0, 39)])
        assert world.refused(world.people[1], "publish_plan", **arguments) is DatDotError.LIMIT_EXCEEDED
    world.publish(world.people[1], [(0, 29)], 50)


@pytest.mark.parametrize("function", ["start_plan", "end_plan"])
def test_only_the_chain_itself_starts_and_ends_plans(sponsored: World, function: str) -> None:
    plan_id = sponsored.publish(sponsored.people[1], [(0, 9)], 60, from_=40)
    for person in (1, 2):
        (result,) = sponsored.block((sponsored.people[person], function, {"plan": plan_id}))
        assert str(result.error) == "bad origin"
    assert sponsored.plan(plan_id).state is PlanState.SCHEDULED
    assert sponsored.refused(Root(), function, plan=999) is DatDotError.MISSING_PLAN


def test_providers_that_ask_more_than_the_plan_pays_are_not_drawn(sponsored: World) -> None:
    dear = Prices(hosting=2_000_000, encoding=0, attesting=0, storage_check=0, performance_check=0)
    sponsored.staff(*range(2, 9), ask=dear)
    plan_id = sponsored.publish(sponsored.people[1], [(0, 9)], 90)
    sponsored.blocks(6)
    (contract_id,) = sponsored.plan(plan_id).contracts
    assert sponsored.contract(contract_id).state is ContractState.QUEUED
    sponsored.staff(*range(9, 12), roles=(Role.HOSTER,), ask=replace(dear, hosting=1_700_000))
    sponsored.work_for(lambda: sponsored.contract(contract_id).state is ContractState.HOSTED, limit=10)

