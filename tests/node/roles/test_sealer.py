"""The encoder's keys and the making of sealed chunks."""

import random
import subprocess
import sys
from dataclasses import replace

import pytest

from node.roles.sealer import SealKey, SealKeyFault, seal_chunk
from pallets.datdot.sealing import CHUNK_MAX_BYTES, Lane, SealingError, SealingFault, check_key, open_chunk

KEY = SealKey.generate(1_024, random.Random(31).getrandbits)
OTHER_KEY = SealKey.generate(1_024, random.Random(32).getrandbits)
LANE = Lane(bytes(32), 4, 0, KEY.public)


@pytest.mark.parametrize("bits", [1_024, 2_048])
@pytest.mark.parametrize("seed", range(3))
def test_a_generated_key_is_fit_for_a_lane(bits: int, seed: int) -> None:
    key = SealKey.generate(bits, random.Random(seed).getrandbits)
    check_key(key.public, bits)
    assert key.prime_p * key.prime_q == key.public.modulus
    assert (key.prime_p - key.prime_q).bit_length() > bits // 2 - 100
    assert pow(key.sign(12_345), 65_537, key.public.modulus) == 12_345


def test_keys_are_fresh_unless_the_random_source_repeats() -> None:
    assert SealKey.generate().public != SealKey.generate().public
    assert SealKey.generate(1_024, random.Random(31).getrandbits).public == KEY.public


@pytest.mark.parametrize("bits", [0, 512, 1_023, 1_536, 4_096])
def test_keys_of_other_sizes_are_not_made(bits: int) -> None:
    with pytest.raises(SealingError):
        SealKey.generate(bits)


def test_a_key_comes_back_from_its_bytes() -> None:
    data = KEY.to_bytes()
    assert len(data) == 128
    assert SealKey.from_bytes(data).public == KEY.public
    assert seal_chunk(LANE, SealKey.from_bytes(data), 0, b"x") == seal_chunk(LANE, KEY, 0, b"x")


def key_bytes(prime_p: int, prime_q: int) -> bytes:
    return prime_p.to_bytes(64, "big") + prime_q.to_bytes(64, "big")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        KEY.to_bytes()[:-1],
        KEY.to_bytes() + b"\0",
        bytes(128),
        b"\xff" * 128,
        key_bytes(KEY.prime_q, KEY.prime_p),
        key_bytes(KEY.prime_p, KEY.prime_p),
        key_bytes(KEY.prime_p, KEY.prime_q - 2),
        key_bytes(KEY.prime_p, 3),
        key_bytes(KEY.prime_p, 1),
    ],
    ids=["empty", "short", "long", "zeros", "ones", "swapped", "square", "composite", "small", "one"],
)
def test_bytes_that_are_no_key_are_refused_without_quoting_them(data: bytes) -> None:
    with pytest.raises(SealingError) as caught:
        SealKey.from_bytes(data)
    assert caught.value.fault is SealingFault.KEY
    assert str(KEY.prime_p) not in str(caught.value)
    assert str(KEY.prime_q) not in str(caught.value)


def test_nothing_printed_shows_a_secret() -> None:
    shown = repr(KEY) + str(KEY) + f"{KEY}" + repr([KEY]) + repr(vars(KEY)["public"])
    for secret in (KEY.prime_p, KEY.prime_q):
        assert str(secret) not in shown
        assert f"{secret:x}" not in shown


def test_sealing_is_deterministic() -> None:
    assert seal_chunk(LANE, KEY, 5, b"abc" * 100) == seal_chunk(LANE, KEY, 5, b"abc" * 100)


def test_only_the_lanes_own_key_seals() -> None:
    with pytest.raises(SealingError, match="does not belong"):
        seal_chunk(LANE, OTHER_KEY, 0, b"x")
    sealed = seal_chunk(replace(LANE, key=OTHER_KEY.public), OTHER_KEY, 0, b"x")
    with pytest.raises(SealingError):
        open_chunk(LANE, 0, sealed)


def test_a_larger_chunk_is_refused() -> None:
    with pytest.raises(SealingError, match="too large"):
        seal_chunk(LANE, KEY, 0, bytes(CHUNK_MAX_BYTES + 1))


@pytest.mark.parametrize("chunk_index", [-1, 2**64])
def test_an_impossible_chunk_index_is_refused(chunk_index: int) -> None:
    with pytest.raises(SealingError):
        seal_chunk(LANE, KEY, chunk_index, b"x")


@pytest.mark.parametrize("wrong_call", [0, 1, 2])
def test_a_miscalculated_block_is_never_handed_out(wrong_call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    right = SealKey.sign
    calls = iter(range(3))

    def sometimes_wrong(key: SealKey, value: int) -> int:
        result = right(key, value)
        return (result + key.prime_p) % key.public.modulus if next(calls) == wrong_call else result

    monkeypatch.setattr(SealKey, "sign", sometimes_wrong)
    with pytest.raises(SealKeyFault):
        seal_chunk(LANE, KEY, 0, random.Random(1).randbytes(300))


def test_a_worker_imports_nothing_heavy() -> None:
    program = "import sys, node.roles.seal_worker; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    command = [sys.executable, "-S", "-c", program]
    done = subprocess.run(command, env=worker_environment(), capture_output=True, check=True)
    loaded = set(done.stdout.decode().split())
    assert {"gmpy2", "brotli", "pallets"} <= loaded
    assert not loaded & {"trio", "libp2p", "asyncio", "multiprocessing", "lmdb", "runtime", "nacl", "rich", "typer"}


def worker_environment() -> dict[str, str]:
    return {"PYTHONPATH": ":".join(filter(None, sys.path))}
