"""Aura: who may author which slot.

Time is cut into slots of equal length. Slot ``s`` belongs to authority ``s mod n``. A block names its slot in the pre-runtime
digest (engine ``aura``, u64 little endian), and slots only rise along a chain. The seal is checked outside of the state
transition, by the importer, because it signs the finished header.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pallets.system import System
from runtime.errors import InvalidBlock
from runtime.genesis import Path, accounts_at
from runtime.pallet import Pallet
from runtime.storage import StorageValue
from runtime.types import U64, AccountId, MaxLength
from runtime.weights import Weight

AURA_ENGINE = b"aura"
MAX_AUTHORITIES = 100

_SLOT_BYTES = 8


@dataclass(frozen=True)
class AuraConfig:
    slot_duration: U64
    """Length of a slot, in milliseconds."""


class Aura(Pallet):
    """Block production by turns: slot s belongs to authority s mod n."""

    name = "Aura"
    index = 2
    Config = AuraConfig
    config: AuraConfig

    authorities_ = StorageValue(
        Annotated[tuple[AccountId, ...], MaxLength(MAX_AUTHORITIES)], default=(), name="Authorities",
        docs="The keys that author blocks, in the order of their turns.",
    )
    slot = StorageValue(U64, default=0, name="CurrentSlot", docs="The slot of the current block.")
