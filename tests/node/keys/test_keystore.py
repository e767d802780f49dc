"""The node's own keys on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.keys.derivation import keypair_from_uri
from node.keys.keystore import Keystore, KeystoreError

BOB = keypair_from_uri("//Bob")
PHRASE = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "keystore"


def test_a_stored_key_is_there_after_a_restart(directory: Path) -> None:
    assert Keystore(directory).keys("aura") == []
    assert Keystore(directory).insert("aura", "//Bob", BOB.public_key).public_key == BOB.public_key
    again = Keystore(directory)
    assert [key.public_key for key in again.keys("aura")] == [BOB.public_key]
    assert again.has("aura", BOB.public_key)
    assert not again.has("aura", bytes(32))
    assert not again.has("gran", BOB.public_key)
    again.insert("aura", "//Bob", BOB.public_key)
    assert len(again.keys("aura")) == 1


def test_files_are_named_and_written_as_substrate_does_for_their_owner_only(directory: Path) -> None:
    Keystore(directory).insert("aura", "//Bob", BOB.public_key)
    (file,) = directory.iterdir()
    assert file.name == b"aura".hex() + BOB.public_key.hex()
    assert json.loads(file.read_text()) == "//Bob"
    assert (file.stat().st_mode & 0o777, directory.stat().st_mode & 0o777) == (0o600, 0o700)


def test_generated_keys_differ_and_sign(directory: Path) -> None:
    store = Keystore(directory)
    first, second = store.generate("aura"), store.generate("aura")
    assert first.public_key != second.public_key
    assert {key.public_key for key in store.keys("aura")} == {first.public_key, second.public_key}


@pytest.mark.parametrize(
    ("key_type", "uri", "public_key"),
    [
        ("gran", "//Bob", BOB.public_key),
        ("nope", "//Bob", BOB.public_key),
        ("aura", "//Bob", bytes(32)),
        ("aura", "//Bob", BOB.public_key[:-1]),
        ("aura", PHRASE + " zoo", BOB.public_key),
        ("aura", "0x12", BOB.public_key),
    ],
)
def test_a_key_that_cannot_be_used_is_refused_without_its_secret(
    directory: Path, key_type: str, uri: str, public_key: bytes
) -> None:
    with pytest.raises(KeystoreError) as refused:
        Keystore(directory).insert(key_type, uri, public_key)
    assert uri not in str(refused.value)
    assert not directory.exists()


@pytest.mark.parametrize("content", ["", "not json", "5", '"0x12"', '"//Alice"'])
def test_a_damaged_key_file_is_named(directory: Path, content: str) -> None:
    Keystore(directory).insert("aura", "//Bob", BOB.public_key)
    (file,) = directory.iterdir()
    file.write_text(content)
    with pytest.raises(KeystoreError, match=file.name):
        Keystore(directory).keys("aura")


def test_the_number_of_keys_is_bounded(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.keys.keystore.MAX_KEYS", 1)
    Keystore(directory).generate("aura")
    with pytest.raises(KeystoreError, match="holds 1 keys"):
        Keystore(directory).generate("aura")


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KeystoreError, match="cannot write"):
        Keystore(tmp_path / "file" / "keystore").generate("aura")
