"""Weights of Scheduler, measured by `datdot bench pallets`; not to be edited by hand.

Machine: AMD EPYC, Python 3.11. Times in picoseconds, first quartiles; then storage keys read and written.
"""

from pallets.weights import measured

CANCEL = measured(13_000_000, reads=1, writes=2)
CANCEL_NAMED = measured(14_000_000, reads=2, writes=2)
CANCEL_NAMED_PER_TASK = measured(10_346_000)
CANCEL_PER_TASK = measured(10_467_000)
ON_INITIALIZE = measured(3_000_000, reads=2, writes=1)
ON_INITIALIZE_PER_TASK = measured(25_942_000)
SCHEDULE = measured(22_000_000, reads=1, writes=1)
SCHEDULE_AFTER = measured(23_000_000, reads=1, writes=1)
SCHEDULE_AFTER_PER_TASK = measured(10_310_000)
SCHEDULE_NAMED = measured(24_000_000, reads=2, writes=2)
SCHEDULE_NAMED_AFTER = measured(25_000_000, reads=2, writes=2)
SCHEDULE_NAMED_AFTER_PER_TASK = measured(10_431_000)
SCHEDULE_NAMED_PER_TASK = measured(10_321_000)
SCHEDULE_PER_TASK = measured(10_415_000)
