"""What somebody with a signed account may try against the market's money, its queue and its blocks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from hypercore.manifest import Manifest, Signer
from pallets.datdot import contracts, lifecycle, setup, waiting
from pallets.datdot.agenda import Line
from pallets.datdot.calls import plans
from pallets.datdot.components import Components, FeedInput, LeafEvidence, ProgramInput, Region, Resources
from pallets.datdot.config import DatDotConfig
from pallets.datdot.events import DatDotError, HostingStarted, NewStorageChallenge
from pallets.datdot.proofs import settle
from pallets.datdot.types import ChallengeState, ContractState, PlanState, Prices, Role
from runtime.call import RuntimeCall
from runtime.errors import ExhaustedError, ModuleError
from runtime.origin import Root
from runtime.state import Overlay
from tests.pallets.datdot.people import core, key_pair, offer_arguments, plan_arguments
from tests.pallets.datdot.world import World

FREE = Prices(0, 0, 0, 0, 0)
LAST_BLOCK = 2**32 - 1


@pytest.fixture
def asked() -> tuple[World, int, int]:
    """A market, an open challenge over the lanes of one hoster, and that hoster."""
    world = World(DatDotConfig(response_window=20))
    world.join(1)
    world.staff(*range(2, 9))
    world.publish(world.people[1], [(0, 9)], 2_000)
    world.work_for(lambda: len(world.seen(HostingStarted)) == 3, limit=8)
    while not world.seen(NewStorageChallenge):
        world.block()
    event = world.seen(NewStorageChallenge)[0]
    return world, event.challenge, event.hoster


def with_ended_lane(world: World, challenge_id: int, number: int) -> None:
    """Let check `number` of a challenge be about a lane that has ended since: its amendment is no longer the live one.

    Settling ends lanes within an open challenge only when a plan's closing challenge is answered faster than this one.
    """
    with world.runtime.bind(Overlay(world.state)) as overlay:
        challenge = world.market.challenge(challenge_id)
        ended = replace(challenge.checks[number], amendment=challenge.checks[number].amendment + 1_000)
        checks = (*challenge.checks[:number], ended, *challenge.checks[number + 1 :])
        world.market.storage_challenge_by_id.put(challenge_id, replace(challenge, checks=checks))
    world.state.apply(overlay.changes())


def submit(world: World, challenge_id: int, hoster: int, *evidence: LeafEvidence) -> object:
    arguments = {"challenge": challenge_id, "evidence": evidence}
    world.check = False
    (result,) = world.block((world.person(hoster), "submit_storage_challenge", arguments))
    return result.error.error if isinstance(result.error, ModuleError) else result.error


def test_junk_for_a_lane_that_has_ended_is_not_accepted_free_of_charge(asked: tuple[World, int, int]) -> None:
    world, challenge_id, hoster = asked
    good = world.evidence(challenge_id)
    with_ended_lane(world, challenge_id, 0)
    junk = LeafEvidence(0, bytes(1_024), (bytes(32),) * 64)
    assert submit(world, challenge_id, hoster, junk) is DatDotError.EXPIRED
    assert submit(world, challenge_id, hoster, junk, junk, good[1]) is DatDotError.ALREADY_REPORTED
    assert submit(world, challenge_id, hoster, junk, good[1]) is None
    assert submit(world, challenge_id, hoster, junk, good[2]) is DatDotError.ALREADY_REPORTED


def test_a_challenge_whose_lanes_have_all_ended_pays_nobody_and_the_next_one_settles(
    asked: tuple[World, int, int],
) -> None:
    world, challenge_id, hoster = asked
    for number in range(len(world.challenge(challenge_id).checks)):
        with_ended_lane(world, challenge_id, number)
    with world.runtime.bind(Overlay(world.state)):
        before = world.market.hosting.get(hoster)
        (lane,) = before.lanes
        position = world.market.contract(lane.contract).positions[lane.position]
        paid = world.balances.free(world.person(hoster).account)
        settle(world.market, challenge_id)
        assert world.market.challenge(challenge_id).state is ChallengeState.VOID
        assert world.market.contract(lane.contract).positions[lane.position] == position
        assert world.balances.free(world.person(hoster).account) == paid
        assert world.market.hosting.get(hoster).waiting


def test_root_cannot_start_a_plan_before_its_escrow_covers_it(world: World) -> None:
    world.join(1)
    plan_id = world.publish(world.people[1], [(0, 9)], 300, from_=200)
    assert world.refused(Root(), "start_plan", plan=plan_id) is DatDotError.TOO_EARLY
    assert world.plan(plan_id).state is PlanState.SCHEDULED
    world.blocks(200 - world.number)
    assert world.plan(plan_id).state is PlanState.RUNNING


def test_plans_that_end_in_the_last_block_of_all_are_refused_when_that_is_full() -> None:
    world = World(check=False)
    scheduler = world.market.scheduler
    task = RuntimeCall("DatDot", "end_plan", {"plan": 1})
    with world.runtime.bind(Overlay(world.state)):
        for _ in range(scheduler.config.max_scheduled_per_block):
            scheduler.add_task(LAST_BLOCK, task)
        with pytest.raises(ExhaustedError):
            scheduler.add_task(LAST_BLOCK, task)
        with pytest.raises(ExhaustedError):
            scheduler.add_task(LAST_BLOCK + 1, task)


def test_a_program_that_repeats_a_large_dataset_is_refused_before_it_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(DatDotConfig(max_contracts_per_plan=5))
    world.join(1)
    made = []

    def counted(ranges: Sequence[tuple[int, int]], set_size: int) -> list[tuple[tuple[int, int], ...]]:
        made.extend(sets := contracts.cut(ranges, set_size))
        return sets

    class Counting:
        normalise, count_sets, count_chunks = contracts.normalise, contracts.count_sets, contracts.count_chunks
        cut = staticmethod(counted)

    monkeypatch.setattr(plans, "contracts", Counting)
    arguments = plan_arguments(core(40), [(0, 39)], 300)
    arguments["plan"] = replace(arguments["plan"], program=arguments["plan"].program * 64)
    assert world.refused(world.people[1], "publish_plan", **arguments) is DatDotError.LIMIT_EXCEEDED
    assert len(made) <= 3 * 5


def test_the_weight_of_a_plan_grows_with_what_must_be_read() -> None:
    def weight(**changes: Any) -> int:
        plan = replace(arguments["plan"], program=(ProgramInput(**({"datasets": (-1,), "regions": (),
                                                                    "performances": ()} | changes)),))
        call = RuntimeCall("DatDot", "publish_plan", arguments | {"plan": plan})
        return int(world.runtime.dispatch_info(call).weight.ref_time)

    world = World()
    arguments = plan_arguments(core(40), [(0, 3), (5, 6)], 300)
    assert weight(regions=(5,) * 8) > weight()
    assert weight(datasets=(-1, -1)) > weight()
    assert weight(datasets=(9,) * 64) - weight(datasets=(9,) * 63) >= 256 * 10**6


def test_the_weight_of_a_feed_grows_with_its_signers() -> None:
    world = World()
    signers = [Signer(key_pair(f"signer {number}").public_key) for number in range(60)]
    many = Manifest.create(signers, quorum=60).encode() + bytes(60 * 66)

    def weight(function: str, **arguments: Any) -> int:
        return int(world.runtime.dispatch_info(RuntimeCall("DatDot", function, arguments)).weight.ref_time)

    key = bytes(32)
    microseconds = 10**6
    difference = weight("publish_feed", key=key, head_proof=many) - weight("publish_feed", key=key, head_proof=b"")
    assert difference >= 60 * 100 * microseconds
    plan = plan_arguments(core(40), [(0, 3)], 300)
    heavy = replace(plan["components"], feeds=(FeedInput(key, many),))
    light = replace(plan["components"], feeds=(FeedInput(key, b""),))
    assert (
        weight("publish_plan", **(plan | {"components": heavy}))
        - weight("publish_plan", **(plan | {"components": light}))
        >= 60 * 100 * microseconds
    )


@pytest.mark.parametrize("where", ["timetables", "regions", "performances"])
def test_a_form_names_no_more_conditions_than_a_draw_can_look_at(world: World, where: str) -> None:
    world.join(2)
    regions = tuple(Region(letter) for letter in "0123456789")
    components = Components(resources=(Resources(1, 1, 1),), regions=regions)
    conditions: dict[str, Any] = {where: (-1,) * 9}
    arguments = offer_arguments((Role.HOSTER,), 1, components=components, **conditions)
    assert world.refused(world.people[2], "register_for_work", **arguments) is DatDotError.LIMIT_EXCEEDED


@pytest.mark.parametrize("where", ["regions", "performances"])
def test_a_program_names_no_more_conditions_than_a_draw_can_look_at(world: World, where: str) -> None:
    world.join(1)
    arguments = plan_arguments(core(40), [(0, 9)], 300, regions=(Region("u"),))
    entry = replace(arguments["plan"].program[0], **{where: (-1,) * 9})
    arguments["plan"] = replace(arguments["plan"], program=(entry,))
    assert world.refused(world.people[1], "publish_plan", **arguments) is DatDotError.LIMIT_EXCEEDED


def test_parked_amendments_of_any_kind_leave_half_of_the_turns_to_fresh_ones(world: World) -> None:
    cap = world.config.contract_activation_cap
    with world.runtime.bind(Overlay(world.state)):
        market = world.market
        for number in range(1, 2 * cap + 1):
            waiting.push(market, Line.PARKED_RETRIES, number)
            waiting.push(market, Line.SETUPS, 10_000 + number)
        setup.take_up(market)
        fresh, parked = (market.line_bounds.get(line).head for line in (Line.SETUPS, Line.PARKED_RETRIES))
        assert (fresh, parked) == (cap // 2, cap // 2)


@pytest.mark.parametrize(("line", "other"), [(Line.PARKED_SETUPS, Line.SETUPS), (Line.SETUPS, Line.PARKED_SETUPS)])
def test_turns_that_nobody_of_the_other_half_wants_are_not_lost(world: World, line: Line, other: Line) -> None:
    cap = world.config.contract_activation_cap
    with world.runtime.bind(Overlay(world.state)):
        for number in range(1, 2 * cap + 1):
            waiting.push(world.market, line, number)
        waiting.push(world.market, other, 9_999)
        setup.take_up(world.market)
        assert world.market.line_bounds.get(line).head == cap - 1
        assert world.market.line_bounds.get(other).head == 1


def test_plans_that_end_together_close_a_bounded_number_of_contracts_in_a_block() -> None:
    world = World(DatDotConfig(contract_set_size=1, due_per_block=30, contract_activation_cap=20))
    world.join(1)
    until = 40
    for number in range(5):
        world.publish(world.people[1], [(0, 39)], until, feed=core(40, f"feed {number}"), prices=FREE)
    world.blocks(until - 1 - world.number)
    most = world.config.due_per_block + world.config.contract_activation_cap
    ended = 0
    for _ in range(40):
        world.block()
        now = sum(
            contract.state is ContractState.ENDED
            for _, contract in world.run(lambda: list(world.market.contract_by_id.items()))
        )
        assert now - ended < most
        ended = now
    assert ended == 5 * 40
    assert world.run(lambda: lifecycle.run_block(world.market).tasks) == 0
