"""Constants of the scheduler, what it stores, and what it reports, named and laid out as FRAME's `pallet_scheduler`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pallets.nested import Outcome
from runtime.call import RuntimeCall
from runtime.errors import PalletError
from runtime.events import Event
from runtime.pallet import constant
from runtime.types import U8, U32, Bytes32, type_path
from runtime.weights import PICOSECONDS_PER_SECOND, U64_MAX, Weight

PLACES_PER_BLOCK = 512
"""Places of one agenda; the constant MaxScheduledPerBlock may be lower, never higher."""

BlockNumber = U32
TaskAddress = tuple[U32, U32]
"""Block and place of a task."""
Period = tuple[U32, U32]
"""Blocks between two runs, and how many runs are left."""


@dataclass(frozen=True)
class SchedulerConfig:
    """What a chain builder chooses about scheduled calls."""

    maximum_weight: Weight = constant(
        Weight(PICOSECONDS_PER_SECOND // 2, U64_MAX), "The most weight that scheduled calls take of one block."
    )
    max_scheduled_per_block: U32 = constant(PLACES_PER_BLOCK, "The most calls in the agenda of one block.")

    def __post_init__(self) -> None:
        """Refuse an agenda larger than its storage item."""
        if not 1 <= self.max_scheduled_per_block <= PLACES_PER_BLOCK:
            raise ValueError(f"max_scheduled_per_block must be 1 to {PLACES_PER_BLOCK}")


@dataclass(frozen=True)
class Task:
    """A call to make: its name if it has one, its priority, and its remaining runs if it is periodic."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("pallet_scheduler::Scheduled")
    maybe_id: Bytes32 | None
    priority: U8
    call: RuntimeCall
    maybe_periodic: Period | None


@dataclass(frozen=True)
class RetryConfig:
    """How often a task that failed is tried again, how often it still may be, and the blocks between two tries."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("pallet_scheduler::RetryConfig")
    total_retries: U8
    remaining: U8
    period: BlockNumber


class SchedulerEvent(Event):
    """What happened to a task."""


@dataclass(frozen=True)
class Scheduled(SchedulerEvent):
    """Scheduled some task."""

    when: BlockNumber
    index: U32


@dataclass(frozen=True)
class Canceled(SchedulerEvent):
    """Canceled some task."""

    when: BlockNumber
    index: U32


@dataclass(frozen=True)
class Dispatched(SchedulerEvent):
    """Dispatched some task."""

    task: TaskAddress
    id: Bytes32 | None
    result: Outcome


@dataclass(frozen=True)
class RetrySet(SchedulerEvent):
    """Set a retry configuration for some task."""

    task: TaskAddress
    id: Bytes32 | None
    period: BlockNumber
    retries: U8


@dataclass(frozen=True)
class RetryCancelled(SchedulerEvent):
    """Cancel a retry configuration for some task."""

    task: TaskAddress
    id: Bytes32 | None


@dataclass(frozen=True)
class PeriodicFailed(SchedulerEvent, index=6):
    """The given task was unable to be renewed since the agenda is full at that block."""

    task: TaskAddress
    id: Bytes32 | None


@dataclass(frozen=True)
class RetryFailed(SchedulerEvent):
    """The given task was unable to be retried since no place or no weight was left for it."""

    task: TaskAddress
    id: Bytes32 | None


@dataclass(frozen=True)
class PermanentlyOverweight(SchedulerEvent):
    """The given task can never be executed since it is overweight."""

    task: TaskAddress
    id: Bytes32 | None


@dataclass(frozen=True)
class AgendaIncomplete(SchedulerEvent):
    """Agenda is incomplete from `when`."""

    when: BlockNumber


class SchedulerError(PalletError):
    """Why a task could not be scheduled or cancelled."""

    FAILED_TO_SCHEDULE = "Failed to schedule a call: its name is taken."
    NOT_FOUND = "Cannot find the scheduled call."
    TARGET_BLOCK_NUMBER_IN_PAST = "Given target block number is in the past."
