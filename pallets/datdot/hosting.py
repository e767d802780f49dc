"""Live lanes: their beginning, their end, and the end of contracts and plans that follows from it."""

import hashlib
from dataclasses import replace

from pallets.datdot import agenda, pool, rewards, setup, waiting
from pallets.datdot.events import DropHosting, HostingStarted, PlanEnded
from pallets.datdot.storage import Market
from pallets.datdot.types import AmendmentKind, Contract, ContractState, Hosting, LaneRef, PlanState, Position

JITTER_DOMAIN = b"dd/jitter"


def start_lane(market: Market, contract_id: int, number: int, position: Position, seed: bytes) -> None:
    """Put a sealed and stored lane in place; its hoster is asked for proofs from now on."""
    _put_position(market, contract_id, number, position)
    pool.shrink(market, position.hoster, position.amendment, position.encoded_bytes)
    lane = LaneRef(contract_id, number, position.amendment, position.encoded_bytes, position.since)
    state = market.hosting.get(position.hoster)
    lanes = tuple(sorted((*state.lanes, lane), key=lambda lane: (lane.contract, lane.position)))
    state = replace(state, lanes=lanes)
    if state.challenge is None and not state.waiting:
        state = schedule_challenge(market, position.hoster, state, seed)
    market.hosting.put(position.hoster, state)
    market.deposit_event(HostingStarted(contract_id, position.hoster, position.amendment))


def schedule_challenge(market: Market, hoster: int, state: Hosting, seed: bytes) -> Hosting:
    """Put the next challenge of a hoster into the calendar, `ChallengeDelay` and a jitter from `seed` away."""
    delay = market.config.challenge_delay
    digest = hashlib.blake2b(JITTER_DOMAIN + seed + hoster.to_bytes(8, "big"), digest_size=32).digest()
    block = market.now() + delay + int.from_bytes(digest, "big") % delay
    waiting.schedule(market, block, agenda.ChallengeHoster(hoster))
    return replace(state, waiting=True)


def withdraw_lane(state: Hosting, contract_id: int, number: int) -> Hosting:
    """Take a lane, and what is owed of it, out of a hoster's regular challenges."""
    place = (contract_id, number)
    return replace(
        state,
        lanes=tuple(lane for lane in state.lanes if (lane.contract, lane.position) != place),
        owed=tuple(check for check in state.owed if (check.contract, check.position) != place),
    )


def evict(market: Market, contract_id: int, number: int) -> None:
    """Take a lane from a hoster that failed too often, and have the position set up anew."""
    position = market.contract(contract_id).positions[number]
    assert position is not None
    end_lane(market, contract_id, number)
    contract = market.contract(contract_id)
    state = setup.contract_state(contract, ContractState.SETTING_UP)
    market.contract_by_id.put(contract_id, replace(contract, state=state))
    kind = AmendmentKind.REPLACEMENT if state is ContractState.DEGRADED else AmendmentKind.SETUP
    setup.repair(market, contract_id, kind, shunned=(position.hoster,))


def end_lane(market: Market, contract_id: int, number: int) -> None:
    """Free a position and its hoster; a closing contract without lanes is over."""
    contract = market.contract(contract_id)
    position = contract.positions[number]
    assert position is not None
    _put_position(market, contract_id, number, None)
    market.hosting.put(position.hoster, withdraw_lane(market.hosting.get(position.hoster), contract_id, number))
    pool.release(market, position.hoster, position.amendment)
    market.deposit_event(DropHosting(position.amendment, contract_id, position.hoster))
    finish_contract(market, contract_id)


def finish_contract(market: Market, contract_id: int) -> None:
    """End a closing contract that has no lanes left, and with the last contract the plan: the rest is refunded."""
    contract = market.contract(contract_id)
    if contract.state is not ContractState.CLOSING or _has_lanes(contract):
        return
    market.contract_by_id.put(contract_id, replace(contract, state=ContractState.ENDED))
    funds = market.funds_of(contract.plan)
    market.funds.put(contract.plan, replace(funds, open_contracts=funds.open_contracts - 1))
    if funds.open_contracts == 1:
        rewards.refund(market, contract.plan)
        market.plan_by_id.put(contract.plan, replace(market.plan(contract.plan), state=PlanState.ENDED))
        market.deposit_event(PlanEnded(contract.plan))


def _has_lanes(contract: Contract) -> bool:
    return any(position is not None for position in contract.positions)


def _put_position(market: Market, contract_id: int, number: int, position: Position | None) -> None:
    contract = market.contract(contract_id)
    positions = tuple(position if at == number else other for at, other in enumerate(contract.positions))
    market.contract_by_id.put(contract_id, replace(contract, positions=positions))
