"""Secret URIs: `phrase//hard/soft///password`, `0xSEED//path` and the development keys `//Alice`.

Follows Substrate's `sp_core::crypto`: the mini secret of a phrase is PBKDF2 over the BIP39 *entropy*, a junction's
chain code is the SCALE encoding of its name or number.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b, pbkdf2_hmac

import sr25519
from mnemonic import Mnemonic

from node.keys.keypair import Keypair, Scheme

DEVELOPMENT_PHRASE = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"
MAX_URI_CHARACTERS = 1_024

_URI = re.compile(r"^(?P<phrase>[^/]*)(?P<path>(//?[^/]+)*)(///(?P<password>.*))?$", re.DOTALL)
_JUNCTION = re.compile(r"(//?)([^/]+)")


class BadSecretUri(ValueError):
    """A secret URI that is not of the form phrase//hard/soft///password; the message never repeats the URI."""


@dataclass(frozen=True)
class Junction:
    """One step of a derivation path; `chain_code` has 32 bytes."""

    hard: bool
    chain_code: bytes


def keypair_from_uri(uri: str, scheme: Scheme = "sr25519") -> Keypair:
    """The key pair that a secret URI names; a URI without a phrase uses the public development phrase.

    Raises BadSecretUri for malformed URIs and for soft junctions with ed25519 or ecdsa, which have none.
    """
    match = _URI.match(uri) if len(uri) <= MAX_URI_CHARACTERS else None
    if match is None:
        raise BadSecretUri("a secret URI is a phrase or 0x-seed, then //hard or /soft junctions, then ///password")
    seed = _seed_of(match["phrase"] or DEVELOPMENT_PHRASE, match["password"] or "")
    junctions = tuple(_junctions(match["path"]))
    return _derive_sr25519(seed, junctions) if scheme == "sr25519" else _derive_hard(seed, junctions, scheme)


def is_development_uri(uri: str) -> bool:
    """Whether the URI starts from the public development phrase, so that writing it down reveals no secret."""
    return uri.startswith("//")


def new_phrase(entropy: bytes) -> str:
    """The English BIP39 phrase of 16 to 32 bytes of entropy (12 to 24 words)."""
    return str(Mnemonic("english").to_mnemonic(entropy))


def mini_secret_from_phrase(phrase: str, password: str = "") -> bytes:
    """The 32-byte mini secret of a BIP39 phrase as substrate-bip39 computes it."""
    words = " ".join(phrase.split())
    try:
        entropy = bytes(Mnemonic("english").to_entropy(words))
    except (ValueError, LookupError):
        raise BadSecretUri("the phrase is not a BIP39 phrase: a word or the checksum is wrong") from None
    return pbkdf2_hmac("sha512", entropy, b"mnemonic" + password.encode(), 2048)[:32]


def _seed_of(phrase: str, password: str) -> bytes:
    if not phrase.startswith("0x"):
        return mini_secret_from_phrase(phrase, password)
    try:
        seed = bytes.fromhex(phrase[2:])
    except ValueError:
        raise BadSecretUri("a seed in hexadecimal has an odd length or other characters than 0-9 and a-f") from None
    if len(seed) != 32:
        raise BadSecretUri(f"a seed has 32 bytes (64 hexadecimal digits), this one {len(seed)}")
    return seed


def _junctions(path: str) -> Iterator[Junction]:
    for slashes, name in _JUNCTION.findall(path):
        if name.isdecimal() and name.isascii() and int(name) < 2**64:
            code = int(name).to_bytes(8, "little")
        else:
            text = name.encode()
            code = _compact(len(text)) + text
        if len(code) > 32:
            code = blake2b(code, digest_size=32).digest()
        yield Junction(hard=slashes == "//", chain_code=code.ljust(32, b"\0"))


def _derive_sr25519(seed: bytes, junctions: tuple[Junction, ...]) -> Keypair:
    public_key, secret = sr25519.pair_from_seed(seed)
    for junction in junctions:
        parent = (junction.chain_code, public_key, secret)
        derive = sr25519.hard_derive_keypair if junction.hard else sr25519.derive_keypair
        _, public_key, secret = derive(parent, b"")
    return Keypair("sr25519", bytes(public_key), bytes(secret))


def _derive_hard(seed: bytes, junctions: tuple[Junction, ...], scheme: Scheme) -> Keypair:
    tag = b"Ed25519HDKD" if scheme == "ed25519" else b"Secp256k1HDKD"
    for junction in junctions:
        if not junction.hard:
            raise BadSecretUri(f"{scheme} keys have hard junctions only: write // instead of /")
        material = _compact(len(tag)) + tag + seed + junction.chain_code
        seed = blake2b(material, digest_size=32).digest()
    try:
        return Keypair.from_seed(seed, scheme)
    except ValueError:
        raise BadSecretUri(f"the seed is no {scheme} key") from None


def _compact(length: int) -> bytes:
    """SCALE compact integer; a URI is short enough for the first two modes."""
    return bytes([length << 2]) if length < 64 else (length << 2 | 1).to_bytes(2, "little")
