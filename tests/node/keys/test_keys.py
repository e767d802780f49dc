"""Keys against the vectors that polkadot.js made."""

import json
from pathlib import Path
from typing import Any

import pytest

from node.keys.derivation import BadSecretUri, keypair_from_uri, mini_secret_from_phrase, new_phrase
from node.keys.keyfile import BadKeyFile, WrongPassword, decrypt_keyfile, encrypt_keyfile, read_keyfile, write_keyfile
from node.keys.keypair import Keypair
from runtime.crypto import ss58_encode, verify_ecdsa, verify_ed25519, verify_sr25519

VECTORS = Path(__file__).parents[2] / "vectors" / "substrate"
KEYS = json.loads((VECTORS / "keys.json").read_text())
KEYFILES = json.loads((VECTORS / "keystore.json").read_text())
ECDSA = json.loads((VECTORS / "ecdsa.json").read_text())
ACCOUNTS = [account for account in KEYS["accounts"] if "public" in account]


@pytest.mark.parametrize("account", ACCOUNTS, ids=lambda account: f"{account['type']}{account['path']}")
def test_derived_accounts_equal_those_of_polkadot_js(account: dict[str, str]) -> None:
    keypair = keypair_from_uri(KEYS["dev_phrase"] + account["path"], account["type"])  # type: ignore[arg-type]
    assert keypair.public_key.hex() == account["public"][2:]
    assert keypair.account_id.hex() == account["address_raw"][2:]
    for prefix in (42, 0, 2, 64, 16383):
        assert ss58_encode(keypair.account_id, prefix) == account[f"ss58_{prefix}"]


def test_the_mini_secret_comes_from_the_entropy_and_the_password() -> None:
    assert mini_secret_from_phrase(KEYS["dev_phrase"]).hex() == KEYS["mini_secret"][2:]
    assert mini_secret_from_phrase(KEYS["dev_phrase"], "Substrate").hex() == KEYS["with_password_Substrate"][2:]
    assert new_phrase(bytes.fromhex(KEYS["entropy"][2:])) == KEYS["dev_phrase"]


def test_signatures_of_polkadot_js_verify_and_ours_do() -> None:
    message = bytes.fromhex(KEYS["sig_ed25519"]["message"][2:])
    ed25519 = keypair_from_uri("//Alice", "ed25519")
    assert ed25519.sign(message).hex() == KEYS["sig_ed25519"]["signature_with_type"][4:]
    assert verify_ed25519(ed25519.sign(message), message, ed25519.public_key)
    sr25519 = keypair_from_uri("//Alice")
    theirs = bytes.fromhex(KEYS["sig_sr25519"]["signature_with_type"][4:])
    assert verify_sr25519(theirs, message, sr25519.public_key)
    assert verify_sr25519(sr25519.sign(message), message, sr25519.public_key)
    assert not verify_sr25519(sr25519.sign(message), message + b"!", sr25519.public_key)


@pytest.mark.parametrize("pair", ECDSA["ecdsa"], ids=lambda pair: pair["uri"])
def test_ecdsa_signatures_equal_those_of_polkadot_js(pair: dict[str, Any]) -> None:
    keypair = keypair_from_uri(KEYS["dev_phrase"] + pair["uri"], "ecdsa")
    assert keypair.public_key.hex() == pair["public"][2:]
    for vector in pair["signatures"]:
        message, signature = bytes.fromhex(vector["message"][2:]), bytes.fromhex(vector["signature"][2:])
        assert keypair.sign(message) == signature
        assert verify_ecdsa(signature, message, bytes.fromhex(pair["address_raw"][2:]))
        assert not verify_ecdsa(signature, message + b"!", keypair.account_id)


def test_seeds_of_other_keys_are_the_same_in_every_process_and_differ_by_purpose() -> None:
    assert keypair_from_uri("//Alice").derived_seed("noise") == keypair_from_uri("//Alice").derived_seed("noise")
    assert keypair_from_uri("//Alice").derived_seed("noise") != keypair_from_uri("//Alice").derived_seed("signing")


@pytest.mark.parametrize(
    ("uri", "scheme"),
    [
        ("not a phrase at all", "sr25519"),
        (KEYS["dev_phrase"] + " walk", "sr25519"),
        ("0x1234", "sr25519"),
        ("0x" + "zz" * 32, "sr25519"),
        ("//Alice/soft", "ed25519"),
        ("//Alice/soft", "ecdsa"),
        ("0x" + "00" * 32, "ecdsa"),
        ("0x" + "ff" * 32, "ecdsa"),
        ("x" * 2_000, "sr25519"),
        ("//Alice/", "sr25519"),
    ],
)
def test_malformed_uris_are_refused_without_repeating_them(uri: str, scheme: str) -> None:
    with pytest.raises(BadSecretUri) as refusal:
        keypair_from_uri(uri, scheme)  # type: ignore[arg-type]
    assert uri not in str(refusal.value)


@pytest.mark.parametrize("vector", KEYFILES, ids=lambda v: f"{v['json']['encoding']['content'][1]}-{v['password']}")
def test_key_files_of_polkadot_js_open(vector: dict[str, object]) -> None:
    document = vector["json"]
    scheme = document["encoding"]["content"][1]  # type: ignore[index]
    keypair = decrypt_keyfile(document, vector["password"])  # type: ignore[arg-type]
    assert keypair.public_key == keypair_from_uri("//Alice", scheme).public_key
    assert keypair.derived_seed("noise") == keypair_from_uri("//Alice", scheme).derived_seed("noise")


def test_a_key_file_opens_with_its_password_only(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    keypair = Keypair.from_seed(bytes(range(32)))
    write_keyfile(path, keypair, "correct horse", name="mine")
    assert read_keyfile(path, "correct horse") == keypair
    assert path.stat().st_mode & 0o077 == 0
    assert keypair.secret.hex() not in path.read_text()
    with pytest.raises(WrongPassword):
        read_keyfile(path, "wrong horse")
    with pytest.raises(WrongPassword):
        read_keyfile(path, None)
    with pytest.raises(FileExistsError):
        write_keyfile(path, keypair, "correct horse")


def test_a_key_file_of_an_ecdsa_key_is_what_polkadot_js_writes(tmp_path: Path) -> None:
    keypair = keypair_from_uri("//Alice", "ecdsa")
    for password, vector in (("password", ECDSA["keyfile"]), (None, ECDSA["keyfile_plain"])):
        assert decrypt_keyfile(vector["json"], password) == keypair
    written = encrypt_keyfile(keypair, "pw")
    assert written["address"] == ECDSA["keyfile"]["json"]["address"]
    assert decrypt_keyfile(written, "pw") == keypair
    for address in ("0x" + "02" * 33, "", "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY", "0xzz"):
        with pytest.raises(BadKeyFile, match="address"):
            decrypt_keyfile({**written, "address": address}, "pw")
    for scheme in ("sr25519", "ed25519"):
        with pytest.raises(BadKeyFile):
            decrypt_keyfile({**written, "encoding": {**written["encoding"], "content": ["pkcs8", scheme]}}, "pw")


@pytest.mark.parametrize("change", ["encoded", "address", "encoding", "scrypt", "short"])
def test_damaged_key_files_are_named(change: str) -> None:
    document = encrypt_keyfile(Keypair.from_seed(bytes(32), "ed25519"), "pw")
    if change in {"encoded", "address", "encoding"}:
        del document[change]
    elif change == "short":
        document["encoded"] = "AAAA"
    else:
        import base64

        raw = bytearray(base64.b64decode(document["encoded"]))
        raw[32:36] = (2**31).to_bytes(4, "little")
        document["encoded"] = base64.b64encode(bytes(raw)).decode()
    with pytest.raises(BadKeyFile):
        decrypt_keyfile(document, "pw")


def test_a_missing_or_foreign_file_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(BadKeyFile, match=r"cannot read .*nothing"):
        read_keyfile(tmp_path / "nothing.json", "pw")
    other = tmp_path / "other.json"
    other.write_text("hello")
    with pytest.raises(BadKeyFile, match="not JSON"):
        read_keyfile(other, "pw")
    with pytest.raises(BadKeyFile, match="password"):
        write_keyfile(tmp_path / "new.json", Keypair.from_seed(bytes(32)), "")


def test_secrets_never_show_in_repr() -> None:
    keypair = keypair_from_uri("//Alice")
    assert keypair.secret.hex() not in repr(keypair)
    assert "secret" not in repr(keypair)
