"""Events and errors of the proxy pallet, named as FRAME names them."""

from __future__ import annotations

from dataclasses import dataclass

from pallets.nested import Outcome
from pallets.proxy.permissions import ProxyType
from pallets.proxy.types import DepositKind
from runtime.errors import PalletError
from runtime.events import Event
from runtime.types import H256, U16, U32, U128, AccountId


class ProxyEvent(Event):
    """What happened to proxies and their calls."""


@dataclass(frozen=True)
class ProxyExecuted(ProxyEvent):
    """A proxy was executed correctly, with the given result of its call."""

    result: Outcome


@dataclass(frozen=True)
class PureCreated(ProxyEvent):
    """A pure account has been created by new proxy with given disambiguation index and proxy type."""

    pure: AccountId
    who: AccountId
    proxy_type: ProxyType
    disambiguation_index: U16


@dataclass(frozen=True)
class PureKilled(ProxyEvent):
    """A pure proxy was killed by its spawner."""

    pure: AccountId
    spawner: AccountId
    proxy_type: ProxyType
    disambiguation_index: U16


@dataclass(frozen=True)
class Announced(ProxyEvent):
    """An announcement was placed to make a call in the future."""

    real: AccountId
    proxy: AccountId
    call_hash: H256


@dataclass(frozen=True)
class ProxyAdded(ProxyEvent):
    """A proxy was added."""

    delegator: AccountId
    delegatee: AccountId
    proxy_type: ProxyType
    delay: U32


@dataclass(frozen=True)
class ProxyRemoved(ProxyEvent):
    """A proxy was removed."""

    delegator: AccountId
    delegatee: AccountId
    proxy_type: ProxyType
    delay: U32


@dataclass(frozen=True)
class DepositPoked(ProxyEvent):
    """A deposit stored for proxies or announcements was updated."""

    who: AccountId
    kind: DepositKind
    old_deposit: U128
    new_deposit: U128


class ProxyError(PalletError):
    """Why a call of this pallet failed."""

    TOO_MANY = "There are too many proxies registered or too many announcements pending."
    NOT_FOUND = "Proxy registration not found."
    NOT_PROXY = "Sender is not a proxy of the account to be proxied."
    UNPROXYABLE = "A call which is incompatible with the proxy type's filter was attempted."
    DUPLICATE = "Account is already a proxy."
    NO_PERMISSION = "Call may not be made by proxy because it may escalate its privileges."
    UNANNOUNCED = "Announcement, if made at all, was made too recently."
    NO_SELF_PROXY = "Cannot add self as proxy."
