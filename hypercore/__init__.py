"""Signed append-only logs, compatible with Hypercore 11: Merkle proofs and wire protocol.

Everything here is pure, without clock, files or sockets; `hypercore.io` has stores, sessions and sockets.
"""
