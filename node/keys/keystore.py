"""The node's own keys, those that must sign without anybody at the keyboard: one file each, as Substrate keeps them.

A file's name is the key type's four bytes and the public key in hexadecimal, its content the secret URI as a JSON
string. The files are not encrypted; only their owner may read them.
"""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from node.keys.derivation import BadSecretUri, keypair_from_uri
from node.keys.keypair import Keypair, Scheme

KEY_TYPES: Final[Mapping[str, Scheme]] = {"aura": "sr25519"}
"""The session keys of a validator in their order: what each type is for, and its signature scheme."""

MAX_KEYS: Final = 64
MAX_KEY_FILE_BYTES: Final = 4_096


class KeystoreError(Exception):
    """A key cannot be stored or read; the text never repeats a secret."""


class Keystore:
    """The keys in a directory, which is made when the first key is stored."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def insert(self, key_type: str, uri: str, public_key: bytes) -> Keypair:
        """Store a key given by its secret URI. Raises KeystoreError, also when the public key is not the URI's."""
        scheme = _scheme(key_type)
        try:
            keypair = keypair_from_uri(uri, scheme)
        except BadSecretUri as error:
            raise KeystoreError(f"the secret URI cannot be used: {error}") from None
        if keypair.public_key != public_key:
            raise KeystoreError(f"the {scheme} key of the secret URI has another public key")
        self._write(key_type, keypair, uri)
        return keypair

    def generate(self, key_type: str) -> Keypair:
        """Store a new random key. Raises KeystoreError."""
        uri = f"0x{secrets.token_hex(32)}"
        keypair = keypair_from_uri(uri, _scheme(key_type))
        self._write(key_type, keypair, uri)
        return keypair

    def has(self, key_type: str, public_key: bytes) -> bool:
        """Whether the secret of a public key is here."""
        return self._path(key_type, public_key).exists()

    def keys(self, key_type: str) -> list[Keypair]:
        """All keys of a type, by public key. Raises KeystoreError for a file that is no key."""
        prefix = key_type.encode().hex()
        return [self._read(path, key_type) for path in self._files() if path.name.startswith(prefix)]

    def _files(self) -> list[Path]:
        return sorted(self._directory.iterdir()) if self._directory.is_dir() else []

    def _path(self, key_type: str, public_key: bytes) -> Path:
        return self._directory / (key_type.encode() + public_key).hex()

    def _write(self, key_type: str, keypair: Keypair, uri: str) -> None:
        path = self._path(key_type, keypair.public_key)
        if path.exists():
            return
        if len(self._files()) >= MAX_KEYS:
            raise KeystoreError(f"{self._directory} holds {MAX_KEYS} keys: remove those that are no longer used")
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(uri, file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise KeystoreError(f"cannot write to {self._directory}: {error.strerror}") from None

    def _read(self, path: Path, key_type: str) -> Keypair:
        try:
            with path.open("rb") as file:
                uri = json.loads(file.read(MAX_KEY_FILE_BYTES))
            keypair = keypair_from_uri(uri if isinstance(uri, str) else "", _scheme(key_type))
        except (OSError, ValueError):
            raise KeystoreError(f"{path} is no key: remove it or write it anew") from None
        if path != self._path(key_type, keypair.public_key):
            raise KeystoreError(f"{path} holds the secret of another key than its name says")
        return keypair


def _scheme(key_type: str) -> Scheme:
    if key_type not in KEY_TYPES:
        raise KeystoreError(f"this node uses no keys of type {key_type!r}; it uses {', '.join(KEY_TYPES)}")
    return KEY_TYPES[key_type]
