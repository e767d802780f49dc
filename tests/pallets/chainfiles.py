"""The development accounts and the chain files made of them, as `datdot genesis new` would make them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import sr25519

from pallets.balances import TREASURY
from pallets.chain_file import Authority, new_genesis
from pallets.randomness import onion_secret, onion_seed, onion_tip
from runtime.genesis import ChainSpec

DEVELOPERS = ("Alice", "Bob", "Charlie", "Dave", "Eve", "Ferdie")
VECTORS = Path(__file__).parents[1] / "vectors" / "substrate" / "keys.json"
ENDOWMENT = 2**60
EPOCH_SLOTS = 600


@cache
def key_vectors() -> dict[tuple[str, str], bytes]:
    """Return public keys by (scheme, path)."""
    vectors = json.loads(VECTORS.read_text())
    return {
        (entry["type"], entry["path"]): bytes.fromhex(entry["public"][2:])
        for entry in vectors["accounts"]
        if "public" in entry
    }


@cache
def sr25519_secret(name: str) -> tuple[bytes, bytes]:
    """Return (public key, 64-byte secret key) of the development account //name."""
    mini_secret = bytes.fromhex(json.loads(VECTORS.read_text())["mini_secret"][2:])
    public, secret = sr25519.pair_from_seed(mini_secret)
    junction = (bytes([len(name) << 2]) + name.encode()).ljust(32, b"\0")
    _, public, secret = sr25519.hard_derive_keypair((junction, public, secret), b"")
    return public, secret


def account(name: str, scheme: str = "sr25519") -> bytes:
    """Return the account id of //name."""
    return key_vectors()[scheme, f"//{name}"]


@cache
def authority(name: str, epoch_slots: int = EPOCH_SLOTS) -> Authority:
    """Return the genesis authority //name with its onion for epoch 0."""
    public, secret = sr25519_secret(name)
    return Authority(public, onion_tip(onion_secret(onion_seed(secret), 0), epoch_slots))


def development_balances() -> list[tuple[bytes, int]]:
    """Return the endowment of the twelve development accounts and of the treasury."""
    schemes = ("sr25519", "ed25519")
    listed = [(account(name, scheme), ENDOWMENT) for scheme in schemes for name in DEVELOPERS]
    return [*listed, (TREASURY, ENDOWMENT)]


def dev_chain() -> ChainSpec:
    """Return what genesis/dev.json must say."""
    return new_genesis(
        name="DatDot Development",
        id="datdot_dev",
        chain_type="Development",
        slot_duration_ms=1_000,
        authorities=[authority("Alice")],
        balances=development_balances(),
        sudo=account("Alice"),
        constants={"DatDot": {"AmendmentFollowupDelay": 60, "ResponseWindow": 10, "ChallengeDelay": 5}},
    )


def local_chain() -> ChainSpec:
    """Return what genesis/local.json must say."""
    return new_genesis(
        name="DatDot Local Testnet",
        id="datdot_local",
        chain_type="Local",
        slot_duration_ms=6_000,
        authorities=[authority(name) for name in DEVELOPERS[:4]],
        balances=development_balances(),
        sudo=account("Alice"),
        constants={"DatDot": {"AmendmentFollowupDelay": 10, "ResponseWindow": 3, "ChallengeDelay": 5}},
    )
