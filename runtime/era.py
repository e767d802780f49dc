"""Eras: for which blocks a transaction is valid (`sp_runtime::generic::Era`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from runtime import limits
from runtime.codec_scalars import Codec
from runtime.errors import CodecError
from runtime.types import type_path


class Era:
    """Either `Immortal()` or `Mortal(period, phase)`."""

    __scale_path__: ClassVar[tuple[str, ...]] = type_path("sp_runtime::generic::era::Era")
    __scale_codec__: ClassVar[Codec[Any]]

    def birth(self, current: int) -> int:
        """Return the first block of the era, whose hash the sender signs, when `current` is being made."""
        raise TypeError("an era is Immortal or Mortal")

    def death(self, current: int) -> int:
        """Return the first block in which the transaction is no longer valid."""
        raise TypeError("an era is Immortal or Mortal")


@dataclass(frozen=True)
class Immortal(Era):
    """Valid forever; the genesis hash is signed."""

    def birth(self, current: int) -> int:
        """Return block 0."""
        return 0

    def death(self, current: int) -> int:
        """Return a block that never comes."""
        return 2**64 - 1


@dataclass(frozen=True)
class Mortal(Era):
    """Valid for `period` blocks (a power of two) that begin where block number modulo period is `phase`."""

    period: int
    phase: int

    def __post_init__(self) -> None:
        low, high = limits.ERA_PERIOD_BLOCKS_MINIMUM, limits.ERA_PERIOD_BLOCKS_MAXIMUM
        if not low <= self.period <= high or self.period & (self.period - 1):
            raise ValueError(f"an era's period is a power of two from {low} to {high}, not {self.period}")
        if not 0 <= self.phase < self.period or self.phase % self.quantize:
            raise ValueError(f"phase {self.phase} does not fit period {self.period}")

    @property
    def quantize(self) -> int:
        """How coarse the phase is, in blocks: 12 bits of phase are kept."""
        return max(self.period >> 12, 1)

    @classmethod
    def starting(cls, current: int, period: int) -> Mortal:
        """Return the era of about `period` blocks around block `current`, rounded as Substrate rounds it."""
        low, high = limits.ERA_PERIOD_BLOCKS_MINIMUM, limits.ERA_PERIOD_BLOCKS_MAXIMUM
        rounded = min(max(1 << max(period - 1, 0).bit_length(), low), high)
        quantize = max(rounded >> 12, 1)
        return cls(rounded, current % rounded // quantize * quantize)

    def birth(self, current: int) -> int:
        """Return the first block of the era around `current`."""
        return (max(current, self.phase) - self.phase) // self.period * self.period + self.phase

    def death(self, current: int) -> int:
        """Return the first block after the era around `current`."""
        return self.birth(current) + self.period


def encode_era(era: Any) -> bytes:
    """Return one zero byte, or the two bytes of a mortal era."""
    if isinstance(era, Immortal):
        return b"\0"
    if not isinstance(era, Mortal):
        raise CodecError(f"expected an Era, got {type(era).__name__}")
    exponent = min(max(era.period.bit_length() - 2, 1), 15)
    return (exponent | (era.phase // era.quantize) << 4).to_bytes(2, "little")


def read_era(data: bytes, offset: int) -> tuple[Era, int]:
    """Read an era; raises CodecError for a phase outside the period."""
    if data[offset : offset + 1] == b"\0":
        return Immortal(), offset + 1
    if offset + 2 > len(data):
        raise CodecError("a mortal era has two bytes", offset)
    encoded = int.from_bytes(data[offset : offset + 2], "little")
    period = 2 << (encoded & 15)
    try:
        return Mortal(period, (encoded >> 4) * max(period >> 12, 1)), offset + 2
    except ValueError as error:
        raise CodecError(str(error), offset) from None


Era.__scale_codec__ = Codec("Era", encode_era, read_era, 1)
