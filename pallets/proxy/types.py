"""Constants of the proxy pallet and what it stores, laid out as FRAME's `pallet_proxy` types."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pallets.balances import HoldReason
from pallets.proxy.permissions import ProxyType
from runtime.pallet import constant
from runtime.types import H256, U32, U128, AccountId, MaxLength, type_path

MOST_PROXIES = 32
"""Proxies of one account; the constant MaxProxies may be lower, never higher."""
MOST_PENDING = 32
"""Announcements of one delegate; the constant MaxPending may be lower, never higher."""


class DepositKind(enum.Enum):
    """What a deposit is held for."""

    PROXIES = "The list of an account's proxies."
    ANNOUNCEMENTS = "The list of a delegate's announcements."


DepositKind.__scale_path__ = type_path("pallet_proxy::DepositKind")  # type: ignore[attr-defined]


@dataclass(frozen=True)
class ProxyReason(HoldReason, index=11, unnamed=True):
    """Held by the proxy pallet."""

    __scale_name__: ClassVar[str] = "Proxy"
    kind: DepositKind


@dataclass(frozen=True)
class ProxyConfig:
    """What a chain builder chooses about proxies and their deposits."""

    proxy_deposit_base: U128 = constant(20_000_000_000, "Held for an account's list of proxies, in planck.")
    proxy_deposit_factor: U128 = constant(1_000_000_000, "Held besides for each proxy, in planck.")
    max_proxies: U32 = constant(MOST_PROXIES, "The most proxies of one account.")
    max_pending: U32 = constant(MOST_PENDING, "The most announcements of one delegate at a time.")
    announcement_deposit_base: U128 = constant(20_000_000_000, "Held for a delegate's announcements, in planck.")
    announcement_deposit_factor: U128 = constant(2_000_000_000, "Held besides for each announcement, in planck.")

    def __post_init__(self) -> None:
        """Refuse lists longer than their storage items."""
        if not 1 <= self.max_proxies <= MOST_PROXIES:
            raise ValueError(f"max_proxies must be 1 to {MOST_PROXIES}")
        if not 1 <= self.max_pending <= MOST_PENDING:
            raise ValueError(f"max_pending must be 1 to {MOST_PENDING}")


@dataclass(frozen=True)
class ProxyDefinition:
    """Who may act for an account, how far, and how many blocks after an announcement (0: none is needed)."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("pallet_proxy::ProxyDefinition")
    delegate: AccountId
    proxy_type: ProxyType
    delay: U32

    @property
    def rank(self) -> tuple[bytes, int, int]:
        """Sorts as FRAME does: by delegate, kind, delay."""
        return self.delegate, list(ProxyType).index(self.proxy_type), self.delay


@dataclass(frozen=True)
class Announcement:
    """A call that a delegate is going to make: for whom, its hash, and the block of the announcement."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("pallet_proxy::Announcement")
    real: AccountId
    call_hash: H256
    height: U32


@dataclass(frozen=True)
class SpawnerDeposit:
    """The part of a pure account's deposit that its spawner holds, in planck."""

    spawner: AccountId
    amount: U128


Definitions = Annotated[tuple[ProxyDefinition, ...], MaxLength(MOST_PROXIES)]
Pending = Annotated[tuple[Announcement, ...], MaxLength(MOST_PENDING)]
