"""What is true of the market's state after every block; each function raises InvariantBroken with what it found.

M1  Holds: every sponsor holds exactly the escrows of its plans (with the rule of balances: nothing is minted).
M2  Solvency: a plan's escrow covers all hosting since the last settlement and the setup budget; neither is negative.
M3  Lanes: hosters' lane lists are exactly the live positions that no closing challenge has taken over.
M4  Settlement: `since` of a lane is never in the future nor after the plan's end; misses are below the limit.
M5  Bookings: slots used and storage set aside are the sums of the bookings, within capacity and offer.
M6  Bookings belong to running amendments or live lanes, nothing else; an ended plan has none.
M7  Pools: numbered without gaps; everybody with a free slot is in, nobody else, each at the seat its record names.
M8  States of contracts follow from their positions; at most the newest amendment of a contract is under way.
M9  Lines and calendar: entries stand exactly between first and last; nothing due is left behind the cursor.
M10 Lookups of users, feeds and components point back to what they name.
"""

from collections import defaultdict

from pallets.datdot import items, setup
from pallets.datdot.agenda import Line
from pallets.datdot.storage import Market
from pallets.datdot.types import (
    PLAN_ESCROW,
    AmendmentState,
    Contract,
    ContractState,
    LaneRef,
    PlanState,
    Role,
)
from runtime.errors import InvariantBroken


def check(market: Market) -> None:
    """Check everything."""
    _check_money(market)
    lanes = _check_contracts(market)
    _check_hosting(market, lanes)
    _check_bookings(market, lanes)
    _check_pools(market)
    _check_waiting(market)
    _check_lookups(market)


def _require(holds: bool, name: str, what: str) -> None:
    if not holds:
        raise InvariantBroken(f"DatDot {name}: {what}")


def _check_money(market: Market) -> None:
    owed: dict[int, int] = defaultdict(int)
    for contract_id, contract in market.contract_by_id.items():
        plan = market.plan(contract.plan)
        until = min(market.now(), plan.until)
        for position in contract.positions:
            if position is not None:
                owed[contract.plan] += contract.chunks * plan.prices.hosting * (until - position.since)
                where = f"contract {contract_id} since {position.since}, now {until}"
                _require(position.since <= until, "M4", where)
                _require(position.misses < market.config.evict_after_misses, "M4", f"contract {contract_id} misses")
    held: dict[int, int] = defaultdict(int)
    for plan_id, plan in market.plan_by_id.items():
        funds = market.funds.get(plan_id)
        _require((funds is None) == (plan.state is PlanState.ENDED), "M1", f"plan {plan_id} is {plan.state.name}")
        if funds is not None:
            held[plan.sponsor] += funds.escrow
            needed = owed[plan_id] + funds.setup_budget
            _require(funds.escrow >= needed, "M2", f"plan {plan_id}: escrow {funds.escrow}, needs {needed}")
    for user_id, user in market.user_by_id.items():
        amount = market.balances.held(PLAN_ESCROW, user.account)
        _require(amount == held[user_id], "M1", f"user {user_id} holds {amount}, its plans {held[user_id]}")


def _check_contracts(market: Market) -> dict[int, list[LaneRef]]:
    """Check states; returns the live lanes by hoster."""
    lanes: dict[int, list[LaneRef]] = defaultdict(list)
    for contract_id, contract in market.contract_by_id.items():
        _require(_state_fits(contract), "M8", f"contract {contract_id} is {contract.state.name}")
        for amendment_id in contract.amendments[:-1]:
            state = market.amendment(amendment_id).state
            _require(state not in setup.LIVE_STATES, "M8", f"amendment {amendment_id} is {state.name}, not the newest")
        hosters = [position.hoster for position in contract.positions if position is not None]
        _require(len(set(hosters)) == len(hosters), "M8", f"contract {contract_id} has a hoster twice")
        for number, position in enumerate(contract.positions):
            if position is not None:
                lane = LaneRef(contract_id, number, position.amendment, position.encoded_bytes, 0)
                lanes[position.hoster].append(lane)
    return lanes


def _state_fits(contract: Contract) -> bool:
    missing = len(setup.missing_positions(contract))
    empty = missing == len(contract.positions)
    return {
        ContractState.PENDING: empty and not contract.amendments,
        ContractState.QUEUED: empty,
        ContractState.SETTING_UP: empty,
        ContractState.HOSTED: missing == 0,
        ContractState.DEGRADED: missing > 0 and not empty,
        ContractState.CLOSING: not empty,
        ContractState.ENDED: empty,
    }[contract.state]


def _check_hosting(market: Market, lanes: dict[int, list[LaneRef]]) -> None:
    seen: dict[int, list[LaneRef]] = {}
    for hoster, state in market.hosting.items():
        closing = [market.challenge(challenge_id).closing for challenge_id in state.closing]
        listed = [*state.lanes, *(lane for lane in closing if lane is not None)]
        seen[hoster] = sorted((_unstarted(lane) for lane in listed), key=_place)
        places = {(lane.contract, lane.position) for lane in state.lanes}
        owed = {(check.contract, check.position) for check in state.owed}
        _require(owed <= places, "M3", f"hoster {hoster} owes leaves of lanes that it does not have")
        asked = state.waiting or state.challenge is not None
        _require(asked or not state.lanes, "M3", f"hoster {hoster} is never asked")
    expected = {hoster: sorted(found, key=_place) for hoster, found in lanes.items()}
    _require({hoster: found for hoster, found in seen.items() if found} == expected, "M3", "lanes differ")


def _unstarted(lane: LaneRef) -> LaneRef:
    return LaneRef(lane.contract, lane.position, lane.amendment, lane.encoded_bytes, 0)


def _place(lane: LaneRef) -> tuple[int, int]:
    return lane.contract, lane.position


def _check_bookings(market: Market, lanes: dict[int, list[LaneRef]]) -> None:
    expected = {(hoster, lane.amendment) for hoster, found in lanes.items() for lane in found}
    for amendment_id, amendment in market.amendment_by_id.items():
        if amendment.state is AmendmentState.RUNNING:
            seats = (*amendment.encoders, *amendment.hosters, *amendment.attestors)
            _require(None not in seats and len(set(seats)) == len(seats), "M6", f"amendment {amendment_id} seats")
            expected |= {(user_id, amendment_id) for user_id in seats if user_id is not None}
    used: dict[tuple[Role, int], int] = defaultdict(int)
    found = set()
    for user_id, bookings in market.bookings.items():
        for task in bookings.tasks:
            used[task.role, user_id] += 1
            found.add((user_id, task.amendment))
        _require(bookings.storage == sum(task.storage for task in bookings.tasks), "M5", f"user {user_id} storage")
        _require(bookings.storage <= market.user(user_id).storage, "M5", f"user {user_id} is overbooked")
    _require(found == expected, "M6", f"bookings {found} instead of {expected}")
    for (role, user_id), data in market.roles.items():
        _require(data.used == used.pop((role, user_id), 0) <= data.capacity, "M5", f"user {user_id} as {role.name}")
    _require(not used, "M5", "a booking without a role")


def _check_pools(market: Market) -> None:
    sizes: dict[Role, int] = defaultdict(int)
    for (role, seat), entry in market.pool.items():
        sizes[role] += 1
        data = market.roles.get(role, entry.user)
        _require(data is not None and data.seat == seat, "M7", f"seat {seat} of {role.name}")
        _require(seat < market.pool_size.get(role), "M7", f"seat {seat} of {role.name} lies beyond the pool")
    for role in Role:
        _require(market.pool_size.get(role) == sizes[role], "M7", f"size of the pool of {role.name}")
    for (role, user_id), data in market.roles.items():
        _require((data.seat is not None) == (data.used < data.capacity), "M7", f"user {user_id} as {role.name}")


def _check_waiting(market: Market) -> None:
    for line in Line:
        bounds = market.line_bounds.get(line)
        numbers = [number for number, _ in market.line.items_under(line)]
        _require(sorted(numbers) == list(range(bounds.head, bounds.tail)), "M9", f"line {line.name}")
        _require(bounds.tries <= bounds.tail - bounds.head, "M9", f"tries of line {line.name}")
    cursor = market.due_cursor.get()
    for (block, number), _ in market.due.items():
        _require((block, number) >= cursor, "M9", f"task {number} of block {block} is behind the calendar's cursor")
        _require(number < market.due_count.get(block), "M9", f"task {number} of block {block} is not counted")


def _check_lookups(market: Market) -> None:
    for user_id, user in market.user_by_id.items():
        same = (
            market.user_id_by_account.get(user.account),
            market.user_id_by_noise_key.get(user.noise_key),
            market.user_id_by_signing_key.get(user.signing_key),
        )
        _require(same == (user_id,) * 3, "M10", f"lookups of user {user_id}")
    for feed_id, feed in market.feed_by_id.items():
        _require(market.feed_by_key.get(feed.key) == feed_id, "M10", f"lookup of feed {feed_id}")
    components = {component_id for _, component_id in market.component_by_hash.items()}
    for item_id, item in market.item_by_id.items():
        _require((item_id in components) == isinstance(item, items.Component), "M10", f"lookup of component {item_id}")
        _require(item_id < market.next_item_id.get(), "M10", f"id {item_id} was never given out")
