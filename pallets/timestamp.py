"""Timestamp: the time of a block, set once in each block by its first extrinsic.

The time must lie in the block's Aura slot and at least half a slot after the time of the parent. How far ahead of the
clock a block may be is for the importer to judge: the state transition has no clock.
"""

from __future__ import annotations

from dataclasses import dataclass

from pallets.aura import Aura
from pallets.weights import timestamp as weights
from runtime.errors import InvalidBlock
from runtime.origin import Origin, ensure_none
from runtime.pallet import Pallet, call, constant
from runtime.storage import StorageValue
from runtime.types import U64, Bool, CompactU64
from runtime.weights import MANDATORY


@dataclass(frozen=True)
class TimestampConfig:
    """What a chain builder chooses about the time of blocks."""

    minimum_period: U64 = constant(3_000, "The least time between two blocks: half a slot, in milliseconds.")


class Timestamp(Pallet):
    """The time of the current block, as its author states it."""

    name = "Timestamp"
    index = 1
    Config = TimestampConfig
    config: TimestampConfig

    now = StorageValue(U64, default=0, docs="The time of the current block, in milliseconds since 1970 (Unix time).")
    did_update = StorageValue(Bool, default=False, docs="Whether the time was set in this block; false between blocks.")

    def __init__(self, config: TimestampConfig, *, aura: Aura) -> None:
        super().__init__(config)
        self.aura = aura

    def now_ms(self) -> int:
        """Return the time of the current block in milliseconds; before its first extrinsic, that of the parent."""
        return self.now.get()

    @call(weight=weights.SET, dispatch_class=MANDATORY, inherent=True)
    def set(self, origin: Origin, now: CompactU64) -> None:
        """Set the time of this block: the inherent that every block begins with."""
        ensure_none(origin)
        slot_duration, slot = self.aura.config.slot_duration, self.aura.current_slot()
        before = self.now.get()
        if self.did_update.get():
            raise InvalidBlock("the time of a block is set only once")
        if now // slot_duration != slot:
            raise InvalidBlock(f"the time {now} ms lies in slot {now // slot_duration}, the block is of slot {slot}")
        if now < before + self.config.minimum_period:
            raise InvalidBlock(f"the time {now} ms is less than {self.config.minimum_period} ms after the parent's")
        self.now.put(now)
        self.did_update.put(True)

    def on_finalize(self, number: int) -> None:
        """Refuse a block without a time."""
        if not self.did_update.get():
            raise InvalidBlock("the time of the block was not set")
        self.did_update.remove()
