"""Hash onions as pure functions."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pallets.randomness import OnionLayers, onion_layer, onion_secret, onion_seed, onion_tip
from pallets.randomness.onion import peel
from tests.pallets.chainfiles import sr25519_secret

SEED = bytes(range(32))


def blake2b(value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=32).digest()


@settings(max_examples=50)
@given(st.integers(1, 40), st.data())
def test_a_layer_hashed_offset_plus_one_times_is_the_tip(layers: int, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, layers - 1))
    secret = onion_secret(SEED, 3)
    assert peel(onion_layer(secret, layers, offset), offset + 1) == onion_tip(secret, layers)


def test_the_last_layer_is_the_secret_itself() -> None:
    assert onion_layer(onion_secret(SEED, 0), 600, 599) == onion_secret(SEED, 0)


def test_layers_computed_at_once_equal_layers_computed_alone() -> None:
    secret, together = onion_secret(SEED, 9), OnionLayers(SEED, 9, 30)
    assert together.tip == onion_tip(secret, 30)
    assert [together.layer(offset) for offset in range(30)] == [onion_layer(secret, 30, k) for k in range(30)]


def test_the_derivations_are_fixed() -> None:
    assert onion_seed(bytes(64)) == blake2b(b"dd/onion" + bytes(32))
    assert onion_secret(SEED, 258) == blake2b(b"dd/onion/epoch" + SEED + b"\x02\x01" + bytes(6))
    assert onion_tip(SEED, 2) == blake2b(blake2b(SEED))


def test_the_seed_does_not_depend_on_the_nonce_half_of_a_key() -> None:
    secret = sr25519_secret("Alice")[1]
    assert onion_seed(secret) == onion_seed(secret[:32] + bytes(32))


def test_epochs_and_keys_have_different_onions() -> None:
    seeds = [onion_seed(sr25519_secret(name)[1]) for name in ("Alice", "Bob")]
    assert len({onion_secret(seed, epoch) for seed in seeds for epoch in (0, 1)}) == 4


@pytest.mark.parametrize("offset", [-1, 10, 11])
def test_there_is_no_layer_outside_of_the_epoch(offset: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        onion_layer(SEED, 10, offset)
    with pytest.raises(ValueError, match="outside"):
        OnionLayers(SEED, 0, 10).layer(offset)


@pytest.mark.parametrize("length", [0, 31, 33, 63])
def test_seeds_and_keys_of_another_length_are_refused(length: int) -> None:
    with pytest.raises(ValueError, match="bytes"):
        onion_secret(bytes(length), 0)
    with pytest.raises(ValueError, match="bytes"):
        onion_seed(bytes(length))


def test_a_secret_is_not_shown() -> None:
    layers = OnionLayers(SEED, 0, 3)
    assert SEED.hex() not in repr(layers)
    assert repr(SEED) not in repr(layers)
    assert repr(layers.layer(2)) not in repr(layers)
