"""Weights of Utility, measured by `datdot bench pallets`; not to be edited by hand.

Machine: AMD EPYC, Python 3.11. Times in picoseconds, first quartiles; then storage keys read and written.
"""

from pallets.weights import measured

AS_DERIVATIVE = measured(14_000_000)
BATCH = measured(10_000_000)
BATCH_ALL = measured(10_000_000)
BATCH_ALL_PER_CALL = measured(9_837_000)
BATCH_PER_CALL = measured(9_828_000)
FORCE_BATCH = measured(10_000_000)
FORCE_BATCH_PER_CALL = measured(9_734_000)
