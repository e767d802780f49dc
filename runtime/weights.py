"""Weights: how much of a block a call takes, and how much a block has (FRAME's `frame_support::weights`, `limits`)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from runtime import limits
from runtime.types import U32, U64, CompactU64, type_path

PICOSECONDS_PER_SECOND = 10**12
PICOSECONDS_PER_MILLISECOND = 10**9
PICOSECONDS_PER_MICROSECOND = 10**6
U64_MAX = 2**64 - 1

T = TypeVar("T")


@dataclass(frozen=True)
class Weight:
    """Time in picoseconds on the reference machine and proof size in bytes (this chain leaves the latter 0)."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_weights::weight_v2::Weight")
    ref_time: CompactU64 = 0
    proof_size: CompactU64 = 0

    def __add__(self, other: Weight) -> Weight:
        return Weight(
            min(self.ref_time + other.ref_time, U64_MAX), min(self.proof_size + other.proof_size, U64_MAX)
        )

    def __sub__(self, other: Weight) -> Weight:
        """Subtract, stopping at zero."""
        return Weight(max(self.ref_time - other.ref_time, 0), max(self.proof_size - other.proof_size, 0))

    def __mul__(self, times: int) -> Weight:
        return Weight(min(self.ref_time * times, U64_MAX), min(self.proof_size * times, U64_MAX))

    def exceeds(self, limit: Weight) -> bool:
        """Tell whether any part is greater than the limit's."""
        return self.ref_time > limit.ref_time or self.proof_size > limit.proof_size

    def at_most(self, limit: Weight) -> Weight:
        """Return the lesser of each part."""
        return Weight(min(self.ref_time, limit.ref_time), min(self.proof_size, limit.proof_size))


ZERO_WEIGHT = Weight()


class DispatchClass(enum.Enum):
    """Which share of the block a call may use."""

    NORMAL = "Ordinary calls of users."
    OPERATIONAL = "Calls that keep the chain and the market honest; they have a reserve of the block."
    MANDATORY = "Inherents and hooks: always included."


class Pays(enum.Enum):
    """Whether the sender pays the fee of a call."""

    YES = "The sender pays."
    NO = "Nobody pays."


for _kind in (DispatchClass, Pays):
    _path = type_path(f"frame_support::dispatch::{_kind.__name__}")
    setattr(_kind, "__scale_path__", _path)  # noqa: B010 - an enum body would make it a member

NORMAL = DispatchClass.NORMAL
OPERATIONAL = DispatchClass.OPERATIONAL
MANDATORY = DispatchClass.MANDATORY


@dataclass(frozen=True)
class DispatchInfo:
    """What is known of a call before it runs."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("frame_support::dispatch::DispatchInfo")
    weight: Weight
    class_: DispatchClass = NORMAL
    pays_fee: Pays = Pays.YES


@dataclass(frozen=True)
class PostDispatchInfo:
    """What a call may return: the weight it really used (None: the declared one) and whether it still pays."""

    actual_weight: Weight | None = None
    pays_fee: Pays = Pays.YES


@dataclass(frozen=True)
class PerDispatchClass(Generic[T]):
    """One value per dispatch class."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("frame_support::dispatch::PerDispatchClass")
    normal: T
    operational: T
    mandatory: T

    def of(self, kind: DispatchClass) -> T:
        """Return the value of a class."""
        if kind is NORMAL:
            return self.normal
        return self.operational if kind is OPERATIONAL else self.mandatory

    def replace(self, kind: DispatchClass, value: T) -> PerDispatchClass[T]:
        """Return a copy with another value for one class."""
        if kind is NORMAL:
            return PerDispatchClass(value, self.operational, self.mandatory)
        if kind is OPERATIONAL:
            return PerDispatchClass(self.normal, value, self.mandatory)
        return PerDispatchClass(self.normal, self.operational, value)


@dataclass(frozen=True)
class WeightsPerClass:
    """Limits of one class; None is no limit."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("frame_system::limits::WeightsPerClass")
    base_extrinsic: Weight
    max_extrinsic: Weight | None
    max_total: Weight | None
    reserved: Weight | None


@dataclass(frozen=True)
class BlockWeights:
    """Limits of a block's weight."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("frame_system::limits::BlockWeights")
    base_block: Weight
    max_block: Weight
    per_class: PerDispatchClass[WeightsPerClass]


@dataclass(frozen=True)
class BlockLength:
    """Limits of the sum of a block's extrinsics, in bytes per class."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("frame_system::limits::BlockLength")
    max: PerDispatchClass[U32]


@dataclass(frozen=True)
class RuntimeDbWeight:
    """Picoseconds that one storage read or write takes."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_weights::RuntimeDbWeight")
    read: U64
    write: U64

    def reads_writes(self, reads: int, writes: int) -> Weight:
        """Return the weight of that many reads and writes."""
        return Weight(self.read * reads + self.write * writes)


BASE_EXTRINSIC_WEIGHT = Weight(150 * PICOSECONDS_PER_MICROSECOND)
BASE_BLOCK_WEIGHT = Weight(2 * PICOSECONDS_PER_MILLISECOND)


def default_block_weights(
    max_ref_time: int = 2 * PICOSECONDS_PER_SECOND,
    normal_percent: int = 75,
    base_extrinsic: Weight = BASE_EXTRINSIC_WEIGHT,
    base_block: Weight = BASE_BLOCK_WEIGHT,
) -> BlockWeights:
    """Return FRAME's usual limits: normal calls use `normal_percent` of a block, operational ones reserve the rest."""
    maximum = Weight(max_ref_time, U64_MAX)
    normal = Weight(max_ref_time * normal_percent // 100, U64_MAX)
    reserve = Weight(max_ref_time - normal.ref_time, U64_MAX)
    return BlockWeights(
        base_block=base_block,
        max_block=maximum,
        per_class=PerDispatchClass(
            normal=WeightsPerClass(base_extrinsic, normal - base_extrinsic, normal, Weight()),
            operational=WeightsPerClass(base_extrinsic, maximum - base_extrinsic, maximum, reserve),
            mandatory=WeightsPerClass(base_extrinsic, None, None, None),
        ),
    )


def default_block_length(maximum: int = limits.BLOCK_LENGTH_BYTES, normal_percent: int = 75) -> BlockLength:
    """Return the limits of a block's length: normal calls use `normal_percent` of it."""
    return BlockLength(PerDispatchClass(maximum * normal_percent // 100, maximum, maximum))
