"""Which blocks are here: a set of block numbers as pages of bits, sized by what is set, not by the largest number."""

from collections.abc import Iterable, Iterator

PAGE_BYTES = 4096
PAGE_BITS = 8 * PAGE_BYTES
_FULL_PAGE = b"\xff" * PAGE_BYTES


class Bitfield:
    """A growable bit set. Pages that were changed since `take_changed_pages` are remembered for the store."""

    __slots__ = ("_changed", "_pages")

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}
        self._changed: set[int] = set()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Bitfield":
        """A bit set from the bytes of all pages, bit i of byte j being number 8j + i."""
        bits = cls()
        for number, start in enumerate(range(0, len(data), PAGE_BYTES)):
            page = data[start : start + PAGE_BYTES]
            if page.strip(b"\x00"):
                bits._pages[number] = bytearray(page.ljust(PAGE_BYTES, b"\x00"))
        return bits

    def get(self, index: int) -> bool:
        """True when `index` is in the set."""
        page = self._pages.get(index // PAGE_BITS)
        return page is not None and bool(page[index % PAGE_BITS >> 3] >> (index & 7) & 1)

    __contains__ = get

    def set(self, index: int, value: bool = True) -> bool:
        """Add or remove one number; returns whether that changed anything."""
        if self.get(index) == value:
            return False
        self._page(index // PAGE_BITS)[index % PAGE_BITS >> 3] ^= 1 << (index & 7)
        return True

    def set_range(self, start: int, end: int, value: bool = True) -> None:
        """Add or remove `start` to `end - 1`."""
        while start < end:
            number, first = divmod(start, PAGE_BITS)
            last = min(PAGE_BITS, first + end - start)
            if not value and number not in self._pages:
                start += last - first
                continue
            page = self._page(number)
            if last - first == PAGE_BITS:
                page[:] = _FULL_PAGE if value else bytes(PAGE_BYTES)
            else:
                _set_bits(page, first, last, value)
            start += last - first

    def first_unset(self, start: int = 0) -> int:
        """The lowest number from `start` on that is not in the set."""
        number, bit = divmod(start, PAGE_BITS)
        while (page := self._pages.get(number)) is not None:
            found = _find(page, bit, 0)
            if found is not None:
                return number * PAGE_BITS + found
            number, bit = number + 1, 0
        return number * PAGE_BITS + bit

    def first_set(self, start: int = 0, end: int | None = None) -> int | None:
        """The lowest number from `start` on (and below `end`) that is in the set, or None."""
        number, bit = divmod(start, PAGE_BITS)
        for candidate in sorted(page for page in self._pages if page >= number):
            found = _find(self._pages[candidate], bit if candidate == number else 0, 1)
            if found is not None:
                result = candidate * PAGE_BITS + found
                return result if end is None or result < end else None
        return None

    def last_set(self, end: int) -> int | None:
        """The highest number below `end` that is in the set, or None."""
        number, bit = divmod(end, PAGE_BITS)
        for candidate in sorted((page for page in self._pages if page <= number), reverse=True):
            bits = int.from_bytes(self._pages[candidate], "little")
            if candidate == number:
                bits &= (1 << bit) - 1
            if bits:
                return candidate * PAGE_BITS + bits.bit_length() - 1
        return None

    def all_set(self, start: int, end: int) -> bool:
        """True when every number from `start` to `end - 1` is in the set."""
        return self.first_unset(start) >= end if start < end else True

    def runs(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The maximal runs (first, one past last) of numbers in the set between `start` and `end`."""
        while start < end:
            first = self.first_set(start, end)
            if first is None:
                return
            start = min(self.first_unset(first), end)
            yield first, start

    def count(self) -> int:
        """How many numbers are in the set."""
        return sum(int.from_bytes(page, "little").bit_count() for page in self._pages.values())

    def words(self, start: int, count: int) -> list[int]:
        """`count` 32-bit words from number `start` (a multiple of 32) on; bit i of word w is `start + 32w + i`."""
        if start % 32:
            raise ValueError(f"words start at a multiple of 32, got {start}")
        words = []
        for position in range(start // 32, start // 32 + count):
            number, word = divmod(position, PAGE_BITS // 32)
            page = self._pages.get(number)
            words.append(int.from_bytes(page[4 * word : 4 * word + 4], "little") if page is not None else 0)
        return words

    def set_words(self, start: int, words: list[int]) -> None:
        """Replace the 32-bit words from number `start` (a multiple of 32) on."""
        if start % 32:
            raise ValueError(f"words start at a multiple of 32, got {start}")
        for position, value in enumerate(words, start // 32):
            number, word = divmod(position, PAGE_BITS // 32)
            if value or number in self._pages:
                self._page(number)[4 * word : 4 * word + 4] = value.to_bytes(4, "little")

    def take_changed_pages(self) -> list[tuple[int, bytes]]:
        """(page number, bytes) of every page changed since the last call."""
        changed = [(number, bytes(self._pages[number])) for number in sorted(self._changed)]
        self._changed.clear()
        return changed

    def mark_changed(self, pages: Iterable[int]) -> None:
        """Have `take_changed_pages` return these pages again."""
        self._changed.update(number for number in pages if number in self._pages)

    def _page(self, number: int) -> bytearray:
        self._changed.add(number)
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = bytearray(PAGE_BYTES)
        return page


def _set_bits(page: bytearray, first: int, last: int, value: bool) -> None:
    start, end = first >> 3, (last + 7) >> 3
    mask = ((1 << (last - first)) - 1) << (first & 7)
    old = int.from_bytes(page[start:end], "little")
    page[start:end] = (old | mask if value else old & ~mask).to_bytes(end - start, "little")


def _find(page: bytearray, bit: int, value: int) -> int | None:
    """The first bit of that value from `bit` on, looking at 64 bytes at a time."""
    step = 512
    while bit < PAGE_BITS:
        start = bit >> 3
        end = min(PAGE_BYTES, start + step // 8)
        chunk = int.from_bytes(page[start:end], "little") >> (bit & 7)
        if not value:
            chunk = ~chunk & ((1 << (8 * end - bit)) - 1)
        if chunk:
            return bit + (chunk & -chunk).bit_length() - 1
        bit = 8 * end
    return None
