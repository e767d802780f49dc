"""Weights of DatDot, measured by `datdot bench pallets`; not to be edited by hand.

Machine: AMD EPYC, Python 3.11. Times in picoseconds, first quartiles; then storage keys read and written.
"""

from pallets.weights import measured

AMENDMENT_REPORT = measured(664_000_000, reads=36, writes=29)
END_PLAN = measured(26_000_000, reads=2, writes=3)
NEW_USER = measured(99_000_000, reads=5, writes=6)
ON_INITIALIZE = measured(21_000_000, reads=15, writes=1)
PUBLISH_FEED = measured(103_000_000, reads=3, writes=4)
PUBLISH_PLAN = measured(295_000_000, reads=10, writes=15)
PUBLISH_PLAN_PER_CONTRACT = measured(41_035_000, writes=2)
REGISTER_FOR_WORK = measured(128_000_000, reads=19, writes=20)
REGISTER_FOR_WORK_PER_COMPONENT = measured(7_412_000, reads=1, writes=2)
START_PLAN = measured(11_000_000, reads=1)
SUBMIT_STORAGE_CHALLENGE = measured(74_000_000, reads=4, writes=1)
SUBMIT_STORAGE_CHALLENGE_PER_LEAF = measured(7_179_000)
