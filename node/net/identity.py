"""Peer ids: the libp2p name of an ed25519 key, computed without libp2p (libp2p "Peer Ids and Keys").

A peer id is the base58 text of an identity multihash over the protobuf form of the public key, so that key and id are
the same information; the key is called the noise key, after the handshake that proves its possession.
"""

from __future__ import annotations

import base58

_ED25519_MULTIHASH_PREFIX = bytes.fromhex("002408011220")
NOISE_KEY_BYTES = 32


class InvalidPeerId(ValueError):
    """The text is not the peer id of an ed25519 key."""


def peer_id_of(noise_key: bytes) -> str:
    """Return the peer id (base58 text) of a 32-byte ed25519 public key. Raises InvalidPeerId for another length."""
    if len(noise_key) != NOISE_KEY_BYTES:
        raise InvalidPeerId(f"a noise key has {NOISE_KEY_BYTES} bytes, not {len(noise_key)}")
    return str(base58.b58encode(_ED25519_MULTIHASH_PREFIX + noise_key), "ascii")


def noise_key_of(peer_id: str) -> bytes:
    """Return the 32-byte ed25519 public key inside `peer_id`. Raises InvalidPeerId when there is none."""
    try:
        raw: bytes = base58.b58decode(peer_id)
    except ValueError as error:
        raise InvalidPeerId(f"peer id is not base58: {peer_id[:80]!r}") from error
    prefix, key = raw[: len(_ED25519_MULTIHASH_PREFIX)], raw[len(_ED25519_MULTIHASH_PREFIX) :]
    if prefix != _ED25519_MULTIHASH_PREFIX or len(key) != NOISE_KEY_BYTES:
        raise InvalidPeerId(f"peer id does not name an ed25519 key: {peer_id[:80]!r}")
    return key
