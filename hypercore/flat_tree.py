"""Flat in-order numbering of a binary tree: block i is node 2i, and the odd numbers are the nodes above.

A node is addressed by one integer. `depth` counts levels from the leaves, `offset` counts nodes of that depth from the
left. A tree of `length` blocks that is not a power of two is a list of perfect trees, whose tops are its full roots.

A number's lowest zero bit, `~index & (index + 1)`, is how many leaves its node spans; all else follows from it.
"""


def depth(index: int) -> int:
    """Levels above the leaves: the number of trailing one bits."""
    return (~index & (index + 1)).bit_length() - 1


def offset(index: int) -> int:
    """Position among the nodes of the same depth."""
    return index >> (depth(index) + 1)


def index_of(depth: int, offset: int) -> int:
    """The node at this depth and offset."""
    return (1 + 2 * offset) * (1 << depth) - 1


def parent(index: int) -> int:
    """The node above."""
    span = ~index & (index + 1)
    return (index | span) & ~(span << 1)


def sibling(index: int) -> int:
    """The other child of the same parent."""
    return index ^ (~index & (index + 1)) << 1


def children(index: int) -> tuple[int, int] | None:
    """Left and right child, or None for a leaf."""
    half = (~index & (index + 1)) >> 1
    return (index - half, index + half) if half else None


def left_span(index: int) -> int:
    """The leftmost leaf node below (or at) this node."""
    return index - (~index & (index + 1)) + 1


def right_span(index: int) -> int:
    """The rightmost leaf node below (or at) this node."""
    return index + (~index & (index + 1)) - 1


def leaf_count(index: int) -> int:
    """How many blocks lie below (or at) this node."""
    return ~index & (index + 1)


def node_count(index: int) -> int:
    """How many nodes the subtree of this node has, itself included."""
    return (2 << depth(index)) - 1


def contains(index: int, other: int) -> bool:
    """True when node `other` lies in the subtree of `index`, or is `index`."""
    return abs(other - index) < ~index & (index + 1)


def block_range(index: int) -> tuple[int, int]:
    """First block and one past the last block below this node."""
    return left_span(index) // 2, right_span(index) // 2 + 1


def full_roots(length: int) -> list[int]:
    """Roots of the perfect trees that make up `length` blocks, left to right."""
    return cover(0, length)


def cover(start: int, end: int) -> list[int]:
    """The fewest nodes that cover blocks start to end - 1, left to right, each as large as its place allows.

    Appending them to a tree of `start` blocks makes a tree of `end` blocks; `cover(0, n)` is `full_roots(n)`.
    """
    nodes = []
    while start < end:
        fits = 1 << ((end - start).bit_length() - 1)
        size = min(fits, start & -start) if start else fits
        nodes.append(2 * start + size - 1)
        start += size
    return nodes
