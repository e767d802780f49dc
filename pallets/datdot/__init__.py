"""The hosting market. `from pallets.datdot import DatDot, DatDotConfig` and put it into a runtime."""

from pallets.datdot.config import DatDotConfig
from pallets.datdot.pallet import DatDot

__all__ = ["DatDot", "DatDotConfig"]
