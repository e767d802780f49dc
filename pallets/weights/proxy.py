"""Weights of Proxy, measured by `datdot bench pallets`; not to be edited by hand.

Machine: AMD EPYC, Python 3.11. Times in picoseconds, first quartiles; then storage keys read and written.
"""

from pallets.weights import measured

ADD_PROXY = measured(148_000_000, reads=4, writes=3)
ANNOUNCE = measured(139_000_000, reads=4, writes=3)
CREATE_PURE = measured(48_000_000, reads=3, writes=4)
KILL_PURE = measured(53_000_000, reads=5, writes=4)
POKE_DEPOSIT = measured(77_000_000, reads=4, writes=2)
PROXY = measured(57_000_000, reads=1)
PROXY_ANNOUNCED = measured(167_000_000, reads=4, writes=3)
REJECT_ANNOUNCEMENT = measured(103_000_000, reads=3, writes=3)
REMOVE_ANNOUNCEMENT = measured(104_000_000, reads=3, writes=3)
REMOVE_PROXIES = measured(69_000_000, reads=4, writes=3)
REMOVE_PROXY = measured(119_000_000, reads=4, writes=3)
