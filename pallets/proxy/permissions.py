"""What a proxy may do: the kinds of proxies and the calls that each of them allows."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from runtime.call import RuntimeCall
from runtime.types import type_path


class ProxyType(enum.Enum):
    """The calls that a proxy may make for an account."""

    ANY = "Every call."
    NON_TRANSFER = "Every call but those that spend balance or act as yet another account."
    MARKET = "Every call of the hosting market."
    PROVIDER = "A provider's work on the market: offering it, reporting, proving."
    SPONSOR = "A sponsor's part of the market: publishing feeds and plans, ending plans."


ProxyType.__scale_path__ = type_path("datdot_runtime::ProxyType")  # type: ignore[attr-defined]

_SUPERSETS = {
    ProxyType.ANY: frozenset(ProxyType),
    ProxyType.NON_TRANSFER: frozenset({ProxyType.NON_TRANSFER, ProxyType.PROVIDER}),
    ProxyType.MARKET: frozenset({ProxyType.MARKET, ProxyType.PROVIDER, ProxyType.SPONSOR}),
    ProxyType.PROVIDER: frozenset({ProxyType.PROVIDER}),
    ProxyType.SPONSOR: frozenset({ProxyType.SPONSOR}),
}

_SPENDS = frozenset({"DatDot.publish_plan"})
_ACTS_AS_ANOTHER = frozenset({"Proxy.proxy", "Proxy.proxy_announced"})
"""Dispatches from a fresh origin, where the filter of the proxy would end."""

_PROVIDER_CALLS = frozenset({
    "DatDot.new_user", "DatDot.register_for_work", "DatDot.amendment_report", "DatDot.submit_storage_challenge",
})  # fmt: skip
_SPONSOR_CALLS = frozenset({
    "DatDot.new_user", "DatDot.publish_feed", "DatDot.publish_plan", "DatDot.start_plan", "DatDot.end_plan",
})  # fmt: skip


def is_superset(kind: ProxyType, other: ProxyType) -> bool:
    """Tell whether everything that `other` allows is allowed by `kind`."""
    return other in _SUPERSETS[kind]


def allows(kind: ProxyType, call: RuntimeCall) -> bool:
    """Tell whether a kind allows a call; Utility is always allowed, as the filter holds for the calls inside."""
    match kind:
        case ProxyType.ANY:
            return True
        case ProxyType.NON_TRANSFER:
            spends = call.pallet == "Balances" or call.name in _SPENDS
            return not spends and call.pallet not in ("Multisig", "Sudo") and call.name not in _ACTS_AS_ANOTHER
        case ProxyType.MARKET:
            return call.pallet in ("DatDot", "Utility")
        case ProxyType.PROVIDER:
            return call.pallet == "Utility" or call.name in _PROVIDER_CALLS
        case ProxyType.SPONSOR:
            return call.pallet == "Utility" or call.name in _SPONSOR_CALLS


@dataclass(frozen=True)
class ProxyFilter:
    """The filter of calls that a proxy of a kind makes: no proxy gives away or takes more than it has itself."""

    kind: ProxyType

    def __call__(self, call: RuntimeCall) -> bool:
        """Tell whether the call may be made."""
        if call.name in ("Proxy.add_proxy", "Proxy.remove_proxy"):
            if not is_superset(self.kind, call.arguments["proxy_type"]):
                return False
        elif call.name in ("Proxy.remove_proxies", "Proxy.kill_pure"):
            return self.kind is ProxyType.ANY
        return allows(self.kind, call)
