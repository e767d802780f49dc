"""Where blocks begin, from the sizes of tree nodes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercore import merkle
from hypercore.errors import BlockNotAvailable
from hypercore.io import block_offsets as module
from hypercore.io.block_offsets import BlockOffsets
from hypercore.io.core import Core
from hypercore.merkle import Node


def tree(blocks: list[bytes]) -> dict[int, Node]:
    return {node.index: node for node in merkle.append_batch((), blocks).nodes}


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=9), min_size=1, max_size=140), st.integers(0, 1000))
def test_a_block_begins_where_those_before_it_end(blocks: list[bytes], seed: int) -> None:
    nodes = tree(blocks)
    offsets = BlockOffsets(nodes.get)
    order = list(range(len(blocks) + 1))
    random.Random(seed).shuffle(order)
    for index in order:
        expected = len(b"".join(blocks[:index]))
        assert offsets.find(index) == expected
        assert merkle.byte_offset(nodes.get, len(blocks), 2 * index) == expected


def test_what_was_found_is_not_looked_up_again() -> None:
    nodes, read = tree([b"four"] * 64), list[int]()

    def reader(index: int) -> Node | None:
        read.append(index)
        return nodes.get(index)

    offsets = BlockOffsets(reader)
    assert offsets.find(63) == 252
    assert len(read) == 6
    assert offsets.find(62) == 248
    assert offsets.find(63) == 252
    assert len(read) == 6


def test_a_node_that_is_missing_on_the_left_is_named() -> None:
    nodes = tree([b"x"] * 8)
    offsets = BlockOffsets(nodes.get)
    del nodes[3]
    assert offsets.find(2) == 2
    for index in (4, 7):
        with pytest.raises(BlockNotAvailable, match="node 3"):
            offsets.find(index)


def test_nodes_that_are_still_to_be_stored_are_read_in_the_place_of_stored_ones() -> None:
    offsets = BlockOffsets({}.get)
    with pytest.raises(BlockNotAvailable):
        offsets.find(6)
    assert offsets.find(6, tree([b"x"] * 8).get) == 6
    assert offsets.find(6) == 6


def test_an_offset_known_from_elsewhere_needs_no_node_until_all_is_forgotten() -> None:
    offsets = BlockOffsets({}.get)
    offsets.remember(63, 1000, 10)
    assert (offsets.find(63), offsets.find(64)) == (1000, 1010)
    offsets.clear()
    for index in (63, 64):
        with pytest.raises(BlockNotAvailable):
            offsets.find(index)


def test_a_bounded_number_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_MAXIMUM", 4)
    monkeypatch.setattr(module, "MILESTONES_MAXIMUM", 2)
    offsets = BlockOffsets(tree([b"x"] * 400).get)
    for index in range(401):
        assert offsets.find(index) == index
        assert len(offsets._remembered) <= 4
        assert len(offsets._milestones) <= 2


@pytest.mark.parametrize("remembered", [1, 3, 4096])
def test_blocks_are_found_in_any_order_in_every_fork(remembered: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_MAXIMUM", remembered)
    monkeypatch.setattr(module, "MILESTONES_MAXIMUM", remembered)
    generator = random.Random(remembered)
    core, blocks = Core.create(), list[bytes]()
    for length in (200, 130, 64, 1):
        blocks = blocks[:length] + [generator.randbytes(generator.randrange(40)) for _ in range(150)]
        if core.length:
            core.truncate(length)
        core.append(blocks[core.length :])
        order = [*range(core.length), *range(core.length)]
        generator.shuffle(order)
        assert all(core.get(index) == blocks[index] for index in order)
