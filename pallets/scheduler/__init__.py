"""Scheduler: calls that the chain makes by itself in a block to come (FRAME scheduler)."""

from pallets.scheduler.pallet import DEFAULT_PRIORITY, PLACEMENT_BLOCKS, Scheduler
from pallets.scheduler.types import (
    PLACES_PER_BLOCK,
    AgendaIncomplete,
    Canceled,
    Dispatched,
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
)

__all__ = [
    "DEFAULT_PRIORITY",
    "PLACEMENT_BLOCKS",
    "PLACES_PER_BLOCK",
    "AgendaIncomplete",
    "Canceled",
    "Dispatched",
    "PeriodicFailed",
    "PermanentlyOverweight",
    "RetryCancelled",
    "RetryConfig",
    "RetryFailed",
    "RetrySet",
    "Scheduled",
    "Scheduler",
    "SchedulerConfig",
    "SchedulerError",
    "SchedulerEvent",
    "Task",
]
