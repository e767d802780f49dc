"""Values that the balances pallet keeps in storage, laid out as FRAME's `pallet_balances` types."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Annotated, ClassVar

from runtime.types import U128, Fixed, Variant, type_path


class HoldReason(Variant):
    """Why a part of a balance is held: one variant for each pallet that holds (FRAME's RuntimeHoldReason).

    A pallet that holds declares its variant beside its own types, at the pallet's index:

        class DatDotHold(enum.Enum): ...
        @dataclass(frozen=True)
        class DatDot(HoldReason, index=20, unnamed=True):
            reason: DatDotHold
    """

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("datdot_runtime::RuntimeHoldReason")


@dataclass(frozen=True)
class Hold:
    """A held amount and what it is held for (FRAME's IdAmount)."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("frame_support::traits::tokens::misc::IdAmount")
    id: HoldReason
    amount: U128


LockIdentifier = Annotated[bytes, Fixed(8)]


class Reasons(enum.Enum):
    """What a lock forbids."""

    FEE = "Paying system transaction fees."
    MISC = "Any reason other than paying system transaction fees."
    ALL = "Any reason at all."


Reasons.__scale_path__ = type_path("pallet_balances::types::Reasons")  # type: ignore[attr-defined]


@dataclass(frozen=True)
class BalanceLock:
    """A lock on a balance, the largest of which counts; kept for clients, this chain makes none."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("pallet_balances::types::BalanceLock")
    id: LockIdentifier
    amount: U128
    reasons: Reasons


@dataclass(frozen=True)
class ReserveData:
    """A named reserve; kept for clients, this chain holds by reason instead."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("pallet_balances::types::ReserveData")
    id: LockIdentifier
    amount: U128
