"""Session: who the validators are, in the place where Substrate clients look for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pallets.aura import Aura, Authorities
from runtime.errors import InvariantBroken
from runtime.genesis_fields import GenesisPath, read_mapping
from runtime.pallet import Pallet
from runtime.storage import StorageValue
from runtime.types import U32


class Session(Pallet):
    """The current validators: clients name a block's author by its slot and this list.

    One session lasts for ever: explorers show its number on their first page.
    """

    name = "Session"
    index = 3

    validators = StorageValue(Authorities, default=(), docs="The current set of validators.")
    current_index = StorageValue(U32, default=0, docs="Current index of the session.")

    def __init__(self, *, aura: Aura) -> None:
        super().__init__()
        self.aura = aura

    def build_genesis(self, genesis: Mapping[str, Any], at: GenesisPath) -> None:
        """Take the authorities of Aura, whose section stands before; this one is empty."""
        read_mapping(genesis, at, required=())
        self.validators.put(self.aura.authorities())

    def try_state(self) -> None:
        """Validators and authorities are the same accounts."""
        if self.validators.get() != self.aura.authorities():
            raise InvariantBroken("Session.Validators differs from Aura.Authorities")
