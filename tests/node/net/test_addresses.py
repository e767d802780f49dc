from __future__ import annotations

import dataclasses

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
    assert book.add(record(sequence=5))
    assert not book.add(record(sequence=5))
    assert not book.add(record(sequence=4))
    assert book.add(record(sequence=6, hypercore=None))
    found = book.lookup(record().noise_key)
    assert found is not None
    assert (found.sequence, found.hypercore) == (6, None)


def test_lookup_takes_a_noise_key_or_a_peer_id() -> None:
    book = AddressBook(GENESIS)
    book.add(record())
    assert book.lookup(record().peer_id) == book.lookup(record().noise_key) == record()
    assert book.lookup(bytes(32)) is None


def test_a_forged_newer_record_does_not_replace_the_known_one() -> None:
    book = AddressBook(GENESIS)
    book.add(record())
    with pytest.raises(InvalidRecord):
        book.add(dataclasses.replace(record(), sequence=9))
    assert book.lookup(record().noise_key) == record()


def test_a_full_book_forgets_the_record_used_longest_ago() -> None:
    book = AddressBook(GENESIS, max_records=2)
    for name in "ab":
        book.add(record(name))
    book.lookup(record("a").noise_key)
    book.add(record("c"))
    assert len(book) == 2
    assert book.lookup(record("b").noise_key) is None
    assert book.lookup(record("a").noise_key) is not None


def test_newest_gives_the_latest_records_only() -> None:
    book = AddressBook(GENESIS)
    for name in "abc":
        book.add(record(name))
    assert book.newest(2) == [record("b"), record("c")]
    assert book.newest(0) == []


async def test_a_record_is_published_anew_before_strangers_can_have_it_forgotten_for_long(
    autojump_clock: trio.testing.MockClock,
) -> None:
    book = AddressBook(GENESIS, max_records=2)
    sequences = iter(range(1, 100))

    class Publisher:
        def publish_address(self, record: AddressRecord) -> None:
            book.add(record)

    def own_record() -> AddressRecord:
        return AddressRecord.create(seed("own"), GENESIS, addresses=(), sequence=next(sequences))

    Publisher().publish_address(own_record())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_published, Publisher(), own_record)
        for number in range(2):
            book.add(AddressRecord.create(seed(f"stranger {number}"), GENESIS, addresses=(), sequence=1))
        assert all(record.sequence == 1 for record in book.newest(10))
        await trio.sleep(limits.ADDRESS_REPUBLISH_SECONDS + 1)
        assert book.newest(1)[0].sequence == 2
        nursery.cancel_scope.cancel()
