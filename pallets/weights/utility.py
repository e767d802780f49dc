"""Weights of Utility, measured by `datdot bench pallets`; not to be edited by hand.

Machine: AMD EPYC, Python 3.11. Times in picoseconds, first quartiles; then storage keys read and written.
"""

from pallets.weights import measured

AS_DERIVATIVE = measured(15_000_000)
BATCH = measured(10_000_000)
BATCH_ALL = measured(10_000_000)
BATCH_ALL_PER_CALL = measured(10_258_000)
BATCH_PER_CALL = measured(10_151_000)
DISPATCH_AS = measured(20_000_000)
DISPATCH_AS_FALLIBLE = measured(20_000_000)
FORCE_BATCH = measured(10_000_000)
FORCE_BATCH_PER_CALL = measured(10_118_000)
IF_ELSE = measured(24_000_000, reads=1, writes=1)
WITH_WEIGHT = measured(8_000_000)
