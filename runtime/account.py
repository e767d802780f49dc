"""Accounts as every pallet and client sees them: addresses, and what System stores per account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from runtime.errors import CannotLookup
from runtime.types import U32, U128, AccountId, Bytes, Bytes20, Bytes32, Compact, Variant, type_path

NEW_LOGIC_FLAG = 1 << 127
"""FRAME's mark of an account whose frozen balance counts in the present way."""


@dataclass(frozen=True)
class AccountData:
    """Balances of an account in planck; `reserved` is the sum of its holds, `flags` are FRAME's."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("pallet_balances::types::AccountData")
    free: U128 = 0
    reserved: U128 = 0
    frozen: U128 = 0
    flags: U128 = NEW_LOGIC_FLAG


@dataclass(frozen=True)
class AccountInfo:
    """What System.Account stores: the next nonce, reference counts, balances."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("frame_system::AccountInfo")
    nonce: U32 = 0
    consumers: U32 = 0
    providers: U32 = 0
    sufficients: U32 = 0
    data: AccountData = AccountData()


class MultiAddress(Variant):
    """`sp_runtime::MultiAddress`: how extrinsics name an account; this chain looks up `Id` only."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_runtime::multiaddress::MultiAddress")
    __scale_params__: ClassVar[tuple[tuple[str, Any], ...]] = (("AccountId", AccountId), ("AccountIndex", None))


@dataclass(frozen=True)
class Id(MultiAddress, index=0, unnamed=True):
    """An account id."""

    account: AccountId


@dataclass(frozen=True)
class Index(MultiAddress, index=1, unnamed=True):
    """An account index."""

    index: Annotated[int, Compact(16)]


@dataclass(frozen=True)
class Raw(MultiAddress, index=2, unnamed=True):
    """Arbitrary bytes."""

    data: Bytes


@dataclass(frozen=True)
class Address32(MultiAddress, index=3, unnamed=True):
    """32 bytes that are no account id."""

    data: Bytes32


@dataclass(frozen=True)
class Address20(MultiAddress, index=4, unnamed=True):
    """20 bytes."""

    data: Bytes20


def lookup(address: MultiAddress) -> bytes:
    """Return the account an address names; raises CannotLookup for anything but `Id`."""
    if isinstance(address, Id):
        return address.account
    raise CannotLookup
