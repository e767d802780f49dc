"""Weights of Scheduler, measured by `datdot bench pallets`; not to be edited by hand.

Machine: AMD EPYC, Python 3.11. Times in picoseconds, first quartiles; then storage keys read and written.
"""

from pallets.weights import measured

CANCEL = measured(12_000_000, reads=1, writes=3)
CANCEL_NAMED = measured(14_000_000, reads=2, writes=3)
CANCEL_NAMED_PER_TASK = measured(5_427_000)
CANCEL_PER_TASK = measured(5_353_000)
CANCEL_RETRY = measured(13_000_000, reads=1, writes=1)
CANCEL_RETRY_NAMED = measured(14_000_000, reads=2, writes=1)
CANCEL_RETRY_NAMED_PER_TASK = measured(2_893_000)
CANCEL_RETRY_PER_TASK = measured(2_885_000)
ON_INITIALIZE = measured(4_000_000, reads=2, writes=1)
ON_INITIALIZE_PER_TASK = measured(21_871_000, reads=1, writes=1)
SCHEDULE = measured(21_000_000, reads=1, writes=1)
SCHEDULE_AFTER = measured(22_000_000, reads=1, writes=1)
SCHEDULE_AFTER_PER_TASK = measured(5_386_000)
SCHEDULE_NAMED = measured(23_000_000, reads=2, writes=2)
SCHEDULE_NAMED_AFTER = measured(24_000_000, reads=2, writes=2)
SCHEDULE_NAMED_AFTER_PER_TASK = measured(5_431_000)
SCHEDULE_NAMED_PER_TASK = measured(5_566_000)
SCHEDULE_PER_TASK = measured(5_528_000)
SET_RETRY = measured(15_000_000, reads=1, writes=1)
SET_RETRY_NAMED = measured(17_000_000, reads=2, writes=1)
SET_RETRY_NAMED_PER_TASK = measured(2_871_000)
SET_RETRY_PER_TASK = measured(3_019_000)
