"""Who calls: an account that signed, the chain itself, or nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from runtime.errors import BadOrigin
from runtime.types import AccountId, Variant, type_path


class Origin(Variant):
    """`frame_system::RawOrigin`: where a call comes from."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("frame_support::dispatch::RawOrigin")


@dataclass(frozen=True)
class Root(Origin):
    """The chain itself: sudo, the scheduler."""


@dataclass(frozen=True)
class Signed(Origin, unnamed=True):
    """An account whose signature was verified."""

    account: AccountId


@dataclass(frozen=True)
class NoneOrigin(Origin):
    """An extrinsic without a signature: an inherent."""

    __scale_name__: ClassVar[str] = "None"


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
    """Raise BadOrigin unless nobody signed: the rule of inherents."""
    if not isinstance(origin, NoneOrigin):
        raise BadOrigin
