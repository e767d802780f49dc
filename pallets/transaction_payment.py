"""Transaction payment: what an extrinsic costs, and who gets it.

fee = base fee + bytes * byte fee + NextFeeMultiplier * weight fee, and the tip on top of it. The fee is taken before
the call runs, by its declared weight, and corrected by its actual weight afterwards. Fee and tip go to the author of
the block. The multiplier rises while blocks are fuller than the target and falls, never below one, while they are
emptier.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from pallets.aura import Aura
from pallets.balances import Balances
from pallets.system import System
from runtime.call import DispatchResult
from runtime.errors import InvalidTransaction, TokenError, Validity
from runtime.events import Event
from runtime.pallet import Pallet, constant
from runtime.storage import StorageValue
from runtime.types import U8, U64, U128, AccountId, type_path
from runtime.weights import OPERATIONAL, DispatchClass, DispatchInfo, Pays, Weight

ONE = 10**18
"""1.0 in the fixed point of FRAME's FixedU128."""
PPM = 10**6
U64_MAX = 2**64 - 1


@dataclass(frozen=True)
class TransactionPaymentConfig:
    """What a chain builder chooses about fees."""

    operational_fee_multiplier: U8 = constant(5, "Operational calls get a virtual tip of so many times their fee.")
    transaction_byte_fee: U128 = constant(1, "Fee per byte of an extrinsic, in planck.")
    ref_time_per_planck: U64 = constant(1_000, "Picoseconds of weight that cost one planck at multiplier one.")
    target_block_fullness: U64 = constant(PPM // 4, "Share of the normal weight at which the multiplier rests, in ppm.")
    adjustment_variable: U128 = constant(75 * ONE // PPM, "How fast the multiplier follows (10^18 is one).")
    maximum_multiplier: U128 = constant(1_000_000 * ONE, "What the multiplier never rises above (10^18 is one).")


class Releases(enum.Enum):
    """Layout of this pallet's storage."""

    V1_ANCIENT = "The multiplier was a Fixed128."
    V2 = "The multiplier is a FixedU128."


Releases.__scale_path__ = type_path("pallet_transaction_payment::Releases")  # type: ignore[attr-defined]


@dataclass(frozen=True)
class InclusionFee:
    """The parts of the fee without the tip, in planck."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("pallet_transaction_payment::types::InclusionFee")
    base_fee: U128
    len_fee: U128
    adjusted_weight_fee: U128

    @property
    def total(self) -> int:
        """The sum of the parts."""
        return self.base_fee + self.len_fee + self.adjusted_weight_fee


@dataclass(frozen=True)
class FeeDetails:
    """The fee in parts, none when the call is free, and the tip (`TransactionPaymentApi_query_fee_details`)."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("pallet_transaction_payment::types::FeeDetails")
    inclusion_fee: InclusionFee | None
    tip: U128


@dataclass(frozen=True)
class RuntimeDispatchInfo:
    """What a call weighs and costs without the tip (`TransactionPaymentApi_query_info`)."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("pallet_transaction_payment::types::RuntimeDispatchInfo")
    weight: Weight
    class_: DispatchClass
    partial_fee: U128


class TransactionPaymentEvent(Event):
    """What was paid."""


@dataclass(frozen=True)
class TransactionFeePaid(TransactionPaymentEvent):
    """A transaction fee `actual_fee`, of which `tip` was added to the minimum inclusion fee, has been paid by `who`."""

    who: AccountId
    actual_fee: U128
    tip: U128


class TransactionPayment(Pallet):
    """Fees of extrinsics, paid to the author of the block."""

    name = "TransactionPayment"
    index = 6
    Config = TransactionPaymentConfig
    Event = TransactionPaymentEvent
    config: TransactionPaymentConfig

    next_fee_multiplier = StorageValue(
        U128, default=ONE, docs="The factor of weight fees, as FixedU128 (10^18 is one)."
    )
    storage_version = StorageValue(Releases, default=Releases.V2, docs="Layout of this pallet's storage.")

    def __init__(self, config: TransactionPaymentConfig, *, system: System, aura: Aura, balances: Balances) -> None:
        super().__init__(config)
        self.system = system
        self.aura = aura
        self.balances = balances

    # What clients ask

    def fee_details(self, info: DispatchInfo, length_bytes: int, tip: int = 0) -> FeeDetails:
        """Return what an extrinsic of this length would be charged in a block on top of the current state."""
        if info.pays_fee is Pays.NO:
            return FeeDetails(None, tip)
        base = self.system.config.block_weights.per_class.of(info.class_).base_extrinsic
        fee = InclusionFee(
            base_fee=self.weight_to_fee(base),
            len_fee=self.length_to_fee(length_bytes),
            adjusted_weight_fee=self.weight_to_fee(info.weight) * self.next_fee_multiplier.get() // ONE,
        )
        return FeeDetails(fee, tip)

    def weight_to_fee(self, weight: Weight) -> int:
        """Return what a weight costs before the multiplier, in planck."""
        return weight.ref_time // self.config.ref_time_per_planck

    def length_to_fee(self, length_bytes: int) -> int:
        """Return what the length of an extrinsic costs, in planck."""
        return length_bytes * self.config.transaction_byte_fee

    def fee(self, info: DispatchInfo, length_bytes: int, tip: int = 0) -> int:
        """Return fee and tip together, in planck: exactly what `charge` takes."""
        details = self.fee_details(info, length_bytes, tip)
        return tip + (0 if details.inclusion_fee is None else details.inclusion_fee.total)

    def query_info(self, info: DispatchInfo, length_bytes: int) -> RuntimeDispatchInfo:
        """Return the answer of `TransactionPaymentApi_query_info`."""
        return RuntimeDispatchInfo(info.weight, info.class_, self.fee(info, length_bytes))

    # What the state transition asks

    def validate(self, account: bytes, info: DispatchInfo, length_bytes: int, tip: int) -> int:
        """Return the priority of a transaction; raises InvalidTransaction(PAYMENT) if fee and tip cannot be paid."""
        fee = self.fee(info, length_bytes, tip)
        if fee > self.balances.reducible(account, keep_alive=True):
            raise InvalidTransaction(Validity.PAYMENT)
        return self._priority(info, length_bytes, tip, fee)

    def charge(self, account: bytes, info: DispatchInfo, length_bytes: int, tip: int) -> int:
        """Take fee and tip by the declared weight and return them; raises InvalidTransaction(PAYMENT)."""
        fee = self.fee(info, length_bytes, tip)
        try:
            self.balances.withdraw_fee(account, fee)
        except TokenError:
            raise InvalidTransaction(Validity.PAYMENT) from None
        return fee

    def correct(
        self, charged: int, account: bytes, info: DispatchInfo, result: DispatchResult, length_bytes: int, tip: int
    ) -> None:
        """Give back what the actual weight did not need, pay the author, and say what was paid."""
        actual = DispatchInfo(result.actual_weight, info.class_, result.pays_fee)
        fee = min(self.fee(actual, length_bytes, tip), charged)
        self.balances.deposit_fee(account, charged - fee)
        self.balances.deposit_fee(self.aura.author(), fee)
        self.deposit_event(TransactionFeePaid(account, fee, tip))

    # Hooks

    def on_finalize(self, number: int) -> None:
        """Set the multiplier of the next block by how full this one was."""
        before = self.next_fee_multiplier.get()
        after = self._adjusted(before)
        if after != before:
            self.next_fee_multiplier.put(after)

    def _adjusted(self, multiplier: int) -> int:
        """Return m * (1 + v*d + (v*d)^2 / 2), d being fullness less target, within one and the maximum."""
        limit = self.system.config.block_weights.per_class.normal.max_total
        if limit is None or limit.ref_time == 0:
            return multiplier
        used = min(self.system.block_weight.get().normal.ref_time, limit.ref_time)
        target = limit.ref_time * self.config.target_block_fullness // PPM
        first = self.config.adjustment_variable * abs(used - target) // limit.ref_time
        second = first * first // (2 * ONE)
        factor = ONE + second + (first if used > target else -first)
        return max(ONE, min(multiplier * factor // ONE, self.config.maximum_multiplier))

    def _priority(self, info: DispatchInfo, length_bytes: int, tip: int, fee: int) -> int:
        """Return (tip + 1) * how often such an extrinsic fits into a block; operational ones add a virtual tip."""
        limits = self.system.config
        weight_limit = limits.block_weights.max_block.ref_time
        length_limit = limits.block_length.max.of(info.class_)
        copies = min(weight_limit // max(info.weight.ref_time, 1), length_limit // max(length_bytes, 1))
        virtual_tip = fee * self.config.operational_fee_multiplier if info.class_ is OPERATIONAL else 0
        return min((tip + virtual_tip + 1) * max(copies, 1), U64_MAX)
