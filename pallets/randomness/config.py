"""Constants of the randomness pallet."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.types import U32


@dataclass(frozen=True)
class RandomnessConfig:
    """What a chain builder chooses about the beacon."""

    epoch_slots: U32 = 600
    """Slots in an epoch, which is how many layers an onion has."""
    keep_rounds: U32 = 256
    """Rounds of reveals that are kept for draws; a round has one slot for each authority."""
