"""Slots and seals, fork choice and finality, without a chain around them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from node.consensus.aura import (
    EQUIVOCATION_SLOTS,
    FRESH_SLOTS,
    MAX_FRESH_HEADERS,
    MAX_HEADERS,
    Authored,
    BadDigest,
    BadPlace,
    BadSeal,
    EquivocationWatch,
    SlotInFuture,
    TooManyEquivocations,
    author_of_slot,
    check_header,
    seal_item,
    seal_message,
    slot_at,
    slot_item,
    slot_of,
    slot_start_ms,
)
from node.consensus.finality import MAX_WALK_BLOCKS, BuiltByTwoThirds
from node.consensus.fork_choice import is_better, tree_route
from runtime.header import Header, Other, PreRuntime, Seal

AUTHORITIES = (b"a" * 32, b"b" * 32, b"c" * 32, b"d" * 32)
GENESIS = Header(bytes(32), 0, bytes(32), bytes(32))


def sign(author: bytes, message: bytes) -> bytes:
    return (author + message)[:64]


def verify(author: bytes, message: bytes, signature: bytes) -> bool:
    return signature == sign(author, message)


def child(parent: Header, slot: int, *, author: bytes | None = None, mark: bytes = b"") -> Header:
    digest = (slot_item(slot), PreRuntime(b"test", mark))
    header = Header(parent.hash, parent.number + 1, bytes(32), bytes(32), digest)
    key = author or author_of_slot(slot, AUTHORITIES)
    return replace(header, digest=(*digest, seal_item(sign(key, seal_message(header)))))


class Tree:
    """Headers by hash."""

    def __init__(self) -> None:
        self.headers = {GENESIS.hash: GENESIS}

    def line(self, parent: Header, *slots: int, mark: bytes = b"") -> list[Header]:
        made = []
        for slot in slots:
            parent = child(parent, slot, mark=mark)
            self.headers[parent.hash] = parent
            made.append(parent)
        return made

    def header_of(self, block_hash: bytes) -> Header:
        return self.headers[block_hash]


def author_of(header: Header) -> bytes | None:
    return author_of_slot(slot_of(header), AUTHORITIES) if header.number else None


# Aura


def test_slots_cut_time_into_equal_parts() -> None:
    assert [slot_at(now, 6_000) for now in (0, 5_999, 6_000)] == [0, 0, 1]
    assert slot_start_ms(7, 6_000) == 42_000


def test_authorities_take_turns() -> None:
    assert [author_of_slot(slot, AUTHORITIES) for slot in range(5)] == [*AUTHORITIES, AUTHORITIES[0]]
    with pytest.raises(ValueError, match="no authorities"):
        author_of_slot(1, ())


def test_a_good_header_names_its_author() -> None:
    first = child(GENESIS, 5)
    assert check_header(first, GENESIS, AUTHORITIES, 5, verify) == Authored(5, AUTHORITIES[1])
    second = child(first, 9)
    assert check_header(second, first, AUTHORITIES, 9, verify) == Authored(9, AUTHORITIES[1])


def test_one_slot_ahead_is_a_clock_and_two_are_the_future() -> None:
    header = child(GENESIS, 5)
    assert check_header(header, GENESIS, AUTHORITIES, 4, verify).slot == 5
    with pytest.raises(SlotInFuture, match="now is slot 3"):
        check_header(header, GENESIS, AUTHORITIES, 3, verify)


@pytest.mark.parametrize("slot", [5, 4, 0])
def test_slots_only_rise(slot: int) -> None:
    parent = child(GENESIS, 5)
    with pytest.raises(BadPlace, match="not after"):
        check_header(child(parent, slot), parent, AUTHORITIES, 9, verify)


def test_a_header_follows_its_parent() -> None:
    header = child(GENESIS, 5)
    with pytest.raises(BadPlace):
        check_header(header, child(GENESIS, 1), AUTHORITIES, 9, verify)
    with pytest.raises(BadPlace):
        check_header(replace(header, number=2), GENESIS, AUTHORITIES, 9, verify)


@pytest.mark.parametrize("author", [AUTHORITIES[0], b"z" * 32])
def test_only_the_author_of_the_slot_can_seal(author: bytes) -> None:
    with pytest.raises(BadSeal, match="slot 5"):
        check_header(child(GENESIS, 5, author=author), GENESIS, AUTHORITIES, 5, verify)


def test_a_chain_without_authorities_accepts_nothing() -> None:
    with pytest.raises(BadSeal, match="without authorities"):
        check_header(child(GENESIS, 5), GENESIS, (), 5, verify)


def digests(good: Header) -> list[tuple[object, ...]]:
    slot, other, seal = good.digest
    assert isinstance(seal, Seal)
    return [
        (),
        (other, seal),
        (slot, slot, seal),
        (slot, other),
        (slot, seal, other),
        (slot, seal, seal),
        (slot, Seal(b"aurb", seal.data)),
        (slot, Seal(b"aura", seal.data[:-1])),
        (slot, Seal(b"aura", seal.data + b"\x00")),
        (slot, Other(seal.data)),
        (PreRuntime(b"aura", bytes(7)), seal),
        (PreRuntime(b"aura", bytes(9)), seal),
        (PreRuntime(b"aurb", bytes(8)), seal),
    ]


@pytest.mark.parametrize("index", range(13))
def test_a_digest_of_another_shape_is_refused(index: int) -> None:
    good = child(GENESIS, 5)
    header = replace(good, digest=digests(good)[index])  # type: ignore[arg-type]
    with pytest.raises(BadDigest):
        check_header(header, GENESIS, AUTHORITIES, 5, verify)


def test_the_seal_covers_everything_before_it() -> None:
    good = child(GENESIS, 5)
    for changed in (replace(good, state_root=b"\x01" * 32), replace(good, extrinsics_root=b"\x01" * 32)):
        with pytest.raises(BadSeal):
            check_header(changed, GENESIS, AUTHORITIES, 5, verify)


# Equivocations


def test_two_headers_of_an_author_in_a_slot_are_a_proof() -> None:
    watch = EquivocationWatch()
    first, second = child(GENESIS, 5, mark=b"1"), child(GENESIS, 5, mark=b"2")
    authored = Authored(5, AUTHORITIES[1])
    assert watch.check(authored, first, 5) is None
    assert watch.check(authored, first, 5) is None
    proof = watch.check(authored, second, 6)
    assert proof is not None
    assert (proof.slot, proof.author, proof.first, proof.second) == (5, AUTHORITIES[1], first, second)


def test_other_slots_and_other_authors_are_no_equivocation() -> None:
    watch = EquivocationWatch()
    assert watch.check(Authored(5, AUTHORITIES[1]), child(GENESIS, 5), 5) is None
    assert watch.check(Authored(6, AUTHORITIES[1]), child(GENESIS, 6), 6) is None
    assert watch.check(Authored(5, AUTHORITIES[2]), child(GENESIS, 5, mark=b"2"), 6) is None


def test_an_author_gets_few_headers_into_a_fresh_slot_and_a_bounded_number_later() -> None:
    watch = EquivocationWatch()
    authored = Authored(5, AUTHORITIES[1])
    for index in range(MAX_FRESH_HEADERS):
        watch.check(authored, child(GENESIS, 5, mark=b"%d" % index), 5)
    with pytest.raises(TooManyEquivocations):
        watch.check(authored, child(GENESIS, 5, mark=b"more"), 5)
    for index in range(MAX_FRESH_HEADERS, MAX_HEADERS):
        watch.check(authored, child(GENESIS, 5, mark=b"%d" % index), 5 + FRESH_SLOTS)
    with pytest.raises(TooManyEquivocations):
        watch.check(authored, child(GENESIS, 5, mark=b"most"), 5 + FRESH_SLOTS)


def test_memory_of_slots_is_bounded() -> None:
    watch = EquivocationWatch()
    for slot in range(3 * EQUIVOCATION_SLOTS):
        watch.check(Authored(slot, AUTHORITIES[0]), child(GENESIS, slot), slot)
    assert len(watch._seen) <= EQUIVOCATION_SLOTS + 2
    assert watch.check(Authored(1, AUTHORITIES[0]), child(GENESIS, 1, mark=b"2"), 3 * EQUIVOCATION_SLOTS) is None


# Fork choice


def test_the_longer_chain_wins_and_a_tie_keeps_the_present_one() -> None:
    tree = Tree()
    left, right = tree.line(GENESIS, 1, 2), tree.line(GENESIS, 3, 4, 5)
    for candidate, better in ((right[1], False), (right[2], True), (right[0], False)):
        assert is_better(tree_route(tree.header_of, left[1], candidate), candidate, left[1], GENESIS) is better


def test_a_longer_chain_without_the_finalized_block_is_not_followed() -> None:
    tree = Tree()
    left, right = tree.line(GENESIS, 1, 2), tree.line(GENESIS, 3, 4, 5, 6)
    route = tree_route(tree.header_of, left[1], right[3])
    assert not is_better(route, right[3], left[1], left[0])
    assert is_better(route, right[3], left[1], GENESIS)


def test_a_route_goes_back_to_the_shared_block_and_up() -> None:
    tree = Tree()
    base = tree.line(GENESIS, 1)[0]
    left, right = tree.line(base, 2, 3, 4), tree.line(base, 5, 6)
    route = tree_route(tree.header_of, left[2], right[1])
    assert route.retracted == (left[2], left[1], left[0])
    assert route.common == base
    assert route.enacted == tuple(right)
    assert tree_route(tree.header_of, base, base).enacted == ()
    stranger = Header(b"?" * 32, 9, bytes(32), bytes(32))
    with pytest.raises(KeyError):
        tree_route(tree.header_of, left[2], stranger)


# Finality


@pytest.mark.parametrize(
    ("slots", "final"),
    [
        ((0,), None),
        ((0, 1), None),
        ((0, 1, 2), 1),
        ((0, 1, 2, 3), 2),
        ((0, 1, 4, 5, 8, 9), None),
        ((0, 1, 4, 5, 6), 3),
        ((0, 1, 2, 4, 8, 12), 2),
    ],
)
def test_final_is_what_more_than_two_thirds_have_built_on(slots: tuple[int, ...], final: int | None) -> None:
    tree = Tree()
    line = tree.line(GENESIS, *slots)
    found = BuiltByTwoThirds(tree.header_of, author_of).best_changed(line[-1], GENESIS, AUTHORITIES)
    assert (None if found is None else found.number) == final


@pytest.mark.parametrize(("count", "needed"), [(1, 1), (2, 2), (3, 3), (4, 3)])
def test_two_thirds_exactly_are_not_enough(count: int, needed: int) -> None:
    tree = Tree()
    authorities = AUTHORITIES[:count]
    line = tree.line(GENESIS, *range(needed))
    gadget = BuiltByTwoThirds(tree.header_of, lambda header: author_of_slot(slot_of(header), authorities))
    assert gadget.best_changed(line[-1], GENESIS, authorities) == line[0]
    if needed > 1:
        assert gadget.best_changed(line[-2], GENESIS, authorities) is None


def test_finality_only_advances() -> None:
    tree = Tree()
    line = tree.line(GENESIS, 0, 1, 2, 3, 4)
    gadget = BuiltByTwoThirds(tree.header_of, author_of)
    assert gadget.best_changed(line[4], line[1], AUTHORITIES) == line[2]
    assert gadget.best_changed(line[4], line[2], AUTHORITIES) is None


def test_strangers_and_unknown_authors_do_not_count() -> None:
    tree = Tree()
    line = tree.line(GENESIS, 0, 1, 2, 3)
    gadget = BuiltByTwoThirds(tree.header_of, lambda header: None)
    assert gadget.best_changed(line[3], GENESIS, AUTHORITIES) is None
    stranger = BuiltByTwoThirds(tree.header_of, author_of)
    assert stranger.best_changed(line[3], GENESIS, (b"x" * 32, b"y" * 32, b"z" * 32)) is None


def test_the_walk_is_bounded() -> None:
    tree = Tree()
    line = tree.line(GENESIS, *(4 * step for step in range(MAX_WALK_BLOCKS + 50)))
    walked = 0

    def counting(header: Header) -> bytes | None:
        nonlocal walked
        walked += 1
        return author_of(header)

    assert BuiltByTwoThirds(tree.header_of, counting).best_changed(line[-1], GENESIS, AUTHORITIES) is None
    assert walked == MAX_WALK_BLOCKS
