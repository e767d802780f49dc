"""The chain of a node: blocks come in, from peers and from our own author, and everybody is told what changed.

`chain` is the only writer of the store. `author` makes blocks, `transactions` leads to the pool, `gossip` and
`for_peers` to the network.
"""
