"""Weights of Sudo, measured by `datdot bench pallets`; not to be edited by hand.

Machine: AMD EPYC, Python 3.11. Times in picoseconds, first quartiles; then storage keys read and written.
"""

from pallets.weights import measured

REMOVE_KEY = measured(9_000_000, reads=1, writes=1)
SET_KEY = measured(11_000_000, reads=1, writes=1)
SUDO = measured(24_000_000, reads=1)
SUDO_AS = measured(19_000_000, reads=1)
SUDO_UNCHECKED_WEIGHT = measured(18_000_000, reads=1)
