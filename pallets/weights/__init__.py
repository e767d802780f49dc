"""Weights as `datdot bench pallets` measured them: a module per pallet, a constant per call and hook.

A constant is time in picoseconds plus the storage that is read and written, at the measured cost of one key. What grows
with the arguments has a constant of its own, `CALL_PER_UNIT`. The modules are generated; they are part of the runtime.
"""

from __future__ import annotations

from pallets.weights.database import READ_PS, WRITE_PS
from runtime.weights import RuntimeDbWeight, Weight

DATABASE = RuntimeDbWeight(READ_PS, WRITE_PS)


def measured(time_ps: int, *, reads: int = 0, writes: int = 0) -> Weight:
    """Return the weight of work that takes so long and touches so many storage keys."""
    return Weight(time_ps) + DATABASE.reads_writes(reads, writes)


def heaviest(*weights: Weight) -> Weight:
    """Return the largest of each part: calls that do nearly the same share the weight of the slowest."""
    return Weight(max(one.ref_time for one in weights), max(one.proof_size for one in weights))
