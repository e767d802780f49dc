from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import trio
import trio.testing
from nacl.signing import SigningKey

from node import limits
from node.net.addresses import AddressBook, AddressRecord, InvalidRecord, keep_published
from node.net.identity import peer_id_of

from .support import GENESIS, OTHER_GENESIS, seed


def record(name: str = "a", sequence: int = 1, **changes: object) -> AddressRecord:
    peer_id = peer_id_of(bytes(SigningKey(seed(name)).verify_key))
    arguments: dict[str, object] = {
        "addresses": [f"/ip4/127.0.0.1/tcp/4001/p2p/{peer_id}"],
        "sequence": sequence,
        "hypercore": ("127.0.0.1", 49737),
    }
    return AddressRecord.create(seed(name), GENESIS, **(arguments | changes))  # type: ignore[arg-type]


def test_a_record_survives_the_wire_and_its_signature_holds() -> None:
    made = record()
    read = AddressRecord.decode(made.encode())
    read.verify(GENESIS)
    assert read == made
    assert read.hypercore == ("127.0.0.1", 49737)
    assert read.peer_id == peer_id_of(made.noise_key)


def test_a_record_for_another_chain_is_refused() -> None:
    with pytest.raises(InvalidRecord, match="signature"):
        record().verify(OTHER_GENESIS)


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": 2},
        {"hypercore_port": 1},
        {"hypercore_host": "example.org"},
        {"serves_chain": True},
        {"addresses": ()},
        {"signature": bytes(64)},
    ],
)
def test_a_record_changed_after_signing_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidRecord, match="signature"):
        dataclasses.replace(record(), **change).verify(GENESIS)  # type: ignore[arg-type]


def test_nobody_can_sign_for_another_noise_key() -> None:
    forged = dataclasses.replace(record("b"), noise_key=record("a").noise_key, addresses=())
    with pytest.raises(InvalidRecord, match="signature"):
        forged.verify(GENESIS)


def test_a_noise_key_that_is_no_point_is_refused() -> None:
    with pytest.raises(InvalidRecord):
        dataclasses.replace(record(), noise_key=b"\xff" * 32, addresses=()).verify(GENESIS)


def test_an_address_that_names_another_peer_is_refused() -> None:
    with pytest.raises(InvalidRecord, match="another peer"):
        record("a", addresses=record("b").addresses).verify(GENESIS)


@pytest.mark.parametrize("hypercore", [("", 1), ("host", 0)])
def test_half_a_hypercore_endpoint_is_refused(hypercore: tuple[str, int]) -> None:
    with pytest.raises(InvalidRecord, match="host and port"):
        record(hypercore=hypercore).verify(GENESIS)


@pytest.mark.parametrize("data", [b"", b"\xa0", record().encode()[:-1], record().encode() + b"\x00", bytes(5000)])
def test_bytes_that_are_no_record_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidRecord):
        AddressRecord.decode(data)


def test_the_highest_sequence_wins() -> None:
    book = AddressBook(GENESIS)
    assert book.add(record(sequence=5), "peer")
    assert not book.add(record(sequence=5), "peer")
    assert not book.add(record(sequence=4), "peer")
    assert book.add(record(sequence=6, hypercore=None), "peer")
    found = book.lookup(record().noise_key)
    assert found is not None
    assert (found.sequence, found.hypercore) == (6, None)


def test_lookup_takes_a_noise_key_or_a_peer_id() -> None:
    book = AddressBook(GENESIS)
    book.add(record(), "peer")
    assert book.lookup(record().peer_id) == book.lookup(record().noise_key) == record()
    assert book.lookup(bytes(32)) is None


def test_a_forged_newer_record_does_not_replace_the_known_one() -> None:
    book = AddressBook(GENESIS)
    book.add(record(), "peer")
    with pytest.raises(InvalidRecord):
        book.add(dataclasses.replace(record(), sequence=9), "peer")
    assert book.lookup(record().noise_key) == record()


def test_a_full_book_forgets_the_record_used_longest_ago() -> None:
    book = AddressBook(GENESIS, max_records=2)
    for name in "ab":
        book.add(record(name), "peer")
    book.lookup(record("a").noise_key)
    book.add(record("c"), "peer")
    assert len(book) == 2
    assert book.lookup(record("b").noise_key) is None
    assert book.lookup(record("a").noise_key) is not None


def test_newest_gives_the_latest_records_only() -> None:
    book = AddressBook(GENESIS)
    for name in "abc":
        book.add(record(name), "peer")
    assert book.newest(2) == [record("b"), record("c")]
    assert book.newest(0) == []


def names_in(book: AddressBook) -> str:
    """The names of the records in a book, the most recent last."""
    names = {record(name).noise_key: name for name in "abcdefgh"}
    return "".join(names[kept.noise_key] for kept in book.newest(100))


def registered(names: str) -> Callable[[bytes], bool]:
    keys = {record(name).noise_key for name in names}
    return lambda noise_key: noise_key in keys


def test_a_flood_pushes_out_what_it_brought_itself() -> None:
    book = AddressBook(GENESIS, max_records=8, max_from_peer=2)
    book.add(record("a"), "honest")
    for name in "bcdef":
        book.add(record(name), "flood")
    assert names_in(book) == "aef"
    book.add(record("g"), "another")
    assert names_in(book) == "aefg"


def test_a_newer_record_takes_the_place_of_the_known_one_in_whosoever_share() -> None:
    book = AddressBook(GENESIS, max_records=8, max_from_peer=2)
    for name in "ab":
        book.add(record(name), "first")
    for sequence in range(2, 6):
        book.add(record("a", sequence=sequence), "second")
        book.add(record("b", sequence=sequence), "first")
    for name in "cd":
        book.add(record(name), "second")
    assert names_in(book) == "abcd"


def test_users_of_the_chain_stay_when_strangers_come_and_are_in_nobodys_share() -> None:
    book = AddressBook(GENESIS, registered("ab"), max_records=4, max_from_peer=2)
    for name in "abcdefg":
        book.add(record(name), "flood")
        assert len(book) <= 4
    assert sorted(names_in(book)) == list("abfg")


def test_with_users_alone_the_one_used_longest_ago_goes() -> None:
    book = AddressBook(GENESIS, registered("abcdefgh"), max_records=3)
    for name in "abcd":
        book.add(record(name), "peer")
    assert names_in(book) == "bcd"


def test_who_became_a_user_later_is_one() -> None:
    users: set[bytes] = set()
    book = AddressBook(GENESIS, users.__contains__, max_records=2)
    for name in "ab":
        book.add(record(name), "peer")
    users.add(record("a").noise_key)
    book.add(record("c"), "peer")
    assert sorted(names_in(book)) == ["a", "c"]


def test_services_of_ours_are_never_forgotten() -> None:
    book = AddressBook(GENESIS, registered("cdefgh"), max_records=2)
    book.add(record("a"), None)
    for name in "bcdefgh":
        book.add(record(name), "peer")
    assert sorted(names_in(book)) == ["a", "h"]


def test_looking_for_one_that_may_go_ends() -> None:
    asked: list[bytes] = []

    def is_registered(noise_key: bytes) -> bool:
        asked.append(noise_key)
        return True

    book = AddressBook(GENESIS, is_registered, max_records=2 * limits.MAX_ADDRESS_RECORDS_LOOKED_AT)
    for number in range(2 * limits.MAX_ADDRESS_RECORDS_LOOKED_AT):
        book.add(record(f"user {number}"), "peer")
    assert asked == []
    book.add(record("one more"), "peer")
    assert len(asked) == limits.MAX_ADDRESS_RECORDS_LOOKED_AT
    assert len(book) == 2 * limits.MAX_ADDRESS_RECORDS_LOOKED_AT


async def test_a_record_is_published_anew_before_strangers_can_have_it_forgotten_for_long(
    autojump_clock: trio.testing.MockClock,
) -> None:
    other_book = AddressBook(GENESIS, max_records=2)
    sequences = iter(range(1, 100))

    class Publisher:
        def publish_address(self, record: AddressRecord) -> None:
            other_book.add(record, "publisher")

    def own_record() -> AddressRecord:
        return AddressRecord.create(seed("own"), GENESIS, addresses=(), sequence=next(sequences))

    Publisher().publish_address(own_record())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_published, Publisher(), own_record)
        for number in range(2):
            other_book.add(AddressRecord.create(seed(f"stranger {number}"), GENESIS, addresses=(), sequence=1), "peer")
        assert all(record.sequence == 1 for record in other_book.newest(10))
        await trio.sleep(limits.ADDRESS_REPUBLISH_SECONDS + 1)
        assert other_book.newest(1)[0].sequence == 2
        nursery.cancel_scope.cancel()
