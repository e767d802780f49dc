"""Publishing a plan: checks in a fixed order, then contracts, escrow and the two dates."""

from collections.abc import Sequence
from dataclasses import dataclass

from pallets.datdot import contracts, items
from pallets.datdot.calls.references import References, check_conditions, resolve_all, store
from pallets.datdot.components import Components, PlanInput, ProgramInput
from pallets.datdot.events import DatDotError, NewContract, NewPlan
from pallets.datdot.rewards import default_prices, required_escrow
from pallets.datdot.storage import Market
from pallets.datdot.types import (
    PLAN_ESCROW,
    Contract,
    ContractState,
    Plan,
    PlanFunds,
    PlanState,
    ProgramEntry,
    Range,
)
from runtime.call import RuntimeCall
from runtime.crypto import blake2_256
from runtime.errors import ensure

START_DOMAIN = b"dd/start-plan"
END_DOMAIN = b"dd/end-plan"


@dataclass(frozen=True)
class _Set:
    """A contract to be: which program entry, which feed, which chunks."""

    entry: int
    feed: int
    ranges: tuple[Range, ...]


def publish_plan(market: Market, account: bytes, plan: PlanInput, components: Components, deposit: int) -> int:
    """Order hosting; returns the number of contracts.

    Checked in this order: user and funds, counts, references and proofs, ranges, times, escrow.
    """
    sponsor = market.caller(account)
    ensure(deposit <= market.balances.reducible(account, keep_alive=True), DatDotError.INSUFFICIENT_FUNDS)
    ensure(len(plan.program) > 0, DatDotError.BAD_REFERENCE)
    local = store(market, sponsor, components)
    program = tuple(_entry(market, entry, local) for entry in plan.program)
    sets = _cut(market, program)
    ensure(len(sets) > 0, DatDotError.BAD_RANGES)
    first_block = _start(market, plan)
    prices = default_prices(market.config) if plan.prices is None else plan.prices
    counts = [contracts.count_chunks(one.ranges) for one in sets]
    escrow = required_escrow(prices, counts, plan.until - first_block, market.config)
    ensure(deposit >= escrow.total, DatDotError.INSUFFICIENT_FUNDS)

    market.balances.hold(PLAN_ESCROW, account, deposit)
    plan_id = market.new_id(items.Plan())
    contract_ids = tuple(market.new_id(items.Contract()) for _ in sets)
    stored = Plan(sponsor, first_block, plan.until, program, prices, contract_ids, PlanState.SCHEDULED)
    market.plan_by_id.put(plan_id, stored)
    market.funds.put(plan_id, PlanFunds(deposit, escrow.setup + escrow.repair, len(sets)))
    market.deposit_event(NewPlan(plan_id, sponsor))
    for contract_id, one in zip(contract_ids, sets, strict=True):
        market.contract_by_id.put(contract_id, _contract(market, plan_id, one))
        market.deposit_event(NewContract(contract_id, plan_id))
    _schedule(market, START_DOMAIN, "start_plan", plan_id, first_block)
    _schedule(market, END_DOMAIN, "end_plan", plan_id, plan.until)
    return len(sets)


def _entry(market: Market, entry: ProgramInput, local: References) -> ProgramEntry:
    ensure(len(entry.datasets) > 0, DatDotError.BAD_REFERENCE)
    check_conditions(market, entry.regions, entry.performances)
    return ProgramEntry(
        datasets=resolve_all(market, entry.datasets, local.datasets, items.Dataset),
        regions=resolve_all(market, entry.regions, local.regions, items.Region),
        performances=resolve_all(market, entry.performances, local.performances, items.Performance),
    )


def _cut(market: Market, program: Sequence[ProgramEntry]) -> list[_Set]:
    """Contracts of all entries. Datasets of one feed in one entry are joined first, so no chunk is paid twice there.

    Nothing is cut beyond the number of contracts that a plan may have.
    """
    sets: list[_Set] = []
    set_size = market.config.contract_set_size
    for number, entry in enumerate(program):
        ranges_by_feed: dict[int, list[Range]] = {}
        for dataset_id in entry.datasets:
            dataset = market.item_by_id.get(dataset_id)
            assert isinstance(dataset, items.Dataset)
            ranges_by_feed.setdefault(dataset.value.feed, []).extend(dataset.value.ranges)
        for feed_id, ranges in ranges_by_feed.items():
            joined = contracts.normalise(ranges, _feed_length(market, feed_id))
            made = len(sets) + contracts.count_sets(joined, set_size)
            ensure(made <= market.config.max_contracts_per_plan, DatDotError.LIMIT_EXCEEDED)
            sets += [_Set(number, feed_id, cut) for cut in contracts.cut(joined, set_size)]
    return sets


def _start(market: Market, plan: PlanInput) -> int:
    """The block in which the plan starts; the current one has begun already, so it is the next at the earliest."""
    now = market.now()
    ensure(plan.from_ is None or plan.from_ >= now, DatDotError.BAD_TIMES)
    first_block = max(plan.from_ or 0, now + 1)
    ensure(plan.until > first_block, DatDotError.BAD_TIMES)
    return first_block


def _contract(market: Market, plan_id: int, one: _Set) -> Contract:
    return Contract(
        plan=plan_id,
        feed=one.feed,
        entry=one.entry,
        ranges=one.ranges,
        chunks=contracts.count_chunks(one.ranges),
        head_length=_feed_length(market, one.feed),
        positions=(None,) * market.config.hosters_per_contract,
        amendments=(),
        state=ContractState.PENDING,
    )


def _feed_length(market: Market, feed_id: int) -> int:
    feed = market.feed_by_id.get(feed_id)
    assert feed is not None
    return feed.head.length


def _schedule(market: Market, domain: bytes, function: str, plan_id: int, block: int) -> None:
    name = blake2_256(domain + plan_id.to_bytes(8, "big"))
    market.scheduler.add_task(block, RuntimeCall(market.name, function, {"plan": plan_id}), name=name)
