"""Hash onions: the author's half of the randomness beacon, as pure functions.

An onion for one epoch is a hash chain ``secret = x_0, x_1 = H(x_0), … x_n = H^n(secret)`` with one layer per slot of
the epoch, ``H`` being BLAKE2b-256. The authority commits to the tip ``x_n`` an epoch ahead. In the slot at offset
``k`` of the epoch it reveals layer ``L_k = x_(n-k-1)``, so that ``H^(k+1)(L_k)`` is the tip. Layers of slots that the
authority missed are burned: whoever knows ``L_k`` knows every earlier layer, and none of the later ones.

Seeds: an authority's onion seed is derived from the secret scalar of its sr25519 key, so a restarted or re-installed
node keeps revealing the layers that the chain expects without any state of its own. Only the scalar enters: the nonce
half of an sr25519 secret is chosen at random by some libraries each time a path is derived.
"""

import hashlib
from dataclasses import dataclass, field

HASH_BYTES = 32
SECRET_SCALAR_BYTES = 32
SECRET_KEY_BYTES = 64

_SEED_DOMAIN = b"dd/onion"
_EPOCH_DOMAIN = b"dd/onion/epoch"


def _hash(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=HASH_BYTES).digest()


def peel(layer: bytes, times: int) -> bytes:
    """Return ``H^times(layer)``: the layer that stands ``times`` steps closer to the tip."""
    for _ in range(times):
        layer = _hash(layer)
    return layer


def onion_seed(secret_key: bytes) -> bytes:
    """Return the 32-byte onion seed of an authority from its 64-byte sr25519 secret key (scalar, then nonce).

    The seed is as secret as the key. Raises ValueError when the key is not 64 bytes long.
    """
    if len(secret_key) != SECRET_KEY_BYTES:
        raise ValueError(f"an sr25519 secret key has {SECRET_KEY_BYTES} bytes, not {len(secret_key)}")
    return _hash(_SEED_DOMAIN + secret_key[:SECRET_SCALAR_BYTES])


def onion_secret(seed: bytes, epoch: int) -> bytes:
    """Return the innermost value of the onion of one epoch, from the authority's 32-byte onion seed."""
    if len(seed) != HASH_BYTES:
        raise ValueError(f"an onion seed has {HASH_BYTES} bytes, not {len(seed)}")
    return _hash(_EPOCH_DOMAIN + seed + epoch.to_bytes(8, "little"))


def onion_tip(secret: bytes, layers: int) -> bytes:
    """Return the commitment to an onion of ``layers`` layers: ``H^layers(secret)``."""
    return peel(secret, layers)


def onion_layer(secret: bytes, layers: int, offset: int) -> bytes:
    """Return the layer to reveal in the slot at ``offset`` (0-based) of the epoch."""
    if not 0 <= offset < layers:
        raise ValueError(f"offset {offset} is outside an onion of {layers} layers")
    return peel(secret, layers - offset - 1)


@dataclass(frozen=True)
class OnionLayers:
    """All layers of one epoch's onion, hashed once, for an author that reveals one after another."""

    seed: bytes = field(repr=False)
    epoch: int
    layers: int
    _chain: tuple[bytes, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        chain = [onion_secret(self.seed, self.epoch)]
        for _ in range(self.layers):
            chain.append(_hash(chain[-1]))
        object.__setattr__(self, "_chain", tuple(chain))

    @property
    def tip(self) -> bytes:
        """The commitment: ``onion_tip(onion_secret(seed, epoch), layers)``."""
        return self._chain[self.layers]

    def layer(self, offset: int) -> bytes:
        """Return what ``onion_layer(onion_secret(seed, epoch), layers, offset)`` returns."""
        if not 0 <= offset < self.layers:
            raise ValueError(f"offset {offset} is outside an onion of {self.layers} layers")
        return self._chain[self.layers - offset - 1]
