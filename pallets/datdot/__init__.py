"""The hosting market. Put `pallets.datdot.pallet.DatDot` with a `pallets.datdot.config.DatDotConfig` into a runtime.

Read in this order; each module uses only those before it:

    config, types, components, items, events   constants, what is stored, what comes with calls, what is told
    contracts, timetables, lane, lane_tree, sealing, messages   pure: ranges, hours, sealed copies, statements
    waiting, storage                            calendar and lines; every storage item
    pool, selection, rewards                    who is free, who is drawn, who is paid
    setup, hosting, proofs, lifecycle           amendments, lanes, challenges; the tables of states and the block
    calls, pallet                               what calls check; the calls and hooks themselves
    queries, invariants                         what services ask; what is always true

Nothing is imported here: processes that only seal chunks need `sealing` without the rest.
"""
