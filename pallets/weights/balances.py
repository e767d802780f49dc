"""Weights of Balances, measured by `datdot bench pallets`; not to be edited by hand.

Machine: AMD EPYC, Python 3.11. Times in picoseconds, first quartiles; then storage keys read and written.
"""

from pallets.weights import measured

FORCE_SET_BALANCE = measured(36_000_000, reads=2, writes=2)
FORCE_TRANSFER = measured(36_000_000, reads=2, writes=2)
TRANSFER_ALL = measured(37_000_000, reads=2, writes=2)
TRANSFER_ALLOW_DEATH = measured(37_000_000, reads=2, writes=2)
TRANSFER_KEEP_ALIVE = measured(36_000_000, reads=2, writes=2)
