"""Weights of Timestamp, measured by `datdot bench pallets`; not to be edited by hand.

Machine: AMD EPYC, Python 3.11. Times in picoseconds, first quartiles; then storage keys read and written.
"""

from pallets.weights import measured

SET = measured(5_000_000, reads=3, writes=2)
