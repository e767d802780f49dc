"""Events: what a block says it did, as clients read it under System.Events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from runtime.types import H256, U32, Outer, Variant, type_path


class Event(Variant, abstract=True):
    """Base of a pallet's events: `class BalancesEvent(Event)`, then one frozen dataclass per event below it."""


RuntimeEvent = Annotated[Event, Outer("RuntimeEvent")]
"""Any event of any pallet of the runtime."""


class Phase(Variant):
    """`frame_system::Phase`: when in the block an event happened."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("frame_system::Phase")


@dataclass(frozen=True)
class ApplyExtrinsic(Phase, unnamed=True):
    """Applying the extrinsic of this index."""

    index: U32


@dataclass(frozen=True)
class Finalization(Phase):
    """Finalizing the block."""


@dataclass(frozen=True)
class Initialization(Phase):
    """Initializing the block."""


@dataclass(frozen=True)
class EventRecord:
    """`frame_system::EventRecord`: an event, its phase and its topics (this chain uses none)."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("frame_system::EventRecord")
    __scale_params__: ClassVar[tuple[tuple[str, Any], ...]] = (("E", RuntimeEvent), ("T", H256))
    phase: Phase
    event: RuntimeEvent
    topics: tuple[H256, ...] = ()
