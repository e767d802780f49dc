"""The life of plans, contracts, amendments and challenges, block by block.

Plan
    SCHEDULED  start_plan at `from`                     RUNNING    its contracts are set up
    both above end_plan at `until`                      CLOSING    every lane gets a closing challenge
    CLOSING    the last contract ended                  ENDED      the rest of the escrow is refunded

Contract
    PENDING    start_plan                               SETTING_UP
    SETTING_UP no free providers                        QUEUED     until the market changes; no penalty
    QUEUED     providers booked                         SETTING_UP
    SETTING_UP all positions reported stored            HOSTED
    SETTING_UP some positions reported stored           DEGRADED   the others are retried
    HOSTED     a hoster is evicted                      DEGRADED   a replacement is set up
    DEGRADED   all positions are hosted again           HOSTED
    DEGRADED   the last hoster is evicted               SETTING_UP everything anew
    any        end_plan                                 CLOSING
    CLOSING    all closing challenges settled           ENDED

Amendment (at most one of a contract is under way)
    INIT       its turn in the line                     DRAWING    pool frozen, waits for a round of randomness
    DRAWING    providers booked                         RUNNING    deadline = now + AmendmentFollowupDelay
    DRAWING    no providers fit                         QUEUED     back to DRAWING when the market has changed
    RUNNING    report, all positions stored             DONE
    RUNNING    report, some positions stored            DONE_PARTIAL  retry with new pairs for the others
    RUNNING    report, no position stored               FAILED        retry with new pairs
    RUNNING    deadline passed                          TIMED_OUT     retry with another attestor, same pairs
    any above  end_plan                                 SUPERSEDED

Storage challenge
    DRAWING    randomness complete                      OPEN       deadline = now + ResponseWindow (closing: twice)
    OPEN       every leaf shown                         PASSED     every lane is paid
    OPEN       deadline passed                          MISSED     lanes with missing leaves are not paid
    OPEN, DRAWING  no lane left to ask for              VOID
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pallets.datdot import agenda, hosting, proofs, rewards, setup, waiting
from pallets.datdot.components import NotStored, PositionResult, Stored
from pallets.datdot.events import (
    AmendmentTimedOut,
    DatDotError,
    NotStoredCode,
    PlanClosing,
    PlanStarted,
    SetupFailed,
)
from pallets.datdot.storage import Market
from pallets.datdot.types import (
    Amendment,
    AmendmentKind,
    AmendmentState,
    ContractState,
    PlanState,
    Position,
    Role,
)
from runtime.errors import ensure


@dataclass(frozen=True)
class BlockWork:
    """How much a block did before its extrinsics: tasks of the calendar, draws of providers, challenges opened."""

    tasks: int
    draws: int
    challenges: int


def run_block(market: Market) -> BlockWork:
    """What happens at the start of every block, before its extrinsics; each step is bounded by a constant."""
    _wake_parked(market)
    tasks = _run_calendar(market)
    draws = setup.draw(market)
    setup.take_up(market)
    return BlockWork(tasks, draws, proofs.open_ready(market))


def start_plan(market: Market, plan_id: int) -> None:
    """A plan's `from` has come. Does nothing unless it is scheduled; fails with TOO_EARLY before `from`.

    The escrow covers hosting from that block on, so that not even root may begin before it.
    """
    plan = market.plan(plan_id)
    ensure(market.now() >= plan.from_, DatDotError.TOO_EARLY)
    if plan.state is PlanState.SCHEDULED:
        market.plan_by_id.put(plan_id, replace(plan, state=PlanState.RUNNING))
        waiting.schedule(market, market.now(), agenda.StartContracts(plan_id, 0))
        market.deposit_event(PlanStarted(plan_id))


def end_plan(market: Market, plan_id: int) -> None:
    """A plan's `until` has come, or root ends it before. Does nothing unless it is scheduled or running."""
    plan = market.plan(plan_id)
    if plan.state in (PlanState.SCHEDULED, PlanState.RUNNING):
        until = min(plan.until, market.now())
        market.plan_by_id.put(plan_id, replace(plan, state=PlanState.CLOSING, until=until))
        waiting.schedule(market, market.now(), agenda.CloseContracts(plan_id, 0))
        market.deposit_event(PlanClosing(plan_id))


def accept_report(
    market: Market, reporter: int, amendment_id: int, amendment: Amendment, results: Sequence[PositionResult]
) -> None:
    """Carry out a checked report of a running amendment: good positions start and are paid, the others are retried."""
    stored = {result.position: result for result in results if isinstance(result, Stored)}
    failed = [position for position in amendment.positions if position not in stored]
    state = AmendmentState.DONE if not failed else AmendmentState.DONE_PARTIAL if stored else AmendmentState.FAILED
    market.amendment_by_id.put(amendment_id, replace(amendment, state=state))
    hosters = frozenset(amendment.hosters[amendment.positions.index(position)] or 0 for position in stored)
    setup.release_seats(market, amendment_id, amendment, keep=hosters)
    for position in sorted(stored):
        _start_position(market, reporter, amendment_id, amendment, stored[position])
    contract = market.contract(amendment.contract)
    contract = replace(contract, state=setup.contract_state(contract, ContractState.SETTING_UP))
    market.contract_by_id.put(amendment.contract, contract)
    if failed:
        codes = {result.position: result.code for result in results if isinstance(result, NotStored)}
        reasons = tuple((position, codes.get(position, NotStoredCode.NOT_REPORTED.value)) for position in failed)
        market.deposit_event(SetupFailed(amendment_id, amendment.contract, reasons))
        places = [amendment.positions.index(position) for position in failed]
        pairs = [user for place in places for user in (amendment.encoders[place], amendment.hosters[place])]
        shunned = tuple(user for user in pairs if user is not None)
        setup.repair(
            market, amendment.contract, AmendmentKind.RETRY, shunned=shunned, retries=amendment.retries + 1
        )
    else:
        setup.repair(market, amendment.contract, AmendmentKind.REPLACEMENT)


def time_out(market: Market, amendment_id: int) -> None:
    """No report came until the deadline: only the attestors are at fault, encoders and hosters keep their seats."""
    amendment = market.amendment_by_id.get(amendment_id)
    if amendment is None or amendment.state is not AmendmentState.RUNNING:
        return
    market.amendment_by_id.put(amendment_id, replace(amendment, state=AmendmentState.TIMED_OUT))
    setup.release_seats(market, amendment_id, amendment)
    attestors = tuple(user for user in amendment.attestors if user is not None)
    market.deposit_event(AmendmentTimedOut(amendment_id, amendment.contract, attestors))
    pairs = dict(zip(amendment.positions, zip(amendment.encoders, amendment.hosters, strict=True), strict=True))
    setup.repair(
        market,
        amendment.contract,
        AmendmentKind.RETRY,
        pairs=pairs,
        shunned=attestors,
        retries=amendment.retries + 1,
    )


def _start_position(
    market: Market, reporter: int, amendment_id: int, amendment: Amendment, result: Stored
) -> None:
    contract = market.contract(amendment.contract)
    prices = market.plan(contract.plan).prices
    place = amendment.positions.index(result.position)
    hoster, encoder = amendment.hosters[place], amendment.encoders[place]
    assert hoster is not None
    assert encoder is not None
    assert amendment.seed is not None
    position = Position(
        hoster=hoster,
        encoder=encoder,
        amendment=amendment_id,
        root=result.root,
        leaves=result.leaves,
        encoded_bytes=result.encoded_bytes,
        key_hash=result.key_hash,
        since=market.now(),
        misses=0,
        proven=False,
    )
    hosting.start_lane(market, amendment.contract, result.position, position, amendment.seed)
    attesting = contract.chunks * prices.attesting
    rewards.pay_setup(market, contract.plan, amendment.contract, reporter, Role.ATTESTOR, attesting)
    first_half = rewards.encoder_halves(contract.chunks, prices.encoding)[0]
    rewards.pay_setup(market, contract.plan, amendment.contract, encoder, Role.ENCODER, first_half)


def _wake_parked(market: Market) -> None:
    """Let parked amendments try again if somebody got free in the block before, and in any case now and then."""
    now = market.now()
    if market.capacity_gained.get() == now - 1 or now % market.config.queue_retry_delay == 0:
        waiting.wake(market)


def _run_calendar(market: Market) -> int:
    """Carry out what is due until `DuePerBlock` tasks are done, the contracts of a plan counted one by one."""
    done = 0
    while done < market.config.due_per_block and (task := waiting.next_due(market, market.now())) is not None:
        done += _carry_out(market, task)
    return done


def _carry_out(market: Market, task: agenda.Due) -> int:
    """Do one task; returns how many it counts for."""
    match task:
        case agenda.EnqueueAmendment(amendment_id):
            setup.enqueue(market, amendment_id)
        case agenda.TimeOutAmendment(amendment_id):
            time_out(market, amendment_id)
        case agenda.ChallengeHoster(hoster):
            proofs.request(market, hoster)
        case agenda.CloseChallenge(challenge_id):
            proofs.settle(market, challenge_id)
        case agenda.StartContracts(plan_id, first):
            return _start_contracts(market, plan_id, first)
        case agenda.CloseContracts(plan_id, first):
            return _close_contracts(market, plan_id, first)
    return 1


def _start_contracts(market: Market, plan_id: int, first: int) -> int:
    plan = market.plan(plan_id)
    if plan.state is not PlanState.RUNNING:
        return 1
    end = first + market.config.contract_activation_cap
    for contract_id in plan.contracts[first:end]:
        setup.repair(market, contract_id, AmendmentKind.SETUP)
    if end < len(plan.contracts):
        waiting.schedule(market, market.now() + 1, agenda.StartContracts(plan_id, end))
    return min(end, len(plan.contracts)) - first


def _close_contracts(market: Market, plan_id: int, first: int) -> int:
    plan = market.plan(plan_id)
    end = first + market.config.contract_activation_cap
    for contract_id in plan.contracts[first:end]:
        contract = market.contract(contract_id)
        setup.supersede(market, contract)
        market.contract_by_id.put(contract_id, replace(contract, state=ContractState.CLOSING))
        for number, position in enumerate(contract.positions):
            if position is not None:
                proofs.request_closing(market, contract_id, number, position)
        hosting.finish_contract(market, contract_id)
    if end < len(plan.contracts):
        waiting.schedule(market, market.now() + 1, agenda.CloseContracts(plan_id, end))
    return min(end, len(plan.contracts)) - first
