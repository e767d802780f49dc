"""Weights of System, measured by `datdot bench pallets`; not to be edited by hand.

Machine: AMD EPYC, Python 3.11. Times in picoseconds, first quartiles; then storage keys read and written.
"""

from pallets.weights import measured

KILL_PREFIX = measured(5_000_000, reads=1)
KILL_PREFIX_PER_KEY = measured(554_000, reads=1, writes=1)
KILL_STORAGE = measured(4_000_000)
KILL_STORAGE_PER_KEY = measured(533_000, writes=1)
REMARK = measured(4_000_000)
REMARK_PER_BYTE = measured(0)
REMARK_WITH_EVENT = measured(10_000_000)
REMARK_WITH_EVENT_PER_BYTE = measured(1_000)
SET_CODE = measured(12_000_000, writes=1)
SET_STORAGE = measured(4_000_000)
SET_STORAGE_PER_KEY = measured(4_241_000, writes=1)
