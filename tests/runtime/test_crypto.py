"""Hashes, addresses and signatures against the golden vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


ECDSA = json.loads((FOLDER / "ecdsa.json").read_text())["ecdsa"][0]
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
ALICE_ECDSA = bytes.fromhex(ECDSA["address_raw"][2:])
MESSAGE = bytes.fromhex(ECDSA["signatures"][2]["message"][2:])
SIGNATURE = bytes.fromhex(ECDSA["signatures"][2]["signature"][2:])


def ecdsa_signature(r: int | None = None, s: int | None = None, recovery_id: int | None = None) -> bytes:
    first = SIGNATURE[:32] if r is None else r.to_bytes(32, "big")
    second = SIGNATURE[32:64] if s is None else s.to_bytes(32, "big")
    return first + second + (SIGNATURE[64:] if recovery_id is None else bytes([recovery_id]))


def test_an_ecdsa_signature_verifies_for_the_account_of_its_key_and_its_message_only() -> None:
    assert crypto.verify_signature(Ecdsa(SIGNATURE), MESSAGE, ALICE_ECDSA)
    assert not crypto.verify_signature(Ecdsa(SIGNATURE), MESSAGE + b"!", ALICE_ECDSA)
    assert not crypto.verify_signature(Ecdsa(SIGNATURE), MESSAGE, account("ecdsa", "//Bob")[:32])
    assert not crypto.verify_signature(Ecdsa(SIGNATURE), MESSAGE, bytes.fromhex(ECDSA["public"][4:]))
    assert not crypto.verify_signature(Ed25519(SIGNATURE[:64]), MESSAGE, ALICE_ECDSA)
    assert not crypto.verify_signature(Sr25519(SIGNATURE[:64]), MESSAGE, ALICE_ECDSA)


S = int.from_bytes(SIGNATURE[32:64], "big")
RECOVERY_ID = SIGNATURE[64]


@pytest.mark.parametrize(
    "signature",
    [
        ecdsa_signature(s=ORDER - S, recovery_id=RECOVERY_ID ^ 1),  # the other s of the same signature
        ecdsa_signature(recovery_id=RECOVERY_ID ^ 1),
        ecdsa_signature(recovery_id=RECOVERY_ID ^ 2),
        ecdsa_signature(recovery_id=RECOVERY_ID + 27),  # as Ethereum writes it
        *(ecdsa_signature(recovery_id=wrong) for wrong in (4, 29, 30, 31, 128, 255)),
        *(ecdsa_signature(r=wrong) for wrong in (0, ORDER, ORDER + 1, 2**256 - 1)),
        *(ecdsa_signature(s=wrong) for wrong in (0, ORDER, ORDER + 1, ORDER + S, 2**256 - 1) if wrong < 2**256),
        bytes(65),
        b"\xff" * 65,
        SIGNATURE[:64],
        SIGNATURE + b"\0",
        b"",
    ],
)
def test_no_other_form_of_an_ecdsa_signature_verifies(signature: bytes) -> None:
    assert not crypto.verify_ecdsa(signature, MESSAGE, ALICE_ECDSA)


@given(st.binary(min_size=65, max_size=65), st.binary(max_size=300))
def test_arbitrary_bytes_are_no_ecdsa_signature(signature: bytes, message: bytes) -> None:
    assert not crypto.verify_ecdsa(signature, message, ALICE_ECDSA)



@pytest.mark.parametrize("verify", [crypto.verify_sr25519, crypto.verify_ed25519])
@pytest.mark.parametrize(("signature", "public"), [(63, 32), (65, 32), (64, 31), (64, 33), (0, 0), (64, 32)])
def test_malformed_signatures_are_simply_not_valid(verify: Any, signature: int, public: int) -> None:
    assert verify(b"\xff" * signature, b"message", b"\xff" * public) is False
