"""The programs: a node, the services of its providers, a client of any chain, and the `datdot` command.

From the top down; a folder uses those below it:

    cli                         the command, whose parts import what they run when they run
    bench, scaffold, devnet     measured weights; a chain builder's first files; whole networks on this machine
    node                        a node, assembled; `config` says what it is told
    app, metrics, rpc           what a node shows: a page, figures, JSON-RPC
    roles, offchain             what runs beside the chain: the services of providers, the workers of pallets
    client                      a chain as programs see it, the one of this process or one behind a WebSocket
    chain                       importer, author and transactions: the only writer of the store
    net, store                  peers, disk
    sync, consensus, txpool     state machines without clock, sockets or files
    keys, runtime_source        who signs; which runtime executes a block
"""
