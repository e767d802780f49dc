"""Networks for development: a market in one process (`dev`) or in many (`localnet`), and upgrades at every edit.

`watch` sees edits, `upgrade` puts them in force, `meanings` tells what stored values are read as something else.
"""
