"""What the chain does, as pallets. `chain` composes ours of them, `compose` has what every runtime shares.

A small pallet is one module; a large one is a folder, whose `pallet` has the calls and hooks. `balances` shows the
shape, `datdot` is the market, `weights` is generated from measurements.
"""
