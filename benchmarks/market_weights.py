"""What the calls of the hosting market take: `datdot bench pallets --scenarios benchmarks.market_weights:scenarios`.

The market that is measured is small, but every block's work is flat in its size: nothing here scans what grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from node.bench.ground import Ground
from node.bench.measure import BenchmarkFailed, Sample, Scenario
from pallets.datdot.components import Components, Resources, Timetable
from pallets.datdot.config import DatDotConfig
from pallets.datdot.events import HostingStarted, NewAmendment, NewStorageChallenge
from pallets.datdot.types import Role
from runtime.call import RuntimeCall
from runtime.origin import Root, Signed
from tests.pallets.datdot.people import GIB, Person, core, offer_arguments, plan_arguments
from tests.pallets.datdot.world import World

PROVIDERS = tuple(range(2, 14))
MOST_CONTRACTS = 30
MOST_CONDITIONS = DatDotConfig().max_conditions


def scenarios(ground: Ground) -> Iterator[Scenario]:
    """Every call of DatDot, and a block in which the market has nothing to do."""
    yield Scenario("DatDot", "NEW_USER", lambda _: new_user())
    yield Scenario("DatDot", "REGISTER_FOR_WORK", register, "COMPONENT", (1, MOST_CONDITIONS))
    yield Scenario("DatDot", "PUBLISH_FEED", lambda _: publish_feed())
    yield Scenario("DatDot", "PUBLISH_PLAN", publish_plan, "CONTRACT", (1, MOST_CONTRACTS))
    yield Scenario("DatDot", "AMENDMENT_REPORT", lambda _: report())
    yield Scenario("DatDot", "SUBMIT_STORAGE_CHALLENGE", answer, "LEAF", (1, 6))
    yield Scenario("DatDot", "START_PLAN", lambda _: plan_date("start_plan"))
    yield Scenario("DatDot", "END_PLAN", lambda _: plan_date("end_plan"))
    yield Scenario("DatDot", "ON_INITIALIZE", lambda _: idle_block())


def new_market() -> World:
    """A market of its own with a sponsor and providers."""
    world = World(DatDotConfig(response_window=20), check=False)
    world.join(1)
    world.staff(*PROVIDERS)
    return world


staffed = cache(new_market)


@cache
def setting_up() -> World:
    """The same, in the block in which providers were drawn."""
    world = new_market()
    world.publish(world.people[1], [(0, 9)], world.number + 300)
    while not world.seen(NewAmendment):
        world.block()
    return world


@cache
def challenged() -> World:
    """A market that hosts, with an open challenge."""
    world = new_market()
    world.publish(world.people[1], [(0, 9)], world.number + 300)
    world.work_for(lambda: len(world.seen(HostingStarted)) == 3, limit=8)
    while not world.seen(NewStorageChallenge):
        world.block()
    return world


def sample(world: World, who: Person | Root, function: str, arguments: dict[str, Any]) -> Sample:
    """One call of the market over the latest state."""
    call = RuntimeCall("DatDot", function, arguments)
    origin = who if isinstance(who, Root) else Signed(who.account)

    def work() -> None:
        result = world.runtime.dispatch(call, origin)
        if result.error is not None:
            raise BenchmarkFailed(str(result.error))

    return Sample(world.runtime, world.state, work)


def new_user() -> Sample:
    """Somebody joins."""
    world = staffed()
    return sample(world, *world.joining(world.people[30]))


def register(timetables: int) -> Sample:
    """A provider makes a new offer with so many new timetables."""
    world = staffed()
    new = tuple(Timetable(number, 10, 100, None) for number in range(timetables))
    references = tuple(-number - 1 for number in range(timetables))
    given = Components(timetables=new, resources=(Resources(GIB, 10**7, 10**7),))
    arguments = offer_arguments(tuple(Role), 8, timetables=references, components=given)
    return sample(world, world.people[PROVIDERS[0]], "register_for_work", arguments)


def publish_feed() -> Sample:
    """A feed with one signer."""
    world = staffed()
    arguments = plan_arguments(core(40, "another"), [(0, 9)], world.number + 300)
    (feed,) = arguments["components"].feeds
    return sample(world, world.people[1], "publish_feed", {"key": feed.key, "head_proof": feed.head_proof})


def publish_plan(contracts: int) -> Sample:
    """A plan of so many contracts over a new feed."""
    world = staffed()
    feed = core(10 * MOST_CONTRACTS, "long")
    arguments = plan_arguments(feed, [(0, 10 * contracts - 1)], world.number + 300)
    return sample(world, world.people[1], "publish_plan", arguments)


def report() -> Sample:
    """An attestor reports three stored positions."""
    world = setting_up()
    (first, *_) = world.seen(NewAmendment)
    attestor = world.amendment(first.amendment).attestors[0]
    if attestor is None:
        raise BenchmarkFailed("the amendment has no attestor")
    return sample(world, world.person(attestor), "amendment_report", world.report(first.amendment))


def answer(leaves: int) -> Sample:
    """A hoster answers a part of a challenge."""
    world = challenged()
    opened = world.seen(NewStorageChallenge)[0]
    evidence = world.evidence(opened.challenge)[:leaves]
    if len(evidence) < leaves:
        raise BenchmarkFailed(f"the challenge has {len(evidence)} checks, {leaves} are wanted")
    arguments = {"challenge": opened.challenge, "evidence": evidence}
    return sample(world, world.person(opened.hoster), "submit_storage_challenge", arguments)


def plan_date(function: str) -> Sample:
    """A plan starts or ends; its contracts follow in later blocks."""
    world = challenged()
    plan = world.contract(world.seen(HostingStarted)[0].contract).plan
    return sample(world, Root(), function, {"plan": plan})


def idle_block() -> Sample:
    """A block in which nothing is due."""
    world = staffed()
    return Sample(world.runtime, world.state, lambda: world.market.on_initialize(world.number + 1))
