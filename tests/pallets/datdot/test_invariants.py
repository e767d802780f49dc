"""Every invariant notices the damage that it is there for."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from pallets.datdot import agenda, waiting
from pallets.datdot.agenda import Line
from pallets.datdot.events import HostingStarted
from pallets.datdot.pallet import DatDot
from pallets.datdot.types import AmendmentState, Bookings, Check, ContractState, LaneRef, PoolEntry, Role
from runtime.errors import InvariantBroken
from runtime.state import Overlay
from tests.pallets.datdot.world import World


def _first_contract(market: DatDot) -> int:
    return next(contract_id for contract_id, _ in market.contract_by_id.items())


def _first_plan(market: DatDot) -> int:
    return next(plan_id for plan_id, _ in market.plan_by_id.items())


def _hoster(market: DatDot) -> int:
    return next(hoster for hoster, state in market.hosting.items() if state.lanes)


def _escrow_too_high(market: DatDot) -> None:
    funds = market.funds_of(_first_plan(market))
    market.funds.put(_first_plan(market), replace(funds, escrow=funds.escrow + 1))


def _escrow_gone(market: DatDot) -> None:
    market.funds.remove(_first_plan(market))


def _insolvent(market: DatDot) -> None:
    funds = market.funds_of(_first_plan(market))
    market.funds.put(_first_plan(market), replace(funds, setup_budget=funds.escrow + 1))


def _settled_in_the_future(market: DatDot) -> None:
    _change_position(market, since=10**6)


def _too_many_misses(market: DatDot) -> None:
    _change_position(market, misses=3)


def _unknown_lane(market: DatDot) -> None:
    lane = LaneRef(_first_contract(market), 0, 1, 1, 1)
    market.hosting.put(1, replace(market.hosting.get(1), lanes=(lane,), waiting=True))


def _lost_lane(market: DatDot) -> None:
    hoster = _hoster(market)
    market.hosting.put(hoster, replace(market.hosting.get(hoster), lanes=()))


def _never_asked(market: DatDot) -> None:
    hoster = _hoster(market)
    market.hosting.put(hoster, replace(market.hosting.get(hoster), waiting=False, challenge=None))


def _owes_a_strangers_leaf(market: DatDot) -> None:
    hoster = _hoster(market)
    market.hosting.put(hoster, replace(market.hosting.get(hoster), owed=(Check(99, 0, 1, 1),)))


def _leaked_slot(market: DatDot) -> None:
    (role, user_id), data = next(iter(market.roles.items()))
    market.roles.put(role, user_id, replace(data, used=data.used + 1))


def _leaked_storage(market: DatDot) -> None:
    user_id, bookings = next(iter(market.bookings.items()))
    market.bookings.put(user_id, replace(bookings, storage=bookings.storage + 1))


def _forgotten_booking(market: DatDot) -> None:
    user_id = _hoster(market)
    market.bookings.put(user_id, Bookings(0, ()))


def _overbooked(market: DatDot) -> None:
    user_id = _hoster(market)
    market.user_by_id.put(user_id, replace(market.user(user_id), storage=1))


def _gap_in_the_pool(market: DatDot) -> None:
    market.pool.remove(Role.HOSTER, 0)


def _twice_in_the_pool(market: DatDot) -> None:
    entry = market.pool.get(Role.HOSTER, 0)
    assert entry is not None
    market.pool.put(Role.HOSTER, market.pool_size.get(Role.HOSTER), PoolEntry(entry.user, 1))


def _wrong_state(market: DatDot) -> None:
    contract_id = _first_contract(market)
    market.contract_by_id.put(contract_id, replace(market.contract(contract_id), state=ContractState.DEGRADED))


def _same_hoster_twice(market: DatDot) -> None:
    contract = market.contract(_first_contract(market))
    positions = (contract.positions[0], contract.positions[0], contract.positions[2])
    market.contract_by_id.put(_first_contract(market), replace(contract, positions=positions))


def _running_without_bookings(market: DatDot) -> None:
    amendment_id, amendment = next(iter(market.amendment_by_id.items()))
    market.amendment_by_id.put(amendment_id, replace(amendment, state=AmendmentState.RUNNING))


def _hole_in_a_line(market: DatDot) -> None:
    waiting.push(market, Line.RETRIES, 1)
    waiting.push(market, Line.RETRIES, 2)
    market.line.remove(Line.RETRIES, market.line_bounds.get(Line.RETRIES).head)


def _forgotten_task(market: DatDot) -> None:
    market.due.put(1, 0, agenda.ChallengeHoster(1))


def _uncounted_task(market: DatDot) -> None:
    market.due.put(10**6, 0, agenda.ChallengeHoster(1))


def _wrong_key_lookup(market: DatDot) -> None:
    market.user_id_by_noise_key.put(market.user(1).noise_key, 2)


def _wrong_feed_lookup(market: DatDot) -> None:
    _, feed = next(iter(market.feed_by_id.items()))
    market.feed_by_key.remove(feed.key)


def _unhashed_component(market: DatDot) -> None:
    digest, _ = next(iter(market.component_by_hash.items()))
    market.component_by_hash.remove(digest)


def _id_of_the_future(market: DatDot) -> None:
    market.next_item_id.put(2)


DAMAGES = [
    ("M1", _escrow_too_high),
    ("M1", _escrow_gone),
    ("M2", _insolvent),
    ("M4", _settled_in_the_future),
    ("M4", _too_many_misses),
    ("M3", _unknown_lane),
    ("M3", _lost_lane),
    ("M3", _never_asked),
    ("M3", _owes_a_strangers_leaf),
    ("M5", _leaked_slot),
    ("M5", _leaked_storage),
    ("M6", _forgotten_booking),
    ("M5", _overbooked),
    ("M7", _gap_in_the_pool),
    ("M7", _twice_in_the_pool),
    ("M8", _wrong_state),
    ("M8", _same_hoster_twice),
    ("M6", _running_without_bookings),
    ("M9", _hole_in_a_line),
    ("M9", _forgotten_task),
    ("M9", _uncounted_task),
    ("M10", _wrong_key_lookup),
    ("M10", _wrong_feed_lookup),
    ("M10", _unhashed_component),
    ("M10", _id_of_the_future),
]


def _change_position(market: DatDot, **change: int) -> None:
    contract_id = _first_contract(market)
    contract = market.contract(contract_id)
    position = contract.positions[0]
    assert position is not None
    positions = (replace(position, **change), *contract.positions[1:])  # type: ignore[arg-type]
    market.contract_by_id.put(contract_id, replace(contract, positions=positions))


@pytest.fixture(scope="module")
def healthy() -> World:
    """A market with a hosted contract."""
    world = World()
    world.join(1)
    world.staff(*range(2, 11))
    world.publish(world.people[1], [(0, 9)], 200)
    world.work_for(lambda: len(world.seen(HostingStarted)) == 3, limit=8)
    world.work_until(world.number + 12)
    return world


@pytest.mark.parametrize(("name", "damage"), DAMAGES, ids=[damage.__name__[1:] for _, damage in DAMAGES])
def test_damage_is_noticed(healthy: World, name: str, damage: Callable[[DatDot], None]) -> None:
    with healthy.runtime.bind(Overlay(healthy.state)):
        healthy.market.try_state()
        damage(healthy.market)
        with pytest.raises(InvariantBroken, match=f"DatDot {name}:"):
            healthy.market.try_state()
