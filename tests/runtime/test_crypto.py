"""Hashes, addresses and signatures against the golden vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime import crypto
from runtime.codec import codec_for
from runtime.crypto import AddressError, Ecdsa, Ed25519, MultiSignature, Sr25519, ss58_decode, ss58_encode

FOLDER = Path(__file__).parent.parent / "vectors/substrate"
KEYS = json.loads((FOLDER / "keys.json").read_text())
HASHES = json.loads((FOLDER / "storage_keys.json").read_text())["hashers"]
PREFIXES = (42, 0, 2, 64, 16383)
ALICE = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
ACCOUNTS = [account for account in KEYS["accounts"] if "address_raw" in account]


def account(kind: str, path: str) -> bytes:
    found = next(entry for entry in ACCOUNTS if (entry["type"], entry["path"]) == (kind, path))
    return bytes.fromhex(found["public"][2:])


@pytest.mark.parametrize("name", sorted(HASHES))
def test_hashers_give_the_golden_digests(name: str) -> None:
    function, argument = name.rstrip(")").split("(")
    functions = {
        "twox64": crypto.twox64,
        "twox128": crypto.twox128,
        "twox256": crypto.twox256,
        "blake2_128": crypto.blake2_128,
        "blake2_256": crypto.blake2_256,
    }
    assert functions[function](argument.encode()).hex() == HASHES[name][2:]


def test_keccak_is_ethereums() -> None:
    assert crypto.keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


@pytest.mark.parametrize("entry", ACCOUNTS, ids=lambda entry: f"{entry['type']}{entry['path'][:16]}")
def test_ss58_of_every_golden_account(entry: dict[str, Any]) -> None:
    raw = bytes.fromhex(entry["address_raw"][2:])
    for prefix in PREFIXES:
        address = entry[f"ss58_{prefix}"]
        assert ss58_encode(raw, prefix) == address
        assert ss58_decode(address) == ss58_decode(address, prefix) == raw


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (ALICE[:-1] + "Z", "checksum"),
        (ALICE[:-1], "prefix|holds|checksum"),
        ("", "prefix"),
        ("0OIl", "base58"),
        ("5" * 65, "fewer"),
        ("1111", "holds"),
        ("é", "base58"),
    ],
)
def test_wrong_addresses_are_refused(address: str, reason: str) -> None:
    with pytest.raises(AddressError, match=reason):
        ss58_decode(address)


def test_an_address_of_another_network_is_refused() -> None:
    with pytest.raises(AddressError, match="network 42, not 0"):
        ss58_decode(ALICE, 0)


@pytest.mark.parametrize(("raw", "prefix"), [(bytes(31), 42), (bytes(33), 42), (bytes(32), -1), (bytes(32), 16384)])
def test_what_has_no_address_is_refused(raw: bytes, prefix: int) -> None:
    with pytest.raises(AddressError):
        ss58_encode(raw, prefix)


@pytest.mark.parametrize(("kind", "index"), [("sr25519", 1), ("ed25519", 0)])
def test_golden_signatures_verify_and_altered_ones_do_not(kind: str, index: int) -> None:
    vector = KEYS[f"sig_{kind}"]
    message = bytes.fromhex(vector["message"][2:])
    signature = codec_for(MultiSignature).decode(bytes.fromhex(vector["signature_with_type"][2:]))
    assert codec_for(MultiSignature).encode(signature)[0] == index
    signers = [bytes.fromhex(entry["public"][2:]) for entry in ACCOUNTS if entry["type"] == kind]
    (signer,) = {key for key in signers if crypto.verify_signature(signature, message, key)}
    assert not crypto.verify_signature(signature, message + b"!", signer)
    assert not crypto.verify_signature(signature, message, bytes(32))
    value = signature.value  # type: ignore[attr-defined]
    flipped = bytes([value[0] ^ 1]) + value[1:]
    assert not crypto.verify_signature(type(signature)(flipped), message, signer)  # type: ignore[call-arg]
    other = Ed25519 if isinstance(signature, Sr25519) else Sr25519
    assert not crypto.verify_signature(other(value), message, signer)


def test_ecdsa_never_verifies() -> None:
    assert not crypto.verify_signature(Ecdsa(bytes(65)), b"message", account("ecdsa", "//Alice")[:32])


@pytest.mark.parametrize("verify", [crypto.verify_sr25519, crypto.verify_ed25519])
@pytest.mark.parametrize(("signature", "public"), [(63, 32), (65, 32), (64, 31), (64, 33), (0, 0), (64, 32)])
def test_malformed_signatures_are_simply_not_valid(verify: Any, signature: int, public: int) -> None:
    assert verify(b"\xff" * signature, b"message", b"\xff" * public) is False
