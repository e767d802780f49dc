"""The scheduler: calls that the chain makes itself, as root, in a block to come.

An agenda per block holds the tasks in numbered places. A block runs what is due by priority (lower numbers first,
then the order of places) while its weight lasts; what does not fit stays where it is and is the first thing of the
next block. Every task runs in its own storage transaction and its event carries the result. A task that failed is
tried again only if it has a retry configuration: as a copy without name and period.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pallets.nested import outcome_of
from pallets.scheduler.types import (
    PLACES_PER_BLOCK,
    AgendaIncomplete,
    BlockNumber,
    Canceled,
    Dispatched,
    Period,
    PeriodicFailed,
    PermanentlyOverweight,
    RetryCancelled,
    RetryConfig,
    RetryFailed,
    RetrySet,
    Scheduled,
    SchedulerConfig,
    SchedulerError,
    SchedulerEvent,
    Task,
    TaskAddress,
)
from pallets.system import System
from pallets.weights import scheduler as weights
from runtime.call import RuntimeCall
from runtime.errors import ExhaustedError, InvariantBroken, ModuleError, ensure
from runtime.origin import Origin, Root, ensure_root
from runtime.pallet import Pallet, call
from runtime.storage import BLAKE2_128_CONCAT, TWOX_64_CONCAT, StorageMap, StorageValue
from runtime.types import U8, U32, Bytes32, MaxLength
from runtime.weights import ZERO_WEIGHT, Weight

DEFAULT_PRIORITY = 128
PLACEMENT_BLOCKS = 64
"""How many blocks after the wanted one are looked at for a free place."""
BLOCK_NUMBER_END = 2**32
"""One more than the last block that there can be."""

_AGENDA_WEIGHT = weights.ON_INITIALIZE
_TASK_WEIGHT = weights.ON_INITIALIZE_PER_TASK


def _with_full_agenda(weight: Weight, per_task: Weight) -> Weight:
    """What reads and writes an agenda is charged for a full one."""
    return weight + per_task * PLACES_PER_BLOCK


_RETRY_WEIGHT = _with_full_agenda(weights.SCHEDULE, weights.SCHEDULE_PER_TASK) + _with_full_agenda(
    weights.SET_RETRY, weights.SET_RETRY_PER_TASK
)
"""Another try is a task that is placed and then told how often it may be tried again."""


class _Meter:
    """How much of the weight of a block's scheduled calls is used."""

    def __init__(self, limit: Weight) -> None:
        self.limit = limit
        self.used = ZERO_WEIGHT

    def fits(self, weight: Weight) -> bool:
        return not (self.used + weight).exceeds(self.limit)

    def consume(self, weight: Weight) -> None:
        self.used = self.used + weight


class Scheduler(Pallet):
    """Calls that the chain makes by itself, as root, at a block to come."""

    name = "Scheduler"
    index = 9
    Config = SchedulerConfig
    Event = SchedulerEvent
    Error = SchedulerError
    config: SchedulerConfig

    incomplete_since = StorageValue(BlockNumber, docs="The oldest block of which tasks are still to be run.")
    agenda = StorageMap(
        BlockNumber,
        Annotated[tuple[Task | None, ...], MaxLength(PLACES_PER_BLOCK)],
        default=(),
        hasher=TWOX_64_CONCAT,
        docs="Tasks to be executed, by the block in which they are due.",
    )
    retries = StorageMap(
        TaskAddress, RetryConfig, hasher=BLAKE2_128_CONCAT, docs="How tasks are tried again, by where they stand."
    )
    lookup = StorageMap(Bytes32, TaskAddress, hasher=TWOX_64_CONCAT, docs="Where a named task stands.")

    def __init__(self, config: SchedulerConfig, *, system: System) -> None:
        super().__init__(config)
        self.system = system

    # What other pallets call

    def add_task(
        self,
        at: int,
        call: RuntimeCall,
        *,
        name: bytes | None = None,
        priority: int = DEFAULT_PRIORITY,
        period: tuple[int, int] | None = None,
    ) -> TaskAddress:
        """Schedule a call as root in block `at`, or in the next block with a free place; return where it stands.

        `period` is (blocks between runs, runs in all). Raises ModuleError when the block is not in the future or the
        name is taken, ExhaustedError when no block near `at` has a free place or `at` is beyond the last block.
        """
        ensure(at > self.system.block_number(), SchedulerError.TARGET_BLOCK_NUMBER_IN_PAST)
        ensure(name is None or not self.lookup.contains(name), SchedulerError.FAILED_TO_SCHEDULE)
        repeats = None if period is None or period[0] == 0 or period[1] <= 1 else (period[0], period[1] - 1)
        return self._place(at, Task(name, priority, call, repeats))

    def drop_task(self, name: bytes) -> None:
        """Cancel a named task. Raises ModuleError when there is none."""
        self._cancel(*self._named(name))

    # Calls

    @call(weight=_with_full_agenda(weights.SCHEDULE, weights.SCHEDULE_PER_TASK))
    def schedule(
        self, origin: Origin, when: BlockNumber, maybe_periodic: Period | None, priority: U8, call: RuntimeCall
    ) -> None:
        """Anonymously schedule a task."""
        ensure_root(origin)
        self.add_task(when, call, priority=priority, period=maybe_periodic)

    @call(weight=_with_full_agenda(weights.CANCEL, weights.CANCEL_PER_TASK))
    def cancel(self, origin: Origin, when: BlockNumber, index: U32) -> None:
        """Cancel a scheduled task."""
        ensure_root(origin)
        self._cancel(when, index)

    @call(weight=_with_full_agenda(weights.SCHEDULE_NAMED, weights.SCHEDULE_NAMED_PER_TASK))
    def schedule_named(
        self,
        origin: Origin,
        id: Bytes32,
        when: BlockNumber,
        maybe_periodic: Period | None,
        priority: U8,
        call: RuntimeCall,
    ) -> None:
        """Schedule a named task."""
        ensure_root(origin)
        self.add_task(when, call, name=id, priority=priority, period=maybe_periodic)

    @call(weight=_with_full_agenda(weights.CANCEL_NAMED, weights.CANCEL_NAMED_PER_TASK))
    def cancel_named(self, origin: Origin, id: Bytes32) -> None:
        """Cancel a named scheduled task."""
        ensure_root(origin)
        self.drop_task(id)

    @call(weight=_with_full_agenda(weights.SCHEDULE_AFTER, weights.SCHEDULE_AFTER_PER_TASK))
    def schedule_after(
        self, origin: Origin, after: BlockNumber, maybe_periodic: Period | None, priority: U8, call: RuntimeCall
    ) -> None:
        """Anonymously schedule a task after a delay: it runs in block now + after + 1."""
        ensure_root(origin)
        self.add_task(self._block_after(after), call, priority=priority, period=maybe_periodic)

    @call(weight=_with_full_agenda(weights.SCHEDULE_NAMED_AFTER, weights.SCHEDULE_NAMED_AFTER_PER_TASK))
    def schedule_named_after(
        self,
        origin: Origin,
        id: Bytes32,
        after: BlockNumber,
        maybe_periodic: Period | None,
        priority: U8,
        call: RuntimeCall,
    ) -> None:
        """Schedule a named task after a delay: it runs in block now + after + 1."""
        ensure_root(origin)
        self.add_task(self._block_after(after), call, name=id, priority=priority, period=maybe_periodic)

    @call(weight=_with_full_agenda(weights.SET_RETRY, weights.SET_RETRY_PER_TASK))
    def set_retry(self, origin: Origin, task: TaskAddress, retries: U8, period: BlockNumber) -> None:
        """Have a task tried again so many times, so many blocks apart, if it fails."""
        ensure_root(origin)
        self._set_retry(task, None, retries, period)

    @call(weight=_with_full_agenda(weights.SET_RETRY_NAMED, weights.SET_RETRY_NAMED_PER_TASK))
    def set_retry_named(self, origin: Origin, id: Bytes32, retries: U8, period: BlockNumber) -> None:
        """Have a named task tried again so many times, so many blocks apart, if it fails."""
        ensure_root(origin)
        self._set_retry(self._named(id), id, retries, period)

    @call(weight=_with_full_agenda(weights.CANCEL_RETRY, weights.CANCEL_RETRY_PER_TASK))
    def cancel_retry(self, origin: Origin, task: TaskAddress) -> None:
        """Do not try a task again."""
        ensure_root(origin)
        self._cancel_retry(task, None)

    @call(weight=_with_full_agenda(weights.CANCEL_RETRY_NAMED, weights.CANCEL_RETRY_NAMED_PER_TASK))
    def cancel_retry_named(self, origin: Origin, id: Bytes32) -> None:
        """Do not try a named task again."""
        ensure_root(origin)
        self._cancel_retry(self._named(id), id)

    # Hooks

    def on_initialize(self, number: int) -> Weight:
        """Run the tasks that are due, oldest block first, while the weight lasts."""
        meter = _Meter(self.config.maximum_weight)
        since = self.incomplete_since.get()
        when = number if since is None else since
        while when <= number and meter.fits(_AGENDA_WEIGHT):
            meter.consume(_AGENDA_WEIGHT)
            if not self._service_agenda(when, meter):
                break
            when += 1
        if when <= number:
            self.incomplete_since.put(when)
            self.deposit_event(AgendaIncomplete(when))
        elif since is not None:
            self.incomplete_since.remove()
        return meter.used

    def try_state(self) -> None:
        """Names and places agree, and nothing due is forgotten."""
        named = {task.maybe_id: (when, place) for when, tasks in self.agenda.items()
                 for place, task in enumerate(tasks) if task is not None and task.maybe_id is not None}
        if named != dict(self.lookup.items()):
            raise InvariantBroken("Scheduler.Lookup does not list the named tasks of Scheduler.Agenda")
        since = self.incomplete_since.get()
        oldest = min((when for when, _ in self.agenda.items()), default=None)
        now = self.system.block_number()
        if oldest is not None and oldest <= now and (since is None or oldest < since):
            raise InvariantBroken(f"the tasks of block {oldest} are due but Scheduler.IncompleteSince is {since}")

        if any(self._task_at(*address) is None for address, _ in self.retries.items()):
            raise InvariantBroken("Scheduler.Retries names a place without a task")

    # How it works

    def _named(self, name: bytes) -> TaskAddress:
        address = self.lookup.get(name)
        if address is None:
            raise ModuleError(SchedulerError.NOT_FOUND)
        return address

    def _set_retry(self, address: TaskAddress, name: bytes | None, retries: int, period: int) -> None:
        ensure(self._task_at(*address) is not None, SchedulerError.NOT_FOUND)
        self.retries.put(address, RetryConfig(retries, retries, period))
        self.deposit_event(RetrySet(address, name, period, retries))

    def _cancel_retry(self, address: TaskAddress, name: bytes | None) -> None:
        ensure(self._task_at(*address) is not None, SchedulerError.NOT_FOUND)
        self.retries.remove(address)
        self.deposit_event(RetryCancelled(address, name))

    def _block_after(self, blocks: int) -> int:
        return self.system.block_number() + blocks + 1

    def _service_agenda(self, when: int, meter: _Meter) -> bool:
        """Run the tasks of one block; return False when one had to be left for the next block."""
        waiting = [(task.priority, place) for place, task in enumerate(self.agenda.get(when)) if task is not None]
        for _, place in sorted(waiting):
            task = self._task_at(when, place)
            if task is None:  # a task before it has cancelled it
                continue
            weight = _TASK_WEIGHT + self.runtime.weight_of(task.call)
            if (weight + _AGENDA_WEIGHT).exceeds(meter.limit):
                self._vacate(when, place)
                self.deposit_event(PermanentlyOverweight((when, place), task.maybe_id))
                continue
            if not meter.fits(weight):
                return False
            retry = self.retries.get((when, place))
            self._vacate(when, place)
            self._run(task, (when, place), retry, meter)
        return True

    def _run(self, task: Task, address: TaskAddress, retry: RetryConfig | None, meter: _Meter) -> None:
        result = self.runtime.dispatch(task.call, Root())
        meter.consume(_TASK_WEIGHT + result.actual_weight)
        self.deposit_event(Dispatched(address, task.maybe_id, outcome_of(result)))
        if result.error is not None and retry is not None and retry.remaining:
            self._retry(task, address, retry, meter)
        if task.maybe_periodic is None:
            return
        blocks, runs = task.maybe_periodic
        repeats = (blocks, runs - 1) if runs > 1 else None
        try:
            following = self._place(self.system.block_number() + blocks, replace(task, maybe_periodic=repeats))
        except ExhaustedError:
            self.deposit_event(PeriodicFailed(address, task.maybe_id))
            return
        if retry is not None:
            self.retries.put(following, replace(retry, remaining=retry.total_retries))

    def _retry(self, task: Task, address: TaskAddress, retry: RetryConfig, meter: _Meter) -> None:
        """Place a copy of a task that failed, in the next block at the earliest."""
        copy = Task(None, task.priority, task.call, None)
        try:
            if not meter.fits(_RETRY_WEIGHT):
                raise ExhaustedError
            meter.consume(_RETRY_WEIGHT)
            again = self._place(self.system.block_number() + max(retry.period, 1), copy)
        except ExhaustedError:
            self.deposit_event(RetryFailed(address, task.maybe_id))
            return
        self.retries.put(again, replace(retry, remaining=retry.remaining - 1))

    def _place(self, at: int, task: Task) -> TaskAddress:
        for when in range(at, min(at + PLACEMENT_BLOCKS, BLOCK_NUMBER_END)):
            tasks = self.agenda.get(when)
            if len(tasks) < self.config.max_scheduled_per_block:
                place = len(tasks)
                self.agenda.put(when, (*tasks, task))
            elif None in tasks:
                place = tasks.index(None)
                self.agenda.put(when, (*tasks[:place], task, *tasks[place + 1 :]))
            else:
                continue
            if task.maybe_id is not None:
                self.lookup.put(task.maybe_id, (when, place))
            self.deposit_event(Scheduled(when, place))
            return when, place
        raise ExhaustedError

    def _cancel(self, when: int, place: int) -> None:
        ensure(self._task_at(when, place) is not None, SchedulerError.NOT_FOUND)
        self._vacate(when, place)
        self.deposit_event(Canceled(when, place))

    def _task_at(self, when: int, place: int) -> Task | None:
        tasks = self.agenda.get(when)
        return tasks[place] if place < len(tasks) else None

    def _vacate(self, when: int, place: int) -> None:
        """Empty a place; places keep their numbers, and an agenda without tasks is removed."""
        tasks = self.agenda.get(when)
        task = tasks[place]
        if task is not None and task.maybe_id is not None:
            self.lookup.remove(task.maybe_id)
        self.retries.remove((when, place))
        remaining = (*tasks[:place], None, *tasks[place + 1 :])
        if any(remaining):
            self.agenda.put(when, remaining)
        else:
            self.agenda.remove(when)
