"""Proxy: accounts that act for other accounts, within limits and after an announcement if asked for (FRAME proxy)."""

from pallets.proxy.events import (
    Announced,
    DepositPoked,
    ProxyAdded,
    ProxyError,
    ProxyEvent,
    ProxyExecuted,
    ProxyRemoved,
    PureCreated,
    PureKilled,
)
from pallets.proxy.pallet import Proxy, pure_account
from pallets.proxy.permissions import ProxyFilter, ProxyType, allows, is_superset
from pallets.proxy.types import Announcement, DepositKind, ProxyConfig, ProxyDefinition, ProxyReason

__all__ = [
    "Announced",
    "Announcement",
    "DepositKind",
    "DepositPoked",
    "Proxy",
    "ProxyAdded",
    "ProxyConfig",
    "ProxyDefinition",
    "ProxyError",
    "ProxyEvent",
    "ProxyExecuted",
    "ProxyFilter",
    "ProxyReason",
    "ProxyRemoved",
    "ProxyType",
    "PureCreated",
    "PureKilled",
    "allows",
    "is_superset",
    "pure_account",
]
