"""The scheduler: what is due runs as root, by priority, within the block's weight; the rest follows."""

from __future__ import annotations

from typing import Any

import pytest

from pallets.scheduler import (
    PLACEMENT_BLOCKS,
    AgendaIncomplete,
    Canceled,
    Dispatched,
    PeriodicFailed,
    PermanentlyOverweight,
    RetryCancelled,
    RetryFailed,
    RetrySet,
    Scheduled,
    Scheduler,
    SchedulerConfig,
    SchedulerError,
    Task,
)
from pallets.weights import scheduler as weights
from runtime.call import RuntimeCall
from runtime.errors import DispatchError, InvariantBroken, Module, ModuleErrorValue, OriginRefused
from runtime.events import Event, Initialization
from runtime.transition import ExecutedBlock
from runtime.types import Err, Ok
from runtime.weights import Weight
from tests.pallets.chainfiles import account
from tests.pallets.harness import Chain, Outcome, address, transfer

NAME = b"\x01" * 32
ROOT_CALL = RuntimeCall("Balances", "force_transfer", {"source": address("Eve"), "dest": address("Dave"), "value": 1})
FAILING = transfer(account("Eve"), 1)


def scheduler(chain: Chain) -> Scheduler:
    pallet = chain.runtime.pallet("Scheduler")
    assert isinstance(pallet, Scheduler)
    return pallet


def as_root(chain: Chain, function: str, **arguments: Any) -> Outcome:
    return chain.sudo(RuntimeCall("Scheduler", function, arguments))


def schedule(chain: Chain, when: int, call: RuntimeCall = ROOT_CALL, *, priority: int = 128) -> None:
    as_root(chain, "schedule", when=when, maybe_periodic=None, priority=priority, call=call)


def failure(outcome: Outcome) -> object:
    return outcome.events[-1].sudo_result.error  # type: ignore[attr-defined]


def error(member: SchedulerError) -> Module:
    return Module(ModuleErrorValue(9, bytes([list(SchedulerError).index(member), 0, 0, 0])))


def hook_events(executed: ExecutedBlock, kind: type[Event] = Dispatched) -> list[Any]:
    return [
        record.event
        for record in executed.events
        if isinstance(record.phase, Initialization) and isinstance(record.event, kind)
    ]


def limited(chain: Chain, tasks: int) -> None:
    """Give the scheduler weight for a number of ROOT_CALL tasks in a block."""
    pallet = scheduler(chain)
    each = chain.runtime.dispatch_info(ROOT_CALL).weight.ref_time + weights.ON_INITIALIZE_PER_TASK.ref_time
    pallet.config = SchedulerConfig(
        maximum_weight=Weight(weights.ON_INITIALIZE.ref_time + tasks * each, 2**64 - 1)
    )


def test_a_task_runs_once_as_root_in_its_block(chain: Chain) -> None:
    schedule(chain, 3)
    assert hook_events(chain.block()) == []
    assert hook_events(chain.block()) == [Dispatched((3, 0), None, Ok(None))]
    assert hook_events(chain.block()) == []


def test_after_n_blocks_means_block_now_plus_n_plus_one(chain: Chain) -> None:
    outcome = as_root(chain, "schedule_after", after=0, maybe_periodic=None, priority=1, call=ROOT_CALL)
    assert Scheduled(2, 0) in outcome.events
    outcome = as_root(chain, "schedule_named_after", id=NAME, after=3, maybe_periodic=None, priority=1, call=ROOT_CALL)
    assert Scheduled(6, 0) in outcome.events


def test_tasks_of_a_block_run_by_priority_then_by_place(chain: Chain) -> None:
    for priority in (200, 1, 200, 0):
        schedule(chain, 9, priority=priority)
    chain.blocks(4)
    assert [event.task for event in hook_events(chain.block())] == [(9, 3), (9, 1), (9, 0), (9, 2)]


def test_a_failing_task_is_reported_undone_and_not_retried(chain: Chain) -> None:
    schedule(chain, 3, FAILING)
    schedule(chain, 3)
    before = chain.free(account("Dave"))
    executed = chain.block()
    assert [event.result for event in hook_events(executed)] == [Err(OriginRefused()), Ok(None)]
    assert chain.free(account("Dave")) == before + 1
    assert hook_events(chain.block()) == []


def test_a_named_task_can_be_cancelled(chain: Chain) -> None:
    as_root(chain, "schedule_named", id=NAME, when=5, maybe_periodic=None, priority=1, call=ROOT_CALL)
    outcome = as_root(chain, "cancel_named", id=NAME)
    assert Canceled(5, 0) in outcome.events
    assert hook_events(chain.blocks(3)) == []
    with chain.inside():
        assert list(scheduler(chain).agenda.items()) == []
        assert list(scheduler(chain).lookup.items()) == []


def test_an_anonymous_task_is_cancelled_by_its_place_and_the_others_keep_theirs(chain: Chain) -> None:
    schedule(chain, 5)
    schedule(chain, 5)
    as_root(chain, "cancel", when=5, index=0)
    chain.block()
    assert hook_events(chain.block()) == [Dispatched((5, 1), None, Ok(None))]


def test_a_name_is_free_again_once_its_task_has_run(chain: Chain) -> None:
    arguments = {"id": NAME, "maybe_periodic": None, "priority": 1, "call": ROOT_CALL}
    as_root(chain, "schedule_named", when=2, **arguments)
    assert failure(as_root(chain, "schedule_named", when=1, **arguments)) == error(
        SchedulerError.TARGET_BLOCK_NUMBER_IN_PAST
    )
    assert Scheduled(9, 0) in as_root(chain, "schedule_named", when=9, **arguments).events


@pytest.mark.parametrize("when", [0, 1, 2])
def test_only_blocks_to_come_are_scheduled(chain: Chain, when: int) -> None:
    chain.block()
    outcome = as_root(chain, "schedule", when=when, maybe_periodic=None, priority=1, call=ROOT_CALL)
    assert failure(outcome) == error(SchedulerError.TARGET_BLOCK_NUMBER_IN_PAST)


def test_a_name_is_taken_only_once(chain: Chain) -> None:
    arguments = {"id": NAME, "maybe_periodic": None, "priority": 1, "call": ROOT_CALL}
    as_root(chain, "schedule_named", when=9, **arguments)
    assert failure(as_root(chain, "schedule_named", when=8, **arguments)) == error(SchedulerError.FAILED_TO_SCHEDULE)


@pytest.mark.parametrize(
    ("function", "arguments"), [("cancel", {"when": 5, "index": 0}), ("cancel_named", {"id": NAME})]
)
def test_what_is_not_scheduled_cannot_be_cancelled(chain: Chain, function: str, arguments: dict[str, Any]) -> None:
    assert failure(as_root(chain, function, **arguments)) == error(SchedulerError.NOT_FOUND)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("schedule", {"when": 9, "maybe_periodic": None, "priority": 1, "call": ROOT_CALL}),
        ("schedule_after", {"after": 9, "maybe_periodic": None, "priority": 1, "call": ROOT_CALL}),
        ("schedule_named", {"id": NAME, "when": 9, "maybe_periodic": None, "priority": 1, "call": ROOT_CALL}),
        ("schedule_named_after", {"id": NAME, "after": 9, "maybe_periodic": None, "priority": 1, "call": ROOT_CALL}),
        ("cancel", {"when": 9, "index": 0}),
        ("cancel_named", {"id": NAME}),
    ],
)
def test_only_root_schedules(chain: Chain, function: str, arguments: dict[str, Any]) -> None:
    assert chain.submit("Bob", "Scheduler", function, **arguments).error == OriginRefused()


def test_a_periodic_task_runs_as_often_as_asked(chain: Chain) -> None:
    arguments = {"id": NAME, "when": 2, "maybe_periodic": (2, 3), "priority": 1, "call": ROOT_CALL}
    as_root(chain, "schedule_named", **arguments)
    runs = [bool(hook_events(chain.block())) for _ in range(8)]
    assert runs == [True, False, True, False, True, False, False, False]


def test_what_exceeds_the_weight_of_a_block_spills_into_the_next(chain: Chain) -> None:
    for _ in range(5):
        schedule(chain, 7)
    limited(chain, 2)
    chain.block()
    assert [event.task for event in hook_events(chain.block())] == [(7, 0), (7, 1)]
    with chain.inside():
        assert scheduler(chain).incomplete_since.get() == 7
    assert [event.task for event in hook_events(chain.block())] == [(7, 2), (7, 3)]
    assert [event.task for event in hook_events(chain.block())] == [(7, 4)]
    with chain.inside():
        assert scheduler(chain).incomplete_since.get() is None


def test_older_blocks_go_first_whatever_the_priority(chain: Chain) -> None:
    for when in (6, 6, 7):
        schedule(chain, when, priority=100 - when)
    limited(chain, 1)
    chain.blocks(2)
    ran = [[event.task for event in hook_events(chain.block())] for _ in range(3)]
    assert ran == [[(6, 0)], [(6, 1)], [(7, 0)]]


def test_a_task_that_no_block_can_hold_is_dropped_with_an_event(chain: Chain) -> None:
    batch = RuntimeCall("Utility", "batch", {"calls": (ROOT_CALL,) * 9})
    as_root(chain, "schedule_named", id=NAME, when=4, maybe_periodic=None, priority=1, call=batch)
    schedule(chain, 4)
    limited(chain, 2)
    chain.block()
    executed = chain.block()
    assert hook_events(executed, PermanentlyOverweight) == [PermanentlyOverweight((4, 0), NAME)]
    assert hook_events(executed) == [Dispatched((4, 1), None, Ok(None))]


def test_a_full_block_passes_a_task_on_to_the_next() -> None:
    chain = Chain(constants={"Scheduler": {"MaxScheduledPerBlock": 2}})
    with chain.inside():
        places = [scheduler(chain).add_task(9, ROOT_CALL) for _ in range(5)]
    assert places == [(9, 0), (9, 1), (10, 0), (10, 1), (11, 0)]


def test_a_place_that_was_given_back_is_used_again() -> None:
    chain = Chain(constants={"Scheduler": {"MaxScheduledPerBlock": 2}})
    with chain.inside():
        pallet = scheduler(chain)
        pallet.add_task(9, ROOT_CALL, name=NAME)
        pallet.add_task(9, ROOT_CALL)
        pallet.drop_task(NAME)
        assert pallet.add_task(9, ROOT_CALL, name=NAME) == (9, 0)
        pallet.try_state()


def test_a_calendar_without_a_free_place_refuses() -> None:
    chain = Chain(constants={"Scheduler": {"MaxScheduledPerBlock": 1}})
    with chain.inside():
        for _ in range(PLACEMENT_BLOCKS):
            scheduler(chain).add_task(9, ROOT_CALL)
        with pytest.raises(DispatchError, match="exhausted"):
            scheduler(chain).add_task(9, ROOT_CALL)


def test_a_periodic_task_that_finds_no_place_says_so() -> None:
    chain = Chain(constants={"Scheduler": {"MaxScheduledPerBlock": 1}})
    with chain.inside():
        pallet, now = scheduler(chain), chain.runtime.system.block_number()
        for _ in range(PLACEMENT_BLOCKS):
            pallet.add_task(now + 5, ROOT_CALL)
        pallet.agenda.put(now, (Task(None, 1, ROOT_CALL, (5, 2)),))
        pallet.on_initialize(now)
        assert PeriodicFailed((now, 0), None) in chain.events()


def test_a_task_may_cancel_another_of_the_same_block(chain: Chain) -> None:
    cancelling = RuntimeCall("Scheduler", "cancel_named", {"id": NAME})
    as_root(chain, "schedule_named", id=NAME, when=3, maybe_periodic=None, priority=9, call=ROOT_CALL)
    schedule(chain, 3, cancelling, priority=1)
    assert [event.task for event in hook_events(chain.block())] == [(3, 1)]


def test_try_state_finds_a_name_that_leads_nowhere(chain: Chain) -> None:
    with chain.inside(), pytest.raises(InvariantBroken, match="Lookup"):
        scheduler(chain).lookup.put(NAME, (5, 0))
        scheduler(chain).try_state()


def test_try_state_finds_a_forgotten_task(chain: Chain) -> None:
    with chain.inside(), pytest.raises(InvariantBroken, match="due"):
        scheduler(chain).agenda.put(1, (Task(None, 1, ROOT_CALL, None),))
        scheduler(chain).try_state()


@pytest.mark.parametrize("places", [0, 513])
def test_the_agenda_of_a_block_has_a_bound(places: int) -> None:
    with pytest.raises(ValueError, match="max_scheduled_per_block"):
        SchedulerConfig(max_scheduled_per_block=places)


def test_a_task_that_fails_is_tried_again_as_often_as_allowed(chain: Chain) -> None:
    schedule(chain, 5, FAILING)
    outcome = as_root(chain, "set_retry", task=(5, 0), retries=2, period=2)
    assert outcome.events[0] == RetrySet((5, 0), None, 2, 2)
    chain.blocks(2)
    runs = [hook_events(chain.block()) for _ in range(6)]
    failed = Err(OriginRefused())
    assert [run[0].task if run else None for run in runs] == [(5, 0), None, (7, 0), None, (9, 0), None]
    assert all(run[0].result == failed for run in runs if run)
    with chain.runtime.at(chain.state):
        assert list(scheduler(chain).retries.items()) == []


def test_a_task_that_succeeds_is_not_tried_again(chain: Chain) -> None:
    schedule(chain, 4)
    as_root(chain, "set_retry", task=(4, 0), retries=3, period=1)
    chain.block()
    assert len(hook_events(chain.block())) == 1
    assert all(hook_events(chain.block()) == [] for _ in range(3))


def test_a_periodic_task_keeps_its_retries_and_its_copies_have_no_name(chain: Chain) -> None:
    as_root(chain, "schedule_named", id=NAME, when=5, maybe_periodic=(4, 2), priority=1, call=FAILING)
    outcome = as_root(chain, "set_retry_named", id=NAME, retries=1, period=1)
    assert outcome.events[0] == RetrySet((5, 0), NAME, 1, 1)
    chain.block()
    runs = [event for _ in range(8) for event in hook_events(chain.block())]
    assert [(run.task, run.id) for run in runs] == [((5, 0), NAME), ((6, 0), None), ((9, 0), NAME), ((10, 0), None)]


def test_retries_end_with_the_task_or_by_command(chain: Chain) -> None:
    for _ in range(2):
        schedule(chain, 30, FAILING)
    as_root(chain, "set_retry", task=(30, 0), retries=9, period=1)
    assert as_root(chain, "cancel_retry", task=(30, 0)).events[0] == RetryCancelled((30, 0), None)
    as_root(chain, "set_retry", task=(30, 1), retries=9, period=1)
    as_root(chain, "cancel", when=30, index=1)
    with chain.runtime.at(chain.state):
        assert list(scheduler(chain).retries.items()) == []
    as_root(chain, "schedule_named", id=NAME, when=30, maybe_periodic=None, priority=1, call=FAILING)
    as_root(chain, "set_retry_named", id=NAME, retries=9, period=1)
    assert isinstance(as_root(chain, "cancel_retry_named", id=NAME).events[0], RetryCancelled)


@pytest.mark.parametrize(
    ("function", "arguments"),
    [
        ("set_retry", {"task": (9, 0), "retries": 1, "period": 1}),
        ("set_retry_named", {"id": NAME, "retries": 1, "period": 1}),
        ("cancel_retry", {"task": (9, 0)}),
        ("cancel_retry_named", {"id": NAME}),
    ],
)
def test_only_root_sets_retries_and_only_of_tasks_that_are_there(
    chain: Chain, function: str, arguments: dict[str, Any]
) -> None:
    assert failure(as_root(chain, function, **arguments)) == error(SchedulerError.NOT_FOUND)
    assert chain.submit("Alice", "Scheduler", function, **arguments).error == OriginRefused()


def test_a_retry_without_a_place_or_a_block_left_is_given_up(chain: Chain) -> None:
    schedule(chain, 4, FAILING)
    as_root(chain, "set_retry", task=(4, 0), retries=1, period=2**32 - 1)
    chain.block()
    assert hook_events(chain.block(), RetryFailed) == [RetryFailed((4, 0), None)]


def test_a_retry_without_a_pause_waits_for_the_next_block(chain: Chain) -> None:
    schedule(chain, 4, FAILING)
    as_root(chain, "set_retry", task=(4, 0), retries=255, period=0)
    chain.block()
    assert [len(hook_events(chain.block())) for _ in range(3)] == [1, 1, 1]


def test_a_block_that_left_tasks_behind_says_so(chain: Chain) -> None:
    limited(chain, 1)
    schedule(chain, 4)
    schedule(chain, 4)
    assert hook_events(chain.block(), AgendaIncomplete) == []
    assert hook_events(chain.block(), AgendaIncomplete) == [AgendaIncomplete(4)]


def test_a_retry_for_which_the_block_has_no_weight_left_is_given_up(chain: Chain) -> None:
    schedule(chain, 4, FAILING)
    as_root(chain, "set_retry", task=(4, 0), retries=1, period=1)
    one_task = weights.ON_INITIALIZE + weights.ON_INITIALIZE_PER_TASK + chain.runtime.weight_of(FAILING)
    scheduler(chain).config = SchedulerConfig(maximum_weight=one_task + weights.SCHEDULE)
    chain.block()
    executed = chain.block()
    assert [event.task for event in hook_events(executed)] == [(4, 0)]
    assert hook_events(executed, RetryFailed) == [RetryFailed((4, 0), None)]
