import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypercore.bitfield import PAGE_BITS, PAGE_BYTES, Bitfield

NUMBERS = st.integers(0, 3 * PAGE_BITS) | st.integers(PAGE_BITS - 70, PAGE_BITS + 70) | st.integers(0, 80)
CHANGES = st.lists(st.tuples(NUMBERS, st.integers(0, 100) | st.just(PAGE_BITS + 5), st.booleans()), max_size=8)


@given(CHANGES, NUMBERS, NUMBERS)
def test_a_bitfield_behaves_like_a_set(changes: list[tuple[int, int, bool]], start: int, size: int) -> None:
    bits, model = Bitfield(), set[int]()
    for first, length, value in changes:
        bits.set_range(first, first + length, value)
        numbers = range(first, first + length)
        model = model | set(numbers) if value else model - set(numbers)
    assert bits.count() == len(model)
    unset = start
    while unset in model:
        unset += 1
    assert bits.first_unset(start) == unset
    assert bits.first_set(start) == min((number for number in model if number >= start), default=None)
    assert bits.last_set(start) == max((number for number in model if number < start), default=None)
    assert bits.all_set(start, start + 3) == ({start, start + 1, start + 2} <= model)
    end = start + min(size, 500)
    assert {n for run in bits.runs(start, end) for n in range(*run)} == {n for n in model if start <= n < end}
    word = start - start % 32
    assert bits.words(word, 3) == [
        sum(1 << bit for bit in range(32) if word + 32 * number + bit in model) for number in range(3)
    ]


@given(st.lists(st.tuples(NUMBERS, st.booleans()), max_size=30))
def test_setting_single_numbers_says_whether_something_changed(changes: list[tuple[int, bool]]) -> None:
    bits, model = Bitfield(), set[int]()
    for number, value in changes:
        assert bits.set(number, value) == ((number in model) != value)
        model = model | {number} if value else model - {number}
        assert bits.get(number) == value
        assert (number in bits) == value


def test_words_that_are_set_can_be_read_back() -> None:
    bits = Bitfield()
    bits.set_words(PAGE_BITS - 32, [0xFFFFFFFF, 0, 5])
    assert bits.words(PAGE_BITS - 32, 4) == [0xFFFFFFFF, 0, 5, 0]
    assert bits.count() == 34
    bits.set_words(PAGE_BITS - 32, [0])
    assert bits.first_set() == PAGE_BITS + 32


@pytest.mark.parametrize("start", [1, 31, 33])
def test_words_begin_at_a_multiple_of_32(start: int) -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        Bitfield().words(start, 1)
    with pytest.raises(ValueError, match="multiple of 32"):
        Bitfield().set_words(start, [1])


def test_pages_are_given_out_once_after_each_change_and_read_back() -> None:
    bits = Bitfield()
    bits.set(3)
    bits.set_range(2 * PAGE_BITS, 3 * PAGE_BITS)
    pages = bits.take_changed_pages()
    assert [number for number, _ in pages] == [0, 2]
    assert bits.take_changed_pages() == []
    image = bytearray(3 * PAGE_BYTES)
    for number, page in pages:
        image[number * PAGE_BYTES : (number + 1) * PAGE_BYTES] = page
    copy = Bitfield.from_bytes(bytes(image))
    assert (copy.count(), copy.first_unset(2 * PAGE_BITS)) == (PAGE_BITS + 1, 3 * PAGE_BITS)
    assert copy.take_changed_pages() == []


def test_clearing_where_nothing_is_takes_no_space() -> None:
    bits = Bitfield()
    bits.set_range(0, 10 * PAGE_BITS, False)
    assert bits.take_changed_pages() == []
