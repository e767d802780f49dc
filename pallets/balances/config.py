"""Constants of the balances pallet."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.types import U32, U128, AccountId

TREASURY: AccountId = b"modldd/trsry".ljust(32, b"\0")
"""The account that receives dust and protocol fees. No key opens it: only root moves what it holds."""

MAX_HOLDS = 64
"""Different reasons for which one account may hold balance at a time."""


@dataclass(frozen=True)
class BalancesConfig:
    """What a chain builder chooses about balances."""

    existential_deposit: U128 = 500
    """The least free balance an account may exist with, in planck; what is less is swept into the treasury."""
    max_locks: U32 = 50
    """The most locks on one account."""
    max_reserves: U32 = 50
    """The most named reserves on one account."""
    treasury: AccountId = TREASURY
    """The account that receives dust and protocol fees; it exists from genesis on and never disappears."""
