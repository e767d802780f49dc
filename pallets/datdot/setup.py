"""Amendments up to the moment at which they run: opening, waiting in line, the draw, booking, and trying again."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pallets.datdot import agenda, items, pool, selection, waiting
from pallets.datdot.events import AmendmentQueued, NewAmendment
from pallets.datdot.storage import Market
from pallets.datdot.types import (
    Amendment,
    AmendmentKind,
    AmendmentState,
    Contract,
    ContractState,
    Freeze,
    PlanState,
    Role,
)

SETUP_SUBJECT = b"dd/setup"
WAITING_STATES = frozenset({AmendmentState.INIT, AmendmentState.DRAWING, AmendmentState.QUEUED})
LIVE_STATES = WAITING_STATES | {AmendmentState.RUNNING}


def missing_positions(contract: Contract) -> tuple[int, ...]:
    """Positions of a contract that nobody hosts."""
    return tuple(number for number, position in enumerate(contract.positions) if position is None)


def has_live_amendment(market: Market, contract: Contract) -> bool:
    """Whether an amendment of the contract is still under way; there is at most one, the newest."""
    return bool(contract.amendments) and market.amendment(contract.amendments[-1]).state in LIVE_STATES


def repair(
    market: Market,
    contract_id: int,
    kind: AmendmentKind,
    *,
    pairs: Mapping[int, tuple[int | None, int | None]] | None = None,
    shunned: Sequence[int] = (),
    retries: int = 0,
) -> None:
    """Open an amendment for all positions that nobody hosts, unless one is under way or the plan does not run.

    `pairs` are an encoder and a hoster to keep, by position. Retry k waits 2^(k-1) blocks, and after `MaxRetries` it
    waits in line until the market has changed.
    """
    contract = market.contract(contract_id)
    positions = missing_positions(contract)
    running = market.plan(contract.plan).state is PlanState.RUNNING and contract.state is not ContractState.CLOSING
    if not running or not positions or has_live_amendment(market, contract):
        return
    known = pairs or {}
    parked = retries > market.config.max_retries
    amendment = Amendment(
        contract=contract_id,
        kind=kind,
        positions=positions,
        encoders=tuple(known.get(position, (None, None))[0] for position in positions),
        hosters=tuple(known.get(position, (None, None))[1] for position in positions),
        attestors=(None,) * market.config.attestors_per_contract,
        shunned=tuple(shunned),
        retries=0 if parked else retries,
        state=AmendmentState.QUEUED if parked else AmendmentState.INIT,
        created=market.now(),
        freeze=None,
        seed=None,
        deadline=None,
    )
    amendment_id = market.new_id(items.Amendment())
    market.amendment_by_id.put(amendment_id, amendment)
    _remember(market, contract_id, contract, amendment_id, parked)
    if parked:
        waiting.push(market, agenda.PARKED_LINE[kind], amendment_id, tried=True)
        market.deposit_event(AmendmentQueued(amendment_id, contract_id))
    elif retries:
        pause = backoff_blocks(retries - 1, market.config.max_retry_backoff_doublings)
        waiting.schedule(market, market.now() + pause, agenda.EnqueueAmendment(amendment_id))
    else:
        waiting.push(market, agenda.FRESH_LINE[kind], amendment_id)


def backoff_blocks(retries: int, most_doublings: int) -> int:
    """Pause in blocks before a retry when `retries` were made before it: 1, 2, 4, … 2^most_doublings."""
    return 1 << min(retries, most_doublings)


def enqueue(market: Market, amendment_id: int) -> None:
    """A retry has waited long enough: it stands in line."""
    amendment = market.amendment_by_id.get(amendment_id)
    if amendment is not None and amendment.state is AmendmentState.INIT:
        waiting.push(market, agenda.FRESH_LINE[amendment.kind], amendment_id)


def take_up(market: Market) -> None:
    """Freeze the draws of the amendments whose turn it is, at most `ContractActivationCap` in a block.

    One half of the turns is for fresh amendments, the other for parked ones, so that contracts which never find
    anybody cannot hold up new ones; what one half leaves over goes to the other.
    """
    budget = market.config.contract_activation_cap
    half = budget - budget // 2
    freeze = Freeze(market.randomness.freeze(), market.now())
    budget -= _serve(market, agenda.FRESH_ORDER, half, freeze)
    budget -= _serve(market, agenda.PARKED_ORDER, budget, freeze)
    _serve(market, agenda.FRESH_ORDER, budget, freeze)


def _serve(market: Market, lines: Sequence[agenda.Line], most: int, freeze: Freeze) -> int:
    """Freeze at most so many draws of these lines; returns how many turns it took."""
    taken = 0
    for line in lines:
        while taken < most and (amendment_id := waiting.pop(market, line)) is not None:
            taken += 1
            amendment = market.amendment_by_id.get(amendment_id)
            if amendment is not None and amendment.state in WAITING_STATES:
                market.amendment_by_id.put(
                    amendment_id, replace(amendment, state=AmendmentState.DRAWING, freeze=freeze)
                )
                waiting.push(market, agenda.Line.SETUP_DRAWS, amendment_id)
    return taken


def draw(market: Market) -> int:
    """Choose providers for frozen amendments whose randomness is complete, at most `ContractActivationCap`.

    Returns how many amendments were taken from the line.
    """
    for done in range(market.config.contract_activation_cap):
        amendment_id = waiting.peek(market, agenda.Line.SETUP_DRAWS)
        if amendment_id is None:
            return done
        amendment = market.amendment_by_id.get(amendment_id)
        if amendment is not None and amendment.state is AmendmentState.DRAWING:
            assert amendment.freeze is not None
            seed = market.randomness.seed(amendment.freeze.slot, SETUP_SUBJECT + amendment_id.to_bytes(8, "big"))
            if seed is None:
                return done
            _fill(market, amendment_id, amendment, seed)
        waiting.pop(market, agenda.Line.SETUP_DRAWS)
    return market.config.contract_activation_cap


def release_seats(
    market: Market, amendment_id: int, amendment: Amendment, *, keep: frozenset[int] = frozenset()
) -> None:
    """Give back the reservations of everybody in an amendment except of the users in `keep`."""
    for user_id in (*amendment.encoders, *amendment.hosters, *amendment.attestors):
        if user_id is not None and user_id not in keep:
            pool.release(market, user_id, amendment_id)


def supersede(market: Market, contract: Contract) -> None:
    """Stop the amendment of a contract that is under way, if there is one."""
    if not has_live_amendment(market, contract):
        return
    amendment_id = contract.amendments[-1]
    amendment = market.amendment(amendment_id)
    if amendment.state is AmendmentState.RUNNING:
        release_seats(market, amendment_id, amendment)
    market.amendment_by_id.put(amendment_id, replace(amendment, state=AmendmentState.SUPERSEDED))


def contract_state(contract: Contract, without_hosters: ContractState) -> ContractState:
    """The state that follows from a contract's positions; `without_hosters` when all of them are empty."""
    missing = len(missing_positions(contract))
    if missing == len(contract.positions):
        return without_hosters
    return ContractState.DEGRADED if missing else ContractState.HOSTED


def _fill(market: Market, amendment_id: int, amendment: Amendment, seed: bytes) -> None:
    """Book the chosen providers, or park the amendment without any penalty."""
    assert amendment.freeze is not None
    contract = market.contract(amendment.contract)
    chosen = selection.select(market, amendment, seed)
    if chosen is None:
        market.amendment_by_id.put(amendment_id, replace(amendment, state=AmendmentState.QUEUED, freeze=None))
        missed_somebody = market.capacity_gained.get() >= amendment.freeze.block
        waiting.push(market, agenda.PARKED_LINE[amendment.kind], amendment_id, tried=not missed_somebody)
        _set_state(market, amendment.contract, contract, ContractState.QUEUED)
        market.deposit_event(AmendmentQueued(amendment_id, amendment.contract))
        return
    seats = ((Role.ENCODER, chosen.encoders), (Role.HOSTER, chosen.hosters), (Role.ATTESTOR, chosen.attestors))
    for role, users in seats:
        storage_bytes = selection.working_bytes(market, contract, role)
        for user_id in users:
            pool.book(market, user_id, role, amendment_id, storage_bytes)
    deadline = market.now() + market.config.amendment_followup_delay
    running = replace(
        amendment,
        encoders=chosen.encoders,
        hosters=chosen.hosters,
        attestors=chosen.attestors,
        state=AmendmentState.RUNNING,
        seed=seed,
        deadline=deadline,
    )
    market.amendment_by_id.put(amendment_id, running)
    waiting.schedule(market, deadline + 1, agenda.TimeOutAmendment(amendment_id))
    _set_state(market, amendment.contract, contract, ContractState.SETTING_UP)
    market.deposit_event(NewAmendment(amendment_id, amendment.contract, amendment.kind))


def _remember(market: Market, contract_id: int, contract: Contract, amendment_id: int, parked: bool) -> None:
    """Add an amendment to a contract and forget the oldest one that no live position needs when there are too many."""
    kept = contract.amendments
    if len(kept) >= market.config.max_amendments_per_contract:
        needed = {position.amendment for position in contract.positions if position is not None}
        oldest = next((old for old in kept if old not in needed), None)
        if oldest is not None:
            market.amendment_by_id.remove(oldest)
            market.forget(oldest)
            kept = tuple(old for old in kept if old != oldest)
    contract = replace(contract, amendments=(*kept, amendment_id))
    _set_state(market, contract_id, contract, ContractState.QUEUED if parked else ContractState.SETTING_UP)


def _set_state(market: Market, contract_id: int, contract: Contract, without_hosters: ContractState) -> None:
    market.contract_by_id.put(contract_id, replace(contract, state=contract_state(contract, without_hosters)))
