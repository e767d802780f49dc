"""Local storage keeps what workers store, apart by pallet and within its bounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.offchain.storage import MAX_KEY_BYTES, MAX_VALUE_BYTES, OffchainStorage, OffchainStorageError


@pytest.fixture
def storage(tmp_path: Path) -> OffchainStorage:
    return OffchainStorage(tmp_path / "offchain")


def test_values_outlive_the_process(tmp_path: Path, storage: OffchainStorage) -> None:
    storage.set(b"key", b"value")
    storage.close()
    again = OffchainStorage(tmp_path / "offchain")
    assert again.get(b"key") == b"value"
    again.remove(b"key")
    assert again.get(b"key") is None
    again.remove(b"key")


def test_nothing_is_made_before_it_is_needed(tmp_path: Path, storage: OffchainStorage) -> None:
    storage.close()
    assert not (tmp_path / "offchain").exists()


def test_pallets_do_not_meet(storage: OffchainStorage) -> None:
    one, other = storage.of("One"), storage.of("OneOther")
    one.set(b"Other\0key", b"1")
    other.set(b"key", b"2")
    assert (one.get(b"key"), other.get(b"key"), one.get(b"Other\0key")) == (None, b"2", b"1")
    assert storage.get(b"OneOther\0key") == b"2"


@pytest.mark.parametrize(("present", "expected", "done"), [
    (None, None, True), (None, b"", False), (b"1", b"1", True), (b"1", None, False), (b"1", b"2", False),
])  # fmt: skip
def test_a_value_is_replaced_only_if_it_is_the_one_expected(
    storage: OffchainStorage, present: bytes | None, expected: bytes | None, done: bool
) -> None:
    pallet = storage.of("Oracle")
    if present is not None:
        pallet.set(b"key", present)
    assert pallet.compare_and_set(b"key", expected, b"new") is done
    assert pallet.get(b"key") == (b"new" if done else present)
    pallet.remove(b"key")
    assert pallet.get(b"key") is None


def test_keys_and_values_are_bounded(storage: OffchainStorage) -> None:
    for key in (b"", b"k" * (MAX_KEY_BYTES + 1)):
        assert storage.get(key) is None
        for write in (lambda key=key: storage.set(key, b""), lambda key=key: storage.compare_and_set(key, None, b"")):
            with pytest.raises(ValueError, match="key has 1 to"):
                write()
        with pytest.raises(ValueError, match="key has 1 to"):
            storage.remove(key)
    with pytest.raises(ValueError, match="value has at most"):
        storage.set(b"key", b"v" * (MAX_VALUE_BYTES + 1))
    storage.set(b"k" * MAX_KEY_BYTES, b"v" * MAX_VALUE_BYTES)


def test_a_full_storage_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    storage = OffchainStorage(tmp_path / "small", total_bytes=1 << 20)
    with pytest.raises(OffchainStorageError, match="full"):
        for number in range(64):
            storage.set(number.to_bytes(2, "big"), bytes(MAX_VALUE_BYTES))
    assert storage.get(bytes(2)) == bytes(MAX_VALUE_BYTES)


def test_a_directory_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OffchainStorageError, match="cannot be opened"):
        OffchainStorage(tmp_path / "file" / "inside").get(b"key")
