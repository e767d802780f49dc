"""A lane and its key: who may seal where, and what makes a key unfit.

A *lane* is one position of one amendment. Its encoder makes one RSA key for it, keeps the private half, and publishes
the modulus; the exponent is always 65537. `is_leaked_key` judges the proof that somebody else knows the private half.
"""

import enum
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import gmpy2

PUBLIC_EXPONENT = 65_537
SEAL_KEY_BITS = (1_024, 2_048)
POSITIONS_PER_AMENDMENT = 3
HASH_BYTES = 32
U64_END = 1 << 64

KEY_DOMAIN = b"dd/seal-key/v1"
LEAK_DOMAIN = b"dd/leak/v1"
LEAK_BASES = 4
SMALL_PRIMES_PRODUCT = gmpy2.primorial(65_535)


class SealingFault(enum.StrEnum):
    """Why a key, a lane, a sealed chunk or a tree is refused."""

    KEY = "bad lane key"
    LANE = "bad lane"
    LENGTH = "bad length"
    RANGE = "sealed value is not below the modulus"
    TOP_BYTES = "opened value does not begin with two zero bytes"
    HEADER = "bad header"
    PADDING = "padding is not zero"
    COMPRESSION = "bad compressed stream"
    TREE = "bad leaf tree"


class SealingError(ValueError):
    """Refuses malformed sealing material; `fault` is the closed reason, `detail` says what was seen."""

    def __init__(self, fault: SealingFault, detail: str) -> None:
        super().__init__(f"{fault.value}: {detail}")
        self.fault = fault
        self.detail = detail


@dataclass(frozen=True)
class LaneKey:
    """The public half of a lane's RSA key; e is always 65537.

    Raises SealingError when the modulus is even or not of 1,024 or 2,048 bits; `check_key` does the full examination.
    """

    modulus: int

    def __post_init__(self) -> None:
        bits = self.modulus.bit_length()
        if bits not in SEAL_KEY_BITS or self.modulus < 0 or self.modulus % 2 == 0:
            raise SealingError(SealingFault.KEY, f"expected an odd modulus of 1,024 or 2,048 bits, got {bits} bits")

    @property
    def bits(self) -> int:
        """Size of the modulus in bits."""
        return self.modulus.bit_length()

    @property
    def size_bytes(self) -> int:
        """Size of the modulus, and of a sealed block, in bytes (k)."""
        return self.bits // 8

    @cached_property
    def _hash(self) -> bytes:
        parts = (KEY_DOMAIN, self.bits.to_bytes(2, "big"), self.to_bytes(), PUBLIC_EXPONENT.to_bytes(4, "big"))
        return hashlib.blake2b(b"".join(parts), digest_size=HASH_BYTES).digest()

    def key_hash(self) -> bytes:
        """H(N, e): BLAKE2b-256("dd/seal-key/v1" | bits u16 | N, k bytes | e u32)."""
        return self._hash

    def to_bytes(self) -> bytes:
        """The modulus as exactly k bytes."""
        return self.modulus.to_bytes(self.size_bytes, "big")

    @classmethod
    def from_bytes(cls, data: bytes, bits: int) -> Self:
        """Read a modulus of exactly `bits` bits from bits / 8 bytes; raises SealingError."""
        if bits not in SEAL_KEY_BITS or len(data) * 8 != bits:
            raise SealingError(SealingFault.KEY, f"expected {bits // 8} bytes, got {len(data)}")
        modulus = int.from_bytes(data, "big")
        if modulus.bit_length() != bits:
            raise SealingError(SealingFault.KEY, f"expected {bits} bits, got {modulus.bit_length()}")
        return cls(modulus)


def check_key(key: LaneKey, bits: int) -> None:
    """Refuse a key that could not guard a lane: wrong size, a factor below 2^16, a perfect power, or a prime.

    Every prime passes the base-2 test, and a product of two random primes passes it with negligible probability, so one
    fixed base decides, and decides the same on every machine. Raises SealingError.
    """
    if key.bits != bits:
        raise SealingError(SealingFault.KEY, f"expected {bits} bits, got {key.bits}")
    if gmpy2.gcd(key.modulus, SMALL_PRIMES_PRODUCT) != 1:
        raise SealingError(SealingFault.KEY, "the modulus has a factor below 65,536")
    if gmpy2.is_power(key.modulus):
        raise SealingError(SealingFault.KEY, "the modulus is a perfect power")
    if gmpy2.is_strong_prp(key.modulus, 2):
        raise SealingError(SealingFault.KEY, "the modulus is a prime")


@dataclass(frozen=True)
class Lane:
    """One position (0 … 2) of one amendment on one chain, with its encoder's key; raises SealingError on bad fields."""

    genesis: bytes
    amendment: int
    position: int
    key: LaneKey

    def __post_init__(self) -> None:
        if len(self.genesis) != HASH_BYTES:
            raise SealingError(SealingFault.LANE, f"expected a genesis hash of 32 bytes, got {len(self.genesis)}")
        check_place(self.amendment, self.position)


def check_place(amendment: int, position: int) -> None:
    """Refuse, with SealingError, what is not an amendment (u64) and one of its positions."""
    if not 0 <= amendment < U64_END:
        raise SealingError(SealingFault.LANE, f"amendment {amendment} is not an unsigned 64-bit number")
    if not 0 <= position < POSITIONS_PER_AMENDMENT:
        raise SealingError(SealingFault.LANE, f"position {position} is not below {POSITIONS_PER_AMENDMENT}")


def is_leaked_key(key: LaneKey, factor_or_exponent: int) -> bool:
    """Whether the number proves that the private key is known: a proper factor of n, or a working private exponent.

    The exponent is tried on bases hashed from the key, SHAKE-256("dd/leak/v1" | H(N, e) | u8) of k bytes mod n, so that
    a key made with a base of small order convicts nobody. Numbers outside 2 … n - 1 prove nothing.
    """
    modulus = key.modulus
    if not 1 < factor_or_exponent < modulus:
        return False
    if modulus % factor_or_exponent == 0:
        return True
    for number in range(LEAK_BASES):
        seed = LEAK_DOMAIN + key.key_hash() + bytes([number])
        base = int.from_bytes(hashlib.shake_256(seed).digest(key.size_bytes), "big") % modulus
        signed = gmpy2.powmod(base, factor_or_exponent, modulus)
        if gmpy2.powmod(signed, PUBLIC_EXPONENT, modulus) != base:
            return False
    return True
