"""Cutting ranges of chunks into contracts."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pallets.datdot.contracts import (
    BadRange,
    Range,
    chunk_at,
    chunk_numbers,
    count_chunks,
    count_sets,
    covers,
    cut,
    normalise,
)

LENGTH = 1_000

RANGES = st.lists(
    st.tuples(st.integers(0, 120), st.integers(0, 40)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize(
    ("ranges", "sets"),
    [
        ([(0, 3), (5, 8), (10, 14)], [[(0, 3), (5, 8), (10, 11)], [(12, 14)]]),
        ([(0, 9)], [[(0, 9)]]),
        ([(0, 35)], [[(0, 9)], [(10, 19)], [(20, 29)], [(30, 35)]]),
        ([(7, 23)], [[(7, 16)], [(17, 23)]]),
        ([(0, 0)], [[(0, 0)]]),
        ([(0, 10)], [[(0, 9)], [(10, 10)]]),
        ([(0, 9), (20, 25)], [[(0, 9)], [(20, 25)]]),
        ([(0, 8), (10, 10), (12, 12)], [[(0, 8), (10, 10)], [(12, 12)]]),
        (
            [(0, 25), (28, 37), (39, 40), (42, 43), (72, 100)],
            [
                [(0, 9)],
                [(10, 19)],
                [(20, 25), (28, 31)],
                [(32, 37), (39, 40), (42, 43)],
                [(72, 81)],
                [(82, 91)],
                [(92, 100)],
            ],
        ),
        ([(0, 35), (40, 41)], [[(0, 9)], [(10, 19)], [(20, 29)], [(30, 35), (40, 41)]]),
        ([(5, 8), (0, 3)], [[(0, 3), (5, 8)]]),
        ([(0, 5), (3, 8)], [[(0, 8)]]),
        ([(4, 4), (4, 4), (5, 5)], [[(4, 5)]]),
        ([(0, 24)], [[(0, 9)], [(10, 19)], [(20, 24)]]),
    ],
)
def test_ranges_are_cut_into_sets_of_ten(ranges: list[Range], sets: list[list[Range]]) -> None:
    assert cut(normalise(ranges, LENGTH), 10) == [tuple(one) for one in sets]


@pytest.mark.parametrize("bad", [(3, 1), (-1, 2), (0, LENGTH), (LENGTH, LENGTH), (5, -5)])
def test_a_reversed_or_outlying_range_is_refused_whatever_stands_beside_it(bad: Range) -> None:
    with pytest.raises(BadRange):
        normalise([(0, 9), bad, (20, 30)], LENGTH)


@given(RANGES, st.integers(1, 13))
def test_sets_hold_every_chunk_once_and_all_but_the_last_are_full(ranges: list[Range], size: int) -> None:
    joined = normalise(ranges, LENGTH)
    sets = cut(joined, size)
    wanted = sorted({chunk for first, last in ranges for chunk in range(first, last + 1)})
    assert [chunk for one in sets for chunk in chunk_numbers(one)] == wanted
    assert [count_chunks(one) for one in sets[:-1]] == [size] * (len(sets) - 1)
    assert 1 <= count_chunks(sets[-1]) <= size
    assert len(sets) == count_sets(joined, size)
    for one in sets:
        assert all(later[0] > earlier[1] + 1 for earlier, later in pairwise(one))


@given(RANGES)
def test_normalised_ranges_are_sorted_apart_and_stay_the_same(ranges: list[Range]) -> None:
    joined = normalise(ranges, LENGTH)
    assert all(later[0] > earlier[1] + 1 for earlier, later in pairwise(joined))
    assert normalise(reversed(joined), LENGTH) == joined


@given(RANGES, RANGES)
def test_covering_is_being_a_superset(covering: list[Range], ranges: list[Range]) -> None:
    outer = {chunk for first, last in covering for chunk in range(first, last + 1)}
    inner = {chunk for first, last in ranges for chunk in range(first, last + 1)}
    assert covers(normalise(covering, LENGTH), normalise(ranges, LENGTH)) == (inner <= outer)


def test_nothing_covers_no_chunk_and_a_gap_is_noticed() -> None:
    assert not covers((), ((0, 0),))
    assert not covers(((0, 3), (5, 9)), ((2, 6),))
    assert covers((), ())


def test_chunk_seven_and_nine_of_a_contract_of_three_ranges() -> None:
    ranges = ((0, 3), (5, 8), (10, 11))
    assert chunk_at(ranges, 7) == 8
    assert chunk_at(ranges, 9) == 11
    assert count_chunks(ranges) == 10
    assert chunk_numbers(ranges) == tuple(chunk_at(ranges, number) for number in range(10))


@pytest.mark.parametrize("number", [-1, 10, 11])
def test_a_chunk_outside_of_the_contract_does_not_exist(number: int) -> None:
    with pytest.raises(IndexError):
        chunk_at(((0, 3), (5, 8), (10, 11)), number)
