"""The chain on disk: blocks, states and trie nodes in one LMDB environment, each block one write transaction.

`chain_store` is the whole; `layers` are the change sets above the folded state, `folding` what happens when one ends.
"""
