"""Where blocks begin, from the sizes of tree nodes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore import merkle
from hypercore.errors import BlockNotAvailable
from hypercore.io import offsets as module
from hypercore.io.offsets import BlockOffsets
from hypercore.merkle import Node


def tree(blocks: list[bytes]) -> dict[int, Node]:
    return {node.index: node for node in merkle.append_batch((), blocks).nodes}


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=9), min_size=1, max_size=70), st.randoms(use_true_random=False))
def test_a_block_begins_where_those_before_it_end(blocks: list[bytes], chance: object) -> None:
    nodes, offsets = tree(blocks), BlockOffsets()
    order = list(range(len(blocks) + 1))
    chance.shuffle(order)  # type: ignore[attr-defined]
    for index in order:
        expected = len(b"".join(blocks[:index]))
        assert offsets.find(nodes.get, index) == expected
        assert merkle.byte_offset(nodes.get, len(blocks), 2 * index) == expected


def test_what_was_found_is_not_looked_up_again() -> None:
    nodes, offsets, read = tree([b"four"] * 64), BlockOffsets(), list[int]()

    def reader(index: int) -> Node | None:
        read.append(index)
        return nodes.get(index)

    assert offsets.find(reader, 63) == 252
    assert len(read) == 6
    assert offsets.find(reader, 62) == 248
    assert offsets.find(reader, 63) == 252
    assert len(read) == 6


def test_a_node_that_is_missing_on_the_left_is_named() -> None:
    nodes, offsets = tree([b"x"] * 8), BlockOffsets()
    del nodes[3]
    assert offsets.find(nodes.get, 2) == 2
    with pytest.raises(BlockNotAvailable, match="node 3"):
        offsets.find(nodes.get, 4)
    with pytest.raises(BlockNotAvailable, match="node 3"):
        offsets.find(nodes.get, 7)


def test_an_offset_known_from_elsewhere_needs_no_node() -> None:
    offsets = BlockOffsets()
    offsets.remember(4, 1000)
    assert offsets.find(tree([b"x"] * 8).get, 5) == 1001
    offsets.forget()
    with pytest.raises(BlockNotAvailable):
        offsets.find({}.get, 4)


def test_a_bounded_number_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_BLOCKS_MAXIMUM", 4)
    nodes, offsets = tree([b"x"] * 64), BlockOffsets()
    for index in range(65):
        assert offsets.find(nodes.get, index) == index
        assert len(offsets._known) <= 4
