"""When a timetable is active, and what it covers."""

from hypothesis import given
from hypothesis import strategies as st

from pallets.datdot.components import Timetable
from pallets.datdot.timetables import covers, is_active

TIMETABLES = st.builds(
    Timetable,
    st.integers(0, 20),
    st.integers(1, 12),
    st.one_of(st.none(), st.integers(0, 12)),
    st.one_of(st.none(), st.integers(0, 3)),
)


def test_a_timetable_repeated_once_has_two_windows() -> None:
    timetable = Timetable(delay=10, duration=20, interval=30, repeat=1)
    active = [block for block in range(90, 400) if is_active(timetable, 100, block)]
    assert active == [*range(110, 130), *range(160, 180)]


def test_a_timetable_without_an_end_repeats_for_ever() -> None:
    timetable = Timetable(delay=10, duration=20, interval=30, repeat=None)
    for block in range(90, 1_000):
        assert is_active(timetable, 100, block) == (block >= 110 and (block - 110) % 50 < 20)


def test_without_an_interval_there_is_a_single_window() -> None:
    timetable = Timetable(delay=0, duration=5, interval=None, repeat=None)
    assert [block for block in range(50) if is_active(timetable, 10, block)] == [10, 11, 12, 13, 14]


@given(TIMETABLES, st.integers(0, 60), st.integers(0, 30))
def test_a_span_is_covered_when_each_of_its_blocks_is_active(timetable: Timetable, first: int, length: int) -> None:
    blocks = range(first, first + length + 1)
    joined = covers(timetable, 5, first, first + length)
    assert joined == all(is_active(timetable, 5, block) for block in blocks)
