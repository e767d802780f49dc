"""Eras against the golden vectors and Substrate's rules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.codec import codec_for
from runtime.era import Era, Immortal, Mortal
from runtime.errors import CodecError

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/substrate/era.json").read_text())
CODEC = codec_for(Era)


@pytest.mark.parametrize("vector", VECTORS["mortal"], ids=lambda v: f"{v['current']}/{v['period_asked']}")
def test_golden_vectors(vector: dict[str, Any]) -> None:
    era = Mortal.starting(vector["current"], vector["period_asked"])
    assert era == Mortal(vector["period"], vector["phase"])
    assert CODEC.encode(era) == bytes.fromhex(vector["hex"][2:])
    assert CODEC.decode(bytes.fromhex(vector["hex"][2:])) == era
    assert (era.birth(vector["current"]), era.death(vector["current"])) == (vector["birth"], vector["death"])


def test_immortal_is_one_zero_byte_and_begins_at_genesis() -> None:
    assert CODEC.encode(Immortal()) == b"\0"
    assert CODEC.decode(b"\0") == Immortal()
    assert Immortal().birth(10**6) == 0
    assert Immortal().death(10**6) > 2**63


@given(st.integers(0, 2**32 - 1), st.integers(0, 200_000))
def test_the_current_block_is_always_inside_a_new_era(current: int, period: int) -> None:
    era = Mortal.starting(current, period)
    assert era.birth(current) <= current < era.death(current)
    assert CODEC.decode(CODEC.encode(era)) == era


@given(st.integers(0, 2**16 - 1))
def test_every_two_bytes_are_refused_or_canonical(encoded: int) -> None:
    data = encoded.to_bytes(2, "little")
    try:
        era = CODEC.decode(data)
    except CodecError:
        return
    assert CODEC.encode(era) == data


@pytest.mark.parametrize("data", ["", "05", "1000", "e100", "0000", "f1ff"])
def test_bad_eras_are_refused(data: str) -> None:
    with pytest.raises(CodecError):
        CODEC.decode(bytes.fromhex(data))


@pytest.mark.parametrize(("period", "phase"), [(2, 0), (3, 0), (131_072, 0), (64, 64), (64, -1), (32_768, 3), (0, 0)])
def test_impossible_eras_cannot_be_made(period: int, phase: int) -> None:
    with pytest.raises(ValueError, match="period"):
        Mortal(period, phase)


def test_only_the_two_eras_encode() -> None:
    with pytest.raises(CodecError):
        CODEC.encode("immortal")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Era().birth(1)
    with pytest.raises(TypeError):
        Era().death(1)
