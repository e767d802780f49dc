"""Constants of the balances pallet."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.pallet import constant
from runtime.types import U32, U128, AccountId

TREASURY: AccountId = b"modldd/trsry".ljust(32, b"\0")
"""The account that receives dust and protocol fees. No key opens it: only root moves what it holds."""

MAX_LOCKS = 50
MAX_RESERVES = 50
MAX_HOLDS = 64
"""Different reasons for which one account may hold balance at a time."""


@dataclass(frozen=True)
class BalancesConfig:
    """What a chain builder chooses about balances."""

    existential_deposit: U128 = constant(500, "The least free balance that an account may exist with, in planck.")
    max_locks: U32 = constant(MAX_LOCKS, "The most locks on one account.")
    max_reserves: U32 = constant(MAX_RESERVES, "The most named reserves on one account.")
    treasury: AccountId = constant(TREASURY, "The account that receives dust and protocol fees; it never disappears.")

    def __post_init__(self) -> None:
        """Refuse a deposit under which empty accounts would exist."""
        if self.existential_deposit < 1:
            raise ValueError("existential_deposit must be at least 1 planck")
