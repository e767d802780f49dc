"""Catching up with peers as a pure state machine; `node.net.sync_protocol` carries out what it decides."""
