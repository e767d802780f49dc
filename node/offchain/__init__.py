"""Off-chain workers of pallets: run after each best block, with storage that is this node's alone."""
