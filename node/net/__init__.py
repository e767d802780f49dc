"""The network between nodes, over libp2p.

`service` assembles it: a `host`, one `session` for each peer, `gossip`, a `mesh` for distant peers, `sync_protocol`,
`discovery`. `peers` remembers offences and bans. The quirks of py-libp2p stay in `libp2p_compat` and `kademlia`.
"""
