"""Encrypted key files in the format of polkadot.js accounts (version 3), so that keys move to and from any wallet.

Layout of `encoded` (base64): scrypt salt (32) || N, p, r (u32 little endian) || nonce (24) || XSalsa20-Poly1305 of a
PKCS8-like envelope: header || 64-byte secret || divider || 32-byte public key; of an ecdsa key the secret has 32 bytes
and the public key 33, and the file names the public key in hexadecimal instead of the address.
"""

import base64
import binascii
import hashlib
import json
import os
import secrets
import struct
from pathlib import Path
from typing import Any, cast

import sr25519
from nacl.bindings import crypto_secretbox, crypto_secretbox_open, crypto_sign_seed_keypair
from nacl.exceptions import CryptoError

from node.keys.keypair import SCHEMES, Keypair, Scheme
from runtime.crypto import ECDSA_PUBLIC_KEY_BYTES, AddressError, ss58_decode, ss58_encode

PKCS8_HEADER = bytes.fromhex("3053020101300506032b657004220420")
PKCS8_DIVIDER = bytes.fromhex("a123032100")
MAX_KEYFILE_BYTES = 16_384
SCRYPT_N, SCRYPT_R, SCRYPT_P = 131_072, 8, 1
SCRYPT_PARAMETERS = {(131_072, 8, 1), (65_536, 8, 1), (32_768, 8, 1), (16_384, 8, 1)}
_SCRYPT_MEMORY_BYTES = 256 * 1024 * 1024


class BadKeyFile(ValueError):
    """A key file that cannot be used: the message names the file and what is wrong, never the secret."""


class WrongPassword(BadKeyFile):
    """The password does not open the key file."""


def write_keyfile(path: Path, keypair: Keypair, password: str, *, name: str = "", ss58_prefix: int = 42) -> None:
    """Writes the key pair encrypted under the password; refuses to overwrite a file (FileExistsError)."""
    if not password:
        raise BadKeyFile("a key file needs a password: an empty one protects nothing")
    content = encrypt_keyfile(keypair, password, name=name, ss58_prefix=ss58_prefix)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())


def read_keyfile(path: Path, password: str | None) -> Keypair:
    """The key pair of a key file; raises BadKeyFile or WrongPassword."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_KEYFILE_BYTES + 1)
    except OSError as error:
        raise BadKeyFile(f"cannot read the key file {path}: {error.strerror}") from None
    if len(content) > MAX_KEYFILE_BYTES:
        raise BadKeyFile(f"{path} is longer than {MAX_KEYFILE_BYTES} bytes: not a key file")
    try:
        document = json.loads(content)
    except ValueError:
        raise BadKeyFile(f"{path} is not JSON: expected a polkadot.js account file") from None
    try:
        return decrypt_keyfile(document, password)
    except BadKeyFile as error:
        raise type(error)(f"{path}: {error}") from None


def encrypt_keyfile(keypair: Keypair, password: str, *, name: str = "", ss58_prefix: int = 42) -> dict[str, Any]:
    """The JSON document of a key file, encrypted under the password."""
    salt, nonce = secrets.token_bytes(32), secrets.token_bytes(24)
    key = _scrypt(password, salt, SCRYPT_N, SCRYPT_R, SCRYPT_P)
    box = crypto_secretbox(_envelope(keypair), nonce, key)
    encoded = salt + struct.pack("<3I", SCRYPT_N, SCRYPT_P, SCRYPT_R) + nonce + box
    return {
        "encoded": base64.b64encode(encoded).decode(),
        "encoding": {"content": ["pkcs8", keypair.scheme], "type": ["scrypt", "xsalsa20-poly1305"], "version": "3"},
        "address": _named(keypair, ss58_prefix),
        "meta": {"name": name},
    }


def decrypt_keyfile(document: Any, password: str | None) -> Keypair:
    """The key pair in a key file's JSON document; `password` is None for an unencrypted one."""
    encoded, scheme, protection, address = _fields(document)
    if protection == ["none"]:
        envelope = encoded
    elif protection == ["scrypt", "xsalsa20-poly1305"]:
        if password is None:
            raise WrongPassword("the key file is encrypted: a password is needed")
        envelope = _open_box(encoded, password)
    else:
        raise BadKeyFile(f"unknown protection {protection!r}: expected scrypt with xsalsa20-poly1305")
    keypair = _keypair_from_envelope(envelope, scheme)
    if not _names(address, keypair):
        raise BadKeyFile("the address in the file is not the address of its key")
    return keypair


def _named(keypair: Keypair, ss58_prefix: int) -> str:
    """What polkadot.js writes as the address: an ecdsa address would not tell the public key."""
    if keypair.scheme == "ecdsa":
        return "0x" + keypair.public_key.hex()
    return ss58_encode(keypair.account_id, ss58_prefix)


def _names(address: str, keypair: Keypair) -> bool:
    if address.startswith("0x"):
        return address == "0x" + keypair.public_key.hex()
    try:
        return ss58_decode(address) == keypair.account_id
    except AddressError:
        return False


def _fields(document: Any) -> tuple[bytes, Scheme, list[str], str]:
    try:
        encoding = document["encoding"]
        kind, scheme = encoding["content"]
        protection = encoding["type"] if isinstance(encoding["type"], list) else [encoding["type"]]
        encoded = base64.b64decode(document["encoded"], validate=True)
        address = str(document["address"])
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise BadKeyFile("not a polkadot.js account file: encoded, encoding or address is malformed") from None
    if kind != "pkcs8" or scheme not in SCHEMES or str(encoding.get("version")) != "3":
        raise BadKeyFile("expected encoding version 3 with content pkcs8 and sr25519, ed25519 or ecdsa")
    return encoded, cast(Scheme, scheme), list(protection), address


def _open_box(encoded: bytes, password: str) -> bytes:
    if len(encoded) < 32 + 12 + 24 + 16:
        raise BadKeyFile("the encoded key is too short")
    salt, nonce = encoded[:32], encoded[44:68]
    n, p, r = struct.unpack("<3I", encoded[32:44])
    if (n, r, p) not in SCRYPT_PARAMETERS:  # unchecked parameters could ask for any amount of memory
        raise BadKeyFile(f"unusual scrypt parameters N={n} r={r} p={p}")
    try:
        return bytes(crypto_secretbox_open(encoded[68:], nonce, _scrypt(password, salt, n, r, p)))
    except CryptoError:
        raise WrongPassword("the password does not open this key file") from None


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, dklen=64, maxmem=_SCRYPT_MEMORY_BYTES)[:32]


def _envelope(keypair: Keypair) -> bytes:
    if keypair.scheme == "ecdsa":
        secret = keypair.secret
    elif keypair.scheme == "sr25519":
        secret = bytes(sr25519.convert_secret_key_to_ed25519(keypair.secret))
    else:
        _, secret = crypto_sign_seed_keypair(keypair.secret)
    return PKCS8_HEADER + secret + PKCS8_DIVIDER + keypair.public_key


def _keypair_from_envelope(envelope: bytes, scheme: Scheme) -> Keypair:
    secret_bytes, public_bytes = (32, ECDSA_PUBLIC_KEY_BYTES) if scheme == "ecdsa" else (64, 32)
    start = len(PKCS8_HEADER)
    end = start + secret_bytes
    malformed = len(envelope) != end + len(PKCS8_DIVIDER) + public_bytes or not envelope.startswith(PKCS8_HEADER)
    if malformed or envelope[end:-public_bytes] != PKCS8_DIVIDER:
        raise BadKeyFile(f"the decrypted key is not a PKCS8 envelope of {secret_bytes} + {public_bytes} bytes")
    secret, public_key = envelope[start:end], envelope[-public_bytes:]
    if scheme == "ed25519":
        keypair = Keypair.from_seed(secret[:32], "ed25519")
    elif scheme == "ecdsa":
        keypair = _ecdsa_keypair(secret)
    else:
        derived, native = sr25519.pair_from_ed25519_secret_key(secret)
        keypair = Keypair("sr25519", bytes(derived), bytes(native))
    if keypair.public_key != public_key:
        raise BadKeyFile("the public key in the file does not belong to its secret")
    return keypair


def _ecdsa_keypair(secret: bytes) -> Keypair:
    try:
        return Keypair.from_seed(secret, "ecdsa")
    except ValueError:
        raise BadKeyFile("the secret in the file is no ecdsa key") from None
