"""Lane keys: which are fit, how they are written, and what proves that one has leaked."""

import random
from functools import reduce

import gmpy2
import pytest

from node.roles.seal_key import SealKey
from pallets.datdot.sealing import Lane, LaneKey, SealingError, SealingFault, check_key, is_leaked_key

KEY = SealKey.generate(1_024, random.Random(11).getrandbits)
PUBLIC = KEY.public
LARGE_PUBLIC = SealKey.generate(2_048, random.Random(12).getrandbits).public
EXPONENT = pow(65_537, -1, (KEY.prime_p - 1) * (KEY.prime_q - 1))
SHORT_EXPONENT = pow(65_537, -1, int(gmpy2.lcm(KEY.prime_p - 1, KEY.prime_q - 1)))


def prime_of(bits: int, seed: int) -> int:
    return int(gmpy2.next_prime(random.Random(seed).getrandbits(bits) | 3 << (bits - 2)))


@pytest.mark.parametrize("key", [PUBLIC, LARGE_PUBLIC], ids=["1024", "2048"])
def test_a_fresh_key_is_fit_and_comes_back_from_its_bytes(key: LaneKey) -> None:
    check_key(key, key.bits)
    assert len(key.to_bytes()) == key.bits // 8
    assert LaneKey.from_bytes(key.to_bytes(), key.bits) == key


@pytest.mark.parametrize(
    "modulus",
    [
        0, 1, -PUBLIC.modulus, 2**1_023, PUBLIC.modulus + 1, PUBLIC.modulus >> 1 | 1, PUBLIC.modulus << 1 | 1,
        2**1_536 - 1,
    ],
    ids=["zero", "one", "negative", "power of two", "even", "1023 bits", "1025 bits", "1536 bits"],
)  # fmt: skip
def test_a_modulus_of_another_size_or_an_even_one_is_no_key(modulus: int) -> None:
    with pytest.raises(SealingError) as caught:
        LaneKey(modulus)
    assert caught.value.fault is SealingFault.KEY


def unfit(*factors: int) -> int:
    """A product of 1,024 bits: the given factors times a prime that fills it up."""
    product = reduce(lambda left, right: left * right, factors)
    filler = int(gmpy2.next_prime((2**1_024 - 2**1_022) // product))
    return product * filler


@pytest.mark.parametrize(
    ("modulus", "words"),
    [
        (unfit(3), "factor below"),
        (unfit(65_521), "factor below"),
        (prime_of(512, 21) ** 2, "perfect power"),
        (prime_of(256, 22) ** 4, "perfect power"),
        (prime_of(1_024, 23), "prime"),
    ],
    ids=["three", "largest small prime", "square", "fourth power", "prime"],
)
def test_an_unfit_modulus_is_refused_with_its_reason(modulus: int, words: str) -> None:
    with pytest.raises(SealingError, match=words):
        check_key(LaneKey(modulus), 1_024)


def test_the_smallest_allowed_factor_is_the_first_prime_above_the_bound() -> None:
    check_key(LaneKey(unfit(65_537)), 1_024)


def test_a_key_of_the_other_size_is_refused() -> None:
    with pytest.raises(SealingError, match="expected 1024 bits"):
        check_key(LARGE_PUBLIC, 1_024)
    with pytest.raises(SealingError, match="expected 2048 bits"):
        check_key(PUBLIC, 2_048)


@pytest.mark.parametrize(
    ("data", "bits"),
    [
        (b"", 1_024),
        (PUBLIC.to_bytes()[1:], 1_024),
        (b"\0" + PUBLIC.to_bytes(), 1_024),
        (PUBLIC.to_bytes(), 2_048),
        (LARGE_PUBLIC.to_bytes(), 1_024),
        (bytes(128) + PUBLIC.to_bytes(), 2_048),
        (b"\x7f" + PUBLIC.to_bytes()[1:], 1_024),
        (PUBLIC.to_bytes()[:-1] + b"\0", 1_024),
        (bytes(64), 512),
        (b"", 0),
    ],
)
def test_key_bytes_are_exactly_as_wide_as_the_key(data: bytes, bits: int) -> None:
    with pytest.raises(SealingError):
        LaneKey.from_bytes(data, bits)


@pytest.mark.parametrize(
    ("genesis", "amendment", "position"),
    [
        (bytes(31), 0, 0), (bytes(33), 0, 0), (bytes(32), -1, 0), (bytes(32), 2**64, 0), (bytes(32), 0, 3),
        (bytes(32), 0, -1),
    ],
)  # fmt: skip
def test_a_lane_needs_a_genesis_hash_an_amendment_and_a_position(genesis: bytes, amendment: int, position: int) -> None:
    with pytest.raises(SealingError) as caught:
        Lane(genesis, amendment, position, PUBLIC)
    assert caught.value.fault is SealingFault.LANE


@pytest.mark.parametrize(
    "number", [KEY.prime_p, KEY.prime_q, EXPONENT, SHORT_EXPONENT], ids=["p", "q", "d mod phi", "d mod lambda"]
)
def test_a_factor_or_a_working_exponent_proves_the_leak(number: int) -> None:
    assert is_leaked_key(PUBLIC, number)


@pytest.mark.parametrize(
    "number",
    [
        -1, 0, 1, 2, 65_537, PUBLIC.modulus, PUBLIC.modulus - 1, PUBLIC.modulus + 1, -KEY.prime_p, KEY.prime_p + 2,
        KEY.prime_p * 2, EXPONENT + 1, EXPONENT + PUBLIC.modulus, PUBLIC.modulus * KEY.prime_p,
    ],
)  # fmt: skip
def test_other_numbers_prove_nothing(number: int) -> None:
    assert not is_leaked_key(PUBLIC, number)


def test_the_exponent_of_another_key_proves_nothing() -> None:
    assert not is_leaked_key(LARGE_PUBLIC, EXPONENT)


def test_a_base_of_small_order_convicts_nobody() -> None:
    # 2 has order 1,024 modulo 2^1024 - 1: everybody can invert e on the powers of 2 without any secret.
    key = LaneKey(2**1_024 - 1)
    pretended = pow(65_537, -1, 1_024) + 1_024
    assert pow(pow(2, pretended, key.modulus), 65_537, key.modulus) == 2
    assert not is_leaked_key(key, pretended)
