"""Who a provider is: one account with the noise key that dials it and the signing key that signs its statements.

Nothing here signs bytes that somebody else chose: each method builds the statement itself, with its domain and chain.
"""

from dataclasses import dataclass, field

from hypercore.crypto import KeyPair, verify
from node.keys.keypair import Keypair
from pallets.datdot.components import KeyProofs
from pallets.datdot.messages import NOISE_KEY_DOMAIN, SIGNING_KEY_DOMAIN, key_proof_message
from pallets.datdot.sealing import LaneCommitment, commitment_message


@dataclass(frozen=True)
class ProviderIdentity:
    """The keys of one user. `account` signs extrinsics; the two ed25519 keys are derived from its secret."""

    account: Keypair
    noise_seed: bytes = field(repr=False)
    noise_key: bytes
    signing_key: bytes
    _noise: KeyPair = field(repr=False)
    _signing: KeyPair = field(repr=False)

    @classmethod
    def of(cls, account: Keypair) -> "ProviderIdentity":
        """The identity that belongs to an account; the same in every process that holds the account's secret."""
        noise_seed = account.derived_seed("noise")
        noise, signing = KeyPair.from_seed(noise_seed), KeyPair.from_seed(account.derived_seed("signing"))
        return cls(account, noise_seed, noise.public_key, signing.public_key, noise, signing)

    def key_proofs(self, genesis_hash: bytes) -> KeyProofs:
        """Signatures of both keys that `new_user` asks for."""
        account = self.account.account_id
        return KeyProofs(
            noise=self._noise.sign(key_proof_message(NOISE_KEY_DOMAIN, genesis_hash, account)),
            signing=self._signing.sign(key_proof_message(SIGNING_KEY_DOMAIN, genesis_hash, account)),
        )

    def sign_commitment(
        self, genesis_hash: bytes, contract: int, amendment: int, position: int, commitment: LaneCommitment
    ) -> bytes:
        """The 64-byte signature of this user, as encoder or hoster, under a lane's commitment."""
        return self._signing.sign(commitment_message(genesis_hash, contract, amendment, position, commitment))


def is_commitment_signed(
    signing_key: bytes,
    signature: bytes,
    genesis_hash: bytes,
    contract: int,
    amendment: int,
    position: int,
    commitment: LaneCommitment,
) -> bool:
    """Whether the user with this signing key signed the commitment."""
    message = commitment_message(genesis_hash, contract, amendment, position, commitment)
    return verify(message, signature, signing_key)
