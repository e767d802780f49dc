"""Weights of Block, measured by `datdot bench pallets`; not to be edited by hand.

Machine: AMD EPYC, Python 3.11. Times in picoseconds, first quartiles; then storage keys read and written.
"""

from pallets.weights import measured

BASE_BLOCK = measured(284_000_000)
BASE_EXTRINSIC = measured(109_000_000, reads=1, writes=1)
