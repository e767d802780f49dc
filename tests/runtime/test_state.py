"""The overlay keeps decoded values and undoes what is rolled back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runtime import limits
from runtime.errors import TransactionalFault
from runtime.state import DictState, Overlay


def encode(value: object) -> bytes:
    return ",".join(value).encode() if isinstance(value, tuple) else str(value).encode()


def decode(data: bytes) -> str:
    return data.decode()


def decode_list(data: bytes) -> tuple[str, ...]:
    return tuple(data.decode().split(","))


class OverlayMachine(RuleBasedStateMachine):
    """Random writes, deletions, appends and nested transactions against a stack of copied dictionaries."""

    keys = st.sampled_from([b"a", b"ab", b"b", b"c"])

    def __init__(self) -> None:
        super().__init__()
        start = {b"a": b"1", b"b": b"2"}
        self.overlay = Overlay(DictState(start))
        self.model: list[dict[bytes, object]] = [{b"a": "1", b"b": "2"}]

    @rule(key=keys, value=st.integers(0, 9))
    def write(self, key: bytes, value: int) -> None:
        self.overlay.write(key, str(value), encode)
        self.model[-1][key] = str(value)

    @rule(key=keys)
    def delete(self, key: bytes) -> None:
        self.overlay.write(key, None, encode)
        self.model[-1].pop(key, None)

    @rule(value=st.integers(0, 9))
    def append(self, value: int) -> None:
        self.overlay.append(b"list", str(value), decode_list, encode)
        self.model[-1][b"list"] = (*self.model[-1].get(b"list", ()), str(value))  # type: ignore[misc]

    @rule()
    def clear_list(self) -> None:
        self.overlay.write(b"list", (), encode)
        self.model[-1][b"list"] = ()

    @precondition(lambda self: len(self.model) < 6)
    @rule()
    def begin(self) -> None:
        self.overlay.begin()
        self.model.append(dict(self.model[-1]))

    @precondition(lambda self: len(self.model) > 1)
    @rule()
    def commit(self) -> None:
        self.overlay.commit()
        top = self.model.pop()
        self.model[-1] = top

    @precondition(lambda self: len(self.model) > 1)
    @rule()
    def rollback(self) -> None:
        self.overlay.rollback()
        self.model.pop()

    @invariant()
    def reads_agree(self) -> None:
        for key in (b"a", b"ab", b"b", b"c"):
            assert self.overlay.read(key, decode) == self.model[-1].get(key)
        assert self.overlay.read(b"list", decode_list) == self.model[-1].get(b"list")
        present = sorted(key for key in self.model[-1] if key.startswith(b"a"))
        assert self.overlay.keys(b"a", None, 10) == present

    @invariant()
    def changes_lead_from_the_view_to_the_values(self) -> None:
        state = DictState({b"a": b"1", b"b": b"2"})
        state.apply(self.overlay.changes())
        assert state.pairs == {key: encode(value) for key, value in self.model[-1].items()}


TestOverlay = OverlayMachine.TestCase
TestOverlay.settings = settings(max_examples=60, stateful_step_count=30)


@given(st.sets(st.binary(max_size=3), max_size=30), st.binary(max_size=1), st.binary(max_size=3), st.integers(1, 9))
def test_pages_of_keys_join_to_all_keys_in_order(keys: set[bytes], prefix: bytes, start: bytes, page: int) -> None:
    state = DictState(dict.fromkeys(keys, b"v"))
    wanted = sorted(key for key in keys if key.startswith(prefix))
    assert state.keys(prefix, start, 100) == [key for key in wanted if key > start]
    found: list[bytes] = []
    cursor: bytes | None = None
    while batch := state.keys(prefix, cursor, page):
        found += batch
        cursor = batch[-1]
    assert found == wanted


def test_overlay_pages_over_many_keys_of_the_view() -> None:
    keys = [b"k" + number.to_bytes(2, "big") for number in range(limits.KEYS_PAGE * 2 + 5)]
    overlay = Overlay(DictState(dict.fromkeys(keys, b"v")))
    for key in keys[: limits.KEYS_PAGE + 3]:
        overlay.write(key, None, encode)
    overlay.write(b"k\0\0!", "new", encode)
    assert overlay.keys(b"k", None, 1000) == [b"k\0\0!", *keys[limits.KEYS_PAGE + 3 :]]
    assert overlay.keys(b"k", b"k\0\0!", 3) == keys[limits.KEYS_PAGE + 3 :][:3]


def test_values_are_decoded_once_and_encoded_once() -> None:
    decoded: list[bytes] = []
    encoded: list[object] = []

    def count_decode(data: bytes) -> str:
        decoded.append(data)
        return data.decode()

    def count_encode(value: object) -> bytes:
        encoded.append(value)
        return encode(value)

    overlay = Overlay(DictState({b"k": b"1"}))
    for _ in range(3):
        assert overlay.read(b"k", count_decode) == "1"
    for value in ("2", "3"):
        overlay.write(b"k", value, count_encode)
    assert overlay.changes() == {b"k": b"3"}
    assert decoded == [b"1"]
    assert encoded == ["3"]


def test_changes_are_in_the_order_of_keys_and_hold_only_what_was_written() -> None:
    overlay = Overlay(DictState({b"read": b"1"}))
    overlay.read(b"read", decode)
    for key in (b"z", b"a", b"m"):
        overlay.write(key, "v", encode)
    overlay.write(b"m", None, encode)
    assert list(overlay.changes().items()) == [(b"a", b"v"), (b"m", None), (b"z", b"v")]


def test_transactions_nest_to_a_bound() -> None:
    overlay = Overlay(DictState())
    for _ in range(limits.STORAGE_TRANSACTIONS):
        overlay.begin()
    with pytest.raises(TransactionalFault):
        overlay.begin()
