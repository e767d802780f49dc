"""Storage items have FRAME's keys, typed values, and their own copy per runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.codec import Codecs
from runtime.errors import CodecError
from runtime.state import DictState, Overlay
from runtime.storage import (
    BLAKE2_128,
    BLAKE2_128_CONCAT,
    BLAKE2_256,
    IDENTITY,
    TWOX_64_CONCAT,
    TWOX_128,
    TWOX_256,
    StateHost,
    StorageDoubleMap,
    StorageMap,
    StorageValue,
    storage_items,
)
from runtime.types import U32, U64, U128, AccountId, Bytes
from tests.runtime.conftest import Counter, make_runtime

VECTORS = json.loads((Path(__file__).parent.parent / "vectors/substrate/storage_keys.json").read_text())
ALICE = bytes.fromhex("d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d")


class Items:
    """Items of the golden vectors."""

    account = StorageMap(AccountId, Bytes, hasher=BLAKE2_128_CONCAT)
    number = StorageValue(U32)
    events = StorageValue(Bytes)
    block_hash = StorageMap(U32, Bytes, hasher=TWOX_64_CONCAT)
    now = StorageValue(U64)
    total_issuance = StorageValue(U128)
    feeds = StorageMap(U64, Bytes)
    next_feed = StorageValue(U64, name="NextFeedId")
    authorities = StorageValue(Bytes)


def attached(item: Any, pallet: str, host: StateHost | None = None) -> Any:
    return item.attach(pallet, Codecs(), host or StateHost())


@pytest.mark.parametrize(
    ("name", "item", "keys"),
    [
        ("System.Account(Alice)", Items.account, (ALICE,)),
        ("System.Number", Items.number, ()),
        ("System.Events", Items.events, ()),
        ("System.BlockHash(0)", Items.block_hash, (0,)),
        ("System.BlockHash(1)", Items.block_hash, (1,)),
        ("Timestamp.Now", Items.now, ()),
        ("Balances.TotalIssuance", Items.total_issuance, ()),
        ("Datdot.Feeds(0)", Items.feeds, (0,)),
        ("Datdot.NextFeedId", Items.next_feed, ()),
        ("Aura.Authorities", Items.authorities, ()),
    ],
)
def test_golden_storage_keys(name: str, item: Any, keys: tuple[Any, ...]) -> None:
    assert attached(item, name.split(".")[0]).key_of(*keys).hex() == VECTORS[name][2:]


def test_hashers_have_frames_lengths_and_keep_the_key_when_they_say_so() -> None:
    lengths = {BLAKE2_128: 16, BLAKE2_256: 32, BLAKE2_128_CONCAT: 19, TWOX_128: 16, TWOX_256: 32, TWOX_64_CONCAT: 11}
    for hasher, length in {**lengths, IDENTITY: 3}.items():
        assert len(hasher(b"abc")) == length, hasher.name
        assert hasher.concat == hasher(b"abc").endswith(b"abc")
    assert [hasher.index for hasher in (*lengths, IDENTITY)] == [0, 1, 2, 3, 4, 5, 6]


@pytest.fixture
def host() -> StateHost:
    """A host with an empty overlay."""
    host = StateHost()
    host.bind(Overlay(DictState()))
    return host


def test_a_value_without_default_is_none_until_put(host: StateHost) -> None:
    value = attached(StorageValue(U32), "P", host)
    assert value.get() is None
    assert not value.exists()
    value.put(0)
    assert value.get() == 0
    assert value.exists()
    value.remove()
    assert value.get() is None


def test_a_value_with_default_gives_the_default_but_does_not_exist(host: StateHost) -> None:
    value = attached(StorageValue(U32, default=7), "P", host)
    assert value.get() == 7
    assert not value.exists()
    assert value.mutate(lambda number: number + 1) == 8
    assert value.get() == 8


def test_map_entries_are_independent_and_listed_in_key_order(host: StateHost) -> None:
    item = attached(StorageMap(U32, U64, hasher=IDENTITY), "P", host)
    for key in (3, 1, 2):
        item.put(key, key * 10)
    item.remove(2)
    assert list(item.items()) == [(1, 10), (3, 30)]
    assert (item.contains(1), item.contains(2), item.get(2)) == (True, False, None)


def test_double_maps_list_one_first_key(host: StateHost) -> None:
    item = attached(StorageDoubleMap((U32, TWOX_64_CONCAT), (U32, BLAKE2_128_CONCAT), U64), "P", host)
    for first, second in ((1, 1), (1, 2), (2, 1)):
        item.put(first, second, first * 10 + second)
    assert sorted(item.items_under(1)) == [(1, 11), (2, 12)]
    assert sorted(item.items()) == [((1, 1), 11), ((1, 2), 12), ((2, 1), 21)]
    assert item.key_of(1, 2).startswith(item.prefix_of(1))
    item.mutate(1, 1, lambda value: value + 1)
    item.remove(1, 2)
    assert (item.get(1, 1), item.get(1, 2), item.contains(2, 1)) == (12, None, True)


def test_items_behind_a_hasher_without_concat_cannot_be_listed(host: StateHost) -> None:
    item = attached(StorageMap(U32, U64, hasher=BLAKE2_256), "P", host)
    item.put(1, 1)
    with pytest.raises(TypeError, match="Blake2_256"):
        list(item.items())


def test_a_key_that_does_not_fit_its_type_is_refused(host: StateHost) -> None:
    item = attached(StorageMap(AccountId, U64), "P", host)
    with pytest.raises(CodecError):
        item.get(b"short")


def test_appending_reads_back_as_the_whole_sequence(host: StateHost) -> None:
    value = attached(StorageValue(tuple[U32, ...], default=()), "P", host)
    value.put((1,))
    value.append(2)
    before = value.get()
    value.append(3)
    assert (before, value.get()) == ((1, 2), (1, 2, 3))
    assert host.overlay.changes() == {value.key_of(): bytes.fromhex("0c010000000200000003000000")}


def test_items_are_named_after_their_attribute_unless_named() -> None:
    names = {attribute: item.name for attribute, item in storage_items(Items).items()}
    assert names["total_issuance"] == "TotalIssuance"
    assert names["next_feed"] == "NextFeedId"
    assert list(names) == [name for name in vars(Items) if not name.startswith("_")]


def test_two_runtimes_do_not_share_state() -> None:
    one, two = make_runtime(), make_runtime()
    first, second = one.pallet("Counter"), two.pallet("Counter")
    assert isinstance(first, Counter)
    assert isinstance(second, Counter)
    with one.at(DictState()), two.at(DictState()):
        first.total.put(5)
        assert (first.total.get(), second.total.get()) == (5, 0)


def test_bindings_nest_and_end() -> None:
    runtime = make_runtime()
    counter = runtime.pallet("Counter")
    assert isinstance(counter, Counter)
    with runtime.at(DictState()):
        counter.total.put(1)
        with runtime.at(DictState({counter.total.key_of(): b"\2" + bytes(7)})):
            assert counter.total.get() == 2
        assert counter.total.get() == 1
    with pytest.raises(LookupError, match="no state is bound"):
        counter.total.get()
