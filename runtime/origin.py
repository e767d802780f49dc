"""Who calls: an account that signed, the chain itself, or nobody; and what an account's delegate may not do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

from runtime.call import RuntimeCall
from runtime.errors import BadOrigin
from runtime.types import AccountId, Unencoded, Variant, type_path

CallFilter = Callable[[RuntimeCall], bool]
"""Tells whether a call may be made; it must depend on the call alone."""


class Origin(Variant):
    """`frame_system::RawOrigin`: where a call comes from."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("frame_support::dispatch::RawOrigin")


@dataclass(frozen=True)
class Root(Origin):
    """The chain itself: sudo, the scheduler."""


@dataclass(frozen=True)
class Signed(Origin, unnamed=True):
    """An account whose signature was verified, or for which somebody else may act within the limits of `filters`.

    `Runtime.dispatch` makes a call only if every filter allows it. A call that dispatches others for the same account
    hands its origin on, so the filters hold however deep a call is nested.
    """

    account: AccountId
    filters: Annotated[tuple[CallFilter, ...], Unencoded()] = ()

    def allows(self, call: RuntimeCall) -> bool:
        """Tell whether all filters let a call pass."""
        return all(allowed(call) for allowed in self.filters)


@dataclass(frozen=True)
class NoneOrigin(Origin):
    """An extrinsic without a signature: an inherent, or what its pallet validates unsigned."""

    __scale_name__: ClassVar[str] = "None"


class OriginCaller(Variant):
    """Any origin as an argument of a call; this chain has those of System only."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("datdot_runtime::OriginCaller")


@dataclass(frozen=True)
class SystemOrigin(OriginCaller, index=0, unnamed=True):
    """An origin of System."""

    __scale_name__: ClassVar[str] = "system"
    origin: Origin


def ensure_signed(origin: Origin) -> bytes:
    """Return the account that signed; raises BadOrigin for Root and nobody."""
    if isinstance(origin, Signed):
        return origin.account
    raise BadOrigin


def ensure_root(origin: Origin) -> None:
    """Raise BadOrigin unless the chain itself calls."""
    if not isinstance(origin, Root):
        raise BadOrigin


def ensure_none(origin: Origin) -> None:
    """Raise BadOrigin unless nobody signed: the rule of inherents and of unsigned calls."""
    if not isinstance(origin, NoneOrigin):
        raise BadOrigin
