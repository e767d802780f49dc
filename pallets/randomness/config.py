"""Constants of the randomness pallet."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.pallet import constant
from runtime.types import U32


@dataclass(frozen=True)
class RandomnessConfig:
    """What a chain builder chooses about the beacon."""

    epoch_slots: U32 = constant(600, "Slots in an epoch, which is how many layers an onion has.")
    keep_rounds: U32 = constant(256, "Rounds of reveals kept for draws; a round has one slot for each authority.")

    def __post_init__(self) -> None:
        """Refuse epochs without slots and a beacon without memory."""
        if self.epoch_slots < 1 or self.keep_rounds < 1:
            raise ValueError("epoch_slots and keep_rounds must be at least 1")
