"""The transaction pool as a pure state machine: what waits for a block, in which order, and what became of it."""
