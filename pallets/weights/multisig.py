"""Weights of Multisig, measured by `datdot bench pallets`; not to be edited by hand.

Machine: AMD EPYC, Python 3.11. Times in picoseconds, first quartiles; then storage keys read and written.
"""

from pallets.weights import measured

APPROVE_AS_MULTI = measured(51_000_000, reads=3, writes=3)
APPROVE_AS_MULTI_PER_SIGNATORY = measured(152_000)
AS_MULTI = measured(71_000_000, reads=3, writes=3)
AS_MULTI_PER_SIGNATORY = measured(157_000)
AS_MULTI_THRESHOLD_1 = measured(17_000_000)
AS_MULTI_THRESHOLD_1_PER_SIGNATORY = measured(154_000)
CANCEL_AS_MULTI = measured(53_000_000, reads=3, writes=3)
CANCEL_AS_MULTI_PER_SIGNATORY = measured(142_000)
POKE_DEPOSIT = measured(12_000_000, reads=1)
POKE_DEPOSIT_PER_SIGNATORY = measured(159_000)
