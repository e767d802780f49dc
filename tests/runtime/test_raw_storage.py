"""Storage by raw keys: which item a key is of, and values as bytes."""

from __future__ import annotations

import pytest

from runtime.crypto import twox128
from runtime.errors import CodecError, OtherError
from runtime.limits import STORAGE_KEY_BYTES
from runtime.state import DictState
from tests.runtime.conftest import make_runtime

RUNTIME = make_runtime()
INDEX = RUNTIME.storage_index
ACCOUNT = bytes(range(32))


def test_a_key_is_that_of_its_item_with_the_keys_inside() -> None:
    system = RUNTIME.pallet("System")
    for item, keys in ((system.account, (ACCOUNT,)), (system.block_hashes, (7,)), (system.number, ())):  # type: ignore[attr-defined]
        found = INDEX.find(item.key_of(*keys))
        assert found is not None
        assert (found.pallet, found.item, found.keys) == (system, item, keys)


@pytest.mark.parametrize("change", [lambda key: key[:-1], lambda key: key + b"\0", lambda key: key[:16], lambda _: b""])
def test_a_key_that_no_item_can_have_is_none(change: object) -> None:
    account = RUNTIME.pallet("System").account.key_of(ACCOUNT)  # type: ignore[attr-defined]
    assert INDEX.find(change(account)) is None  # type: ignore[operator]
    assert INDEX.find(twox128(b"Nothing") + twox128(b"Here")) is None


def test_values_are_decoded_by_their_item_and_others_stay_bytes() -> None:
    number = RUNTIME.pallet("System").number.key_of()  # type: ignore[attr-defined]
    assert INDEX.decode(number, b"\x05\0\0\0") == 5
    assert INDEX.encode(number, 5) == b"\x05\0\0\0"
    assert INDEX.decode(b"free", b"bytes") == INDEX.encode(b"free", b"bytes") == b"bytes"
    with pytest.raises(CodecError):
        INDEX.decode(number, b"\x05")


def test_what_was_written_raw_is_read_as_if_by_its_pallet() -> None:
    number = RUNTIME.pallet("System").number  # type: ignore[attr-defined]
    with RUNTIME.at(DictState({b"gone": b"x"})) as runtime:
        overlay = runtime.host.overlay
        INDEX.write(overlay, number.key_of(), b"\x05\0\0\0")
        INDEX.write(overlay, b"free", b"bytes")
        INDEX.write(overlay, b"gone", None)
        assert number.get() == 5
        assert overlay.changes() == {number.key_of(): b"\x05\0\0\0", b"free": b"bytes", b"gone": None}


@pytest.mark.parametrize(
    ("key", "value"), [(b"", b"v"), (bytes(STORAGE_KEY_BYTES + 1), b"v"), (b"", None), (b"key", b"")]
)
def test_what_the_state_cannot_hold_is_refused(key: bytes, value: bytes | None) -> None:
    with RUNTIME.at(DictState({})) as runtime, pytest.raises(OtherError):
        INDEX.write(runtime.host.overlay, key, value)
