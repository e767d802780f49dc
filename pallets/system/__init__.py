"""System: the block's context, accounts and their nonces, events, the limits of a block (FRAME system)."""

from pallets.system.events import (
    CodeUpdated,
    ExtrinsicFailed,
    ExtrinsicSuccess,
    KilledAccount,
    NewAccount,
    Remarked,
    SystemErrors,
    SystemEvent,
)
from pallets.system.pallet import ACCOUNT_CONSUMERS_MAXIMUM, LastRuntimeUpgradeInfo, System, SystemConfig

__all__ = [
    "ACCOUNT_CONSUMERS_MAXIMUM",
    "CodeUpdated",
    "ExtrinsicFailed",
    "ExtrinsicSuccess",
    "KilledAccount",
    "LastRuntimeUpgradeInfo",
    "NewAccount",
    "Remarked",
    "System",
    "SystemConfig",
    "SystemErrors",
    "SystemEvent",
]
