"""Statements that users sign for the chain, besides the lane commitment of `sealing`."""

NOISE_KEY_DOMAIN = b"dd/noise-key/v1"
SIGNING_KEY_DOMAIN = b"dd/signing-key/v1"


def key_proof_message(domain: bytes, genesis: bytes, account: bytes) -> bytes:
    """What a new user's noise key and signing key sign (ed25519) to show that the account owns them.

    Layout: domain | genesis 32 | account 32. The domain is `NOISE_KEY_DOMAIN` or `SIGNING_KEY_DOMAIN`.
    """
    return domain + genesis + account
