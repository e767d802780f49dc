"""Balances: free and held amounts of accounts, transfers, fees and dust; total issuance never changes."""

from pallets.balances.config import TREASURY, BalancesConfig
from pallets.balances.events import (
    BalancesError,
    BalanceSet,
    BalancesEvent,
    Deposit,
    DustLost,
    Endowed,
    Held,
    Released,
    Transfer,
    TransferOnHold,
    Withdraw,
)
from pallets.balances.pallet import Balances
from pallets.balances.types import Hold, HoldReason

__all__ = [
    "TREASURY",
    "BalanceSet",
    "Balances",
    "BalancesConfig",
    "BalancesError",
    "BalancesEvent",
    "Deposit",
    "DustLost",
    "Endowed",
    "Held",
    "Hold",
    "HoldReason",
    "Released",
    "Transfer",
    "TransferOnHold",
    "Withdraw",
]
