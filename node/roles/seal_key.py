"""The private half of sealing: an encoder's RSA key for one lane, and making a sealed chunk with it.

The layout of a sealed chunk is documented in `pallets.datdot.sealing`. This module imports nothing heavy, so that a
sealing worker process stays small.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import brotli
import gmpy2

from pallets.datdot.sealing import (
    CHUNK_MAX_BYTES,
    PUBLIC_EXPONENT,
    SEAL_KEY_BITS,
    Lane,
    LaneKey,
    MaskMaker,
    SealingError,
    SealingFault,
    check_key,
    pack_payload,
)

BROTLI_QUALITY = 5
# FIPS 186-5: primes this far apart keep Fermat's factoring method away.
PRIME_DISTANCE_MARGIN_BITS = 100
PRIME_ROUNDS = 25


class SealKeyFault(RuntimeError):
    """The processor computed a wrong private operation; publishing its result would give the key away."""


@dataclass(frozen=True, repr=False, eq=False)
class SealKey:
    """An RSA key of 1,024 or 2,048 bits; `prime_p` is the larger prime. Nothing that prints it shows a secret.

    Raises SealingError when the primes do not make a fit key.
    """

    prime_p: int
    prime_q: int
    public: LaneKey = field(init=False)
    _crt: tuple[Any, Any, Any, Any, Any] = field(init=False)

    def __post_init__(self) -> None:
        p, q = gmpy2.mpz(self.prime_p), gmpy2.mpz(self.prime_q)
        if p <= q or not (gmpy2.is_prime(p, PRIME_ROUNDS) and gmpy2.is_prime(q, PRIME_ROUNDS)):
            raise SealingError(SealingFault.KEY, "a key is made of two primes, the larger one first")
        if p % PUBLIC_EXPONENT == 1 or q % PUBLIC_EXPONENT == 1:
            raise SealingError(SealingFault.KEY, "the exponent has no inverse")
        public = LaneKey(int(p * q))
        check_key(public, public.bits)
        exponent_p = gmpy2.invert(PUBLIC_EXPONENT, p - 1)
        exponent_q = gmpy2.invert(PUBLIC_EXPONENT, q - 1)
        object.__setattr__(self, "public", public)
        object.__setattr__(self, "_crt", (p, q, exponent_p, exponent_q, gmpy2.invert(q, p)))

    def __repr__(self) -> str:
        return f"SealKey({self.public.bits} bits, {self.public.key_hash().hex()[:16]})"

    @classmethod
    def generate(cls, bits: int = 1_024, random_bits: Callable[[int], int] = secrets.randbits) -> Self:
        """Make a fresh key; `random_bits(n)` returns n uniform random bits and is the system's source by default."""
        if bits not in SEAL_KEY_BITS:
            raise SealingError(SealingFault.KEY, f"keys have {SEAL_KEY_BITS} bits, not {bits}")
        half = bits // 2
        while True:
            first, second = _random_prime(half, random_bits), _random_prime(half, random_bits)
            larger, smaller = max(first, second), min(first, second)
            if (larger - smaller).bit_length() > half - PRIME_DISTANCE_MARGIN_BITS:
                return cls(larger, smaller)

    def sign(self, value: int) -> int:
        """value ^ d mod n by the Chinese remainder theorem; the caller checks the results, see `seal_chunk`."""
        p, q, exponent_p, exponent_q, inverse = self._crt
        remainder_q = gmpy2.powmod(value, exponent_q, q)
        lift = (gmpy2.powmod(value, exponent_p, p) - remainder_q) * inverse % p
        return int(remainder_q + lift * q)

    def to_bytes(self) -> bytes:
        """p | q, each half the size of the modulus, big endian. Secret: for the encrypted keystore only."""
        half = self.public.size_bytes // 2
        return self.prime_p.to_bytes(half, "big") + self.prime_q.to_bytes(half, "big")

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read `to_bytes`; raises SealingError, which never quotes the data."""
        if len(data) * 8 not in SEAL_KEY_BITS:
            raise SealingError(SealingFault.KEY, f"a key of {len(data)} bytes")
        half = len(data) // 2
        key = cls(int.from_bytes(data[:half], "big"), int.from_bytes(data[half:], "big"))
        check_key(key.public, len(data) * 8)
        return key


def _random_prime(bits: int, random_bits: Callable[[int], int]) -> int:
    # The two top bits make every product of two such primes exactly 2 * bits long.
    top = 3 << (bits - 2)
    while True:
        prime = int(gmpy2.next_prime(random_bits(bits) | top))
        if prime.bit_length() == bits and prime % PUBLIC_EXPONENT != 1:
            return prime


def seal_chunk(lane: Lane, key: SealKey, chunk_index: int, chunk: bytes) -> bytes:
    """Seal one chunk (0 … 65,536 bytes) for a lane; the same arguments always give the same bytes.

    Raises SealingError when the chunk is too large or the key is not the lane's, SealKeyFault when the machine
    miscalculated (a single wrong block, published, factors the modulus).
    """
    if key.public != lane.key:
        raise SealingError(SealingFault.KEY, "the private key does not belong to the lane")
    if len(chunk) > CHUNK_MAX_BYTES:
        raise SealingError(SealingFault.LENGTH, f"a chunk of {len(chunk)} bytes is too large")
    payload = pack_payload(chunk, brotli.compress(chunk, quality=BROTLI_QUALITY), lane.key.bits)
    size, modulus = lane.key.size_bytes, gmpy2.mpz(lane.key.modulus)
    masks = MaskMaker(lane, chunk_index)
    sealed = bytearray()
    previous = bytes(size)
    values, results = gmpy2.mpz(1), gmpy2.mpz(1)
    for number, start in enumerate(range(0, len(payload), size - 2)):
        data = int.from_bytes(payload[start : start + size - 2], "big")
        value = data ^ int.from_bytes(masks.mask(number, previous), "big")
        result = key.sign(value)
        values, results = values * value % modulus, results * result % modulus
        previous = result.to_bytes(size, "big")
        sealed += previous
    # The product of all blocks is checked at once: a wrong block makes it wrong, at the price of one public operation.
    if gmpy2.powmod(results, PUBLIC_EXPONENT, modulus) != values:
        raise SealKeyFault("a private operation gave a wrong result; the sealed chunk was thrown away")
    return bytes(sealed)
