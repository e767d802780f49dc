"""Aura: who may author which slot.

Time is cut into slots of equal length. Slot ``s`` belongs to authority ``s mod n``. A block names its slot in the
pre-runtime digest (engine ``aura``, u64 little endian), and slots only rise along a chain. The seal is checked
outside of the state transition, by the importer, because it signs the finished header.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pallets.system import System
from pallets.weights import aura as weights
from runtime.errors import InvalidBlock, InvariantBroken
from runtime.genesis_fields import GenesisError, GenesisPath, read_account, read_list, read_mapping
from runtime.header import Consensus, Digest, PreRuntime
from runtime.pallet import Pallet, constant
from runtime.storage import StorageValue
from runtime.types import U64, AccountId, MaxLength
from runtime.weights import Weight

AURA_ENGINE = b"aura"
SLOT_BYTES = 8
MAX_AUTHORITIES = 100

Authorities = Annotated[tuple[AccountId, ...], MaxLength(MAX_AUTHORITIES)]


@dataclass(frozen=True)
class AuraConfig:
    """What a chain builder chooses about slots."""

    slot_duration: U64 = constant(6_000, "Length of a slot, in milliseconds.")

    def __post_init__(self) -> None:
        """Refuse slots that cannot be halved into Timestamp.MinimumPeriod."""
        if self.slot_duration < 2:
            raise ValueError("slot_duration must be at least 2 milliseconds")


def carried_data(digest: Digest, kind: type[PreRuntime | Consensus], engine: bytes) -> bytes | None:
    """Return what the digest carries for an engine; raises InvalidBlock when it does so twice."""
    found = [item.data for item in digest.logs if isinstance(item, kind) and item.engine == engine]
    if len(found) > 1:
        raise InvalidBlock(f"the digest holds {len(found)} {kind.__name__} items of engine {engine!r}")
    return found[0] if found else None


class Aura(Pallet):
    """Block production by turns: slot s belongs to authority s mod n."""

    name = "Aura"
    index = 2
    Config = AuraConfig
    config: AuraConfig

    authority_keys = StorageValue(
        Authorities, default=(), name="Authorities", docs="The keys that author blocks, in order of their turns."
    )
    slot = StorageValue(U64, default=0, name="CurrentSlot", docs="The slot of the current block.")

    def __init__(self, config: AuraConfig, *, system: System) -> None:
        super().__init__(config)
        self.system = system

    def authorities(self) -> tuple[bytes, ...]:
        """Return the accounts that author blocks, in the order of their turns."""
        return self.authority_keys.get()

    def author_of(self, slot: int) -> bytes:
        """Return the account whose turn a slot is."""
        authorities = self.authorities()
        return authorities[slot % len(authorities)]

    def current_slot(self) -> int:
        """Return the slot of the current block; 0 before block 1."""
        return self.slot.get()

    def author(self) -> bytes:
        """Return the author of the current block, to whom fees go."""
        return self.author_of(self.current_slot())

    def on_initialize(self, number: int) -> Weight:
        """Read the slot from the digest; it must be later than the slot of the parent."""
        item = carried_data(self.system.digest(), PreRuntime, AURA_ENGINE)
        if item is None:
            raise InvalidBlock("the digest names no Aura slot")
        if len(item) != SLOT_BYTES:
            raise InvalidBlock(f"an Aura slot has {SLOT_BYTES} bytes, the digest has {len(item)}")
        slot, parent_slot = int.from_bytes(item, "little"), self.slot.get()
        if slot <= parent_slot:
            raise InvalidBlock(f"slot {slot} does not follow the parent's slot {parent_slot}")
        self.slot.put(slot)
        return weights.ON_INITIALIZE

    def build_genesis(self, genesis: Mapping[str, Any], at: GenesisPath) -> None:
        """Read `authorities`: a list of addresses, in the order of their turns."""
        read_mapping(genesis, at, required=("authorities",))
        where = at["authorities"]
        listed = read_list(genesis["authorities"], where, maximum=MAX_AUTHORITIES)
        accounts = tuple(read_account(entry, where[index]) for index, entry in enumerate(listed))
        if not accounts:
            raise GenesisError(where, "at least one address")
        if len(set(accounts)) != len(accounts):
            raise GenesisError(where, "each address once")
        self.authority_keys.put(accounts)

    def try_state(self) -> None:
        """There is an author for every slot, and no account has two turns."""
        authorities = self.authorities()
        if not authorities or len(set(authorities)) != len(authorities):
            raise InvariantBroken("Aura.Authorities is empty or names an account twice")
