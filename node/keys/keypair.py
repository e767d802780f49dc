"""Key pairs that sign extrinsics and blocks, and the seeds of a user's other keys."""

from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

import coincurve
import sr25519
from nacl.bindings import crypto_sign, crypto_sign_seed_keypair

from pallets.randomness.onion import onion_seed
from runtime.crypto import blake2_256, ecdsa_account

Scheme = Literal["sr25519", "ed25519", "ecdsa"]
SCHEMES: tuple[Scheme, ...] = ("sr25519", "ed25519", "ecdsa")


@dataclass(frozen=True)
class Keypair:
    """A signing key pair; satisfies `runtime.extrinsic.Signer`.

    `secret` is the 64-byte sr25519 secret (scalar || nonce), the 32-byte ed25519 seed or the 32-byte ecdsa scalar. It
    never appears in `repr`. A public key has 32 bytes, an ecdsa one 33 (compressed secp256k1).
    """

    scheme: Scheme
    public_key: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def from_seed(cls, seed: bytes, scheme: Scheme = "sr25519") -> "Keypair":
        """The key pair of a 32-byte mini secret (sr25519), seed (ed25519) or scalar (ecdsa). Raises ValueError."""
        if len(seed) != 32:
            raise ValueError(f"a seed has 32 bytes, this one {len(seed)}")
        if scheme == "ecdsa":
            return cls("ecdsa", coincurve.PrivateKey(seed).public_key.format(compressed=True), seed)
        if scheme == "sr25519":
            public_key, secret = sr25519.pair_from_seed(seed)
            return cls("sr25519", bytes(public_key), bytes(secret))
        public_key, _ = crypto_sign_seed_keypair(seed)
        return cls("ed25519", public_key, seed)

    @property
    def account_id(self) -> bytes:
        """The 32-byte account id: the public key, or its BLAKE2b-256 for ecdsa."""
        return ecdsa_account(self.public_key) if self.scheme == "ecdsa" else self.public_key

    def sign(self, message: bytes) -> bytes:
        """A signature: 64 bytes (sr25519 with the signing context "substrate", or ed25519), 65 for ecdsa."""
        if self.scheme == "ecdsa":
            return coincurve.PrivateKey(self.secret).sign_recoverable(blake2_256(message), hasher=None)
        if self.scheme == "sr25519":
            return bytes(sr25519.sign((self.public_key, self.secret), message))
        _, expanded = crypto_sign_seed_keypair(self.secret)
        return bytes(crypto_sign(message, expanded)[:64])

    @property
    def onion_seed(self) -> bytes:
        """The 32-byte seed of the hash onions that an authority with this sr25519 key reveals."""
        return onion_seed(self.secret)

    def derived_seed(self, purpose: str) -> bytes:
        """A 32-byte seed for another key of the same user, such as its noise key ("noise"), bound to the purpose.

        It depends on the secret scalar alone: the nonce half of a derived sr25519 secret is random, so two processes
        that derive //Alice hold different nonces but must agree on her noise key.
        """
        return blake2b(b"dd/" + purpose.encode(), key=self.secret[:32], digest_size=32).digest()
